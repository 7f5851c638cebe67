// Command kubernetes checks manifests as a cluster would that accepts them: each document is what
// the schema of its kind says, and has no member twice, pods meet the Pod Security Standard
// "restricted", and what a document refers to in its file is there.
//
//	kubernetes <file.yaml>…
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(1)
	}
	failed, known := false, newSchemas()
	for _, name := range os.Args[1:] {
		if err := check(name, known); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// workload is what has pods.
type workload struct {
	name     string
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

// manifests is what a file has.
type manifests struct {
	workloads []workload
	services  []corev1.Service
	budgets   []policyv1.PodDisruptionBudget
	configs   []string // names of ConfigMaps
	schemas   schemas
}

func check(name string, known schemas) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	all := manifests{schemas: known}
	for _, document := range strings.Split(string(text), "\n---\n") {
		if err := all.add([]byte(document)); err != nil {
			return err
		}
	}
	var errs []error
	if len(all.workloads) == 0 {
		errs = append(errs, errors.New("nothing has pods"))
	}
	for _, w := range all.workloads {
		errs = append(errs, all.checkWorkload(w)...)
	}
	for _, s := range all.services {
		errs = append(errs, all.checkService(s))
	}
	for _, b := range all.budgets {
		if !all.selects(b.Spec.Selector) {
			errs = append(errs, fmt.Errorf("PodDisruptionBudget %s selects no pod", b.Name))
		}
	}
	return errors.Join(errs...)
}

// add decodes one document.
func (m *manifests) add(document []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	if err := m.schemas.check(kind, document); err != nil {
		return err
	}
	decode := func(into any) error {
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			return fmt.Errorf("%s: %w", kind.Kind, err)
		}
		return nil
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Namespace":
		return decode(new(corev1.Namespace))
	case "v1 ConfigMap":
		var c corev1.ConfigMap
		err := decode(&c)
		m.configs = append(m.configs, c.Name)
		return err
	case "v1 Service":
		m.services = append(m.services, corev1.Service{})
		return decode(&m.services[len(m.services)-1])
	case "policy/v1 PodDisruptionBudget":
		m.budgets = append(m.budgets, policyv1.PodDisruptionBudget{})
		return decode(&m.budgets[len(m.budgets)-1])
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(new(networkingv1.NetworkPolicy))
	case "apps/v1 Deployment":
		var d appsv1.Deployment
		err := decode(&d)
		m.workloads = append(m.workloads, workload{d.Name, d.Spec.Selector, d.Spec.Template, nil})
		return err
	case "apps/v1 StatefulSet":
		var s appsv1.StatefulSet
		err := decode(&s)
		m.workloads = append(m.workloads, workload{s.Name, s.Spec.Selector, s.Spec.Template, s.Spec.VolumeClaimTemplates})
		return err
	}
	return fmt.Errorf("%s %s is not known here", kind.APIVersion, kind.Kind)
}

// selects reports whether a selector selects the pods of a workload.
func (m *manifests) selects(selector *metav1.LabelSelector) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && !s.Empty() && slices.ContainsFunc(m.workloads, func(w workload) bool {
		return s.Matches(labels.Set(w.template.Labels))
	})
}

func (m *manifests) checkWorkload(w workload) (errs []error) {
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{w.name}, args...)...))
	}
	pod := w.template.Spec
	if s, err := metav1.LabelSelectorAsSelector(w.selector); err != nil || s.Empty() || !s.Matches(labels.Set(w.template.Labels)) {
		fail("the selector is not that of its pods")
	}
	restricted, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return append(errs, err)
	}
	level := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	if result := policy.AggregateCheckResults(restricted.EvaluatePod(level, &w.template.ObjectMeta, &pod)); !result.Allowed {
		fail("not restricted: %s", result.ForbiddenDetail())
	}
	var volumes []string
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
		if v.ConfigMap != nil && !slices.Contains(m.configs, v.ConfigMap.Name) {
			fail("there is no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, c := range w.claims {
		volumes = append(volumes, c.Name)
	}
	for _, c := range pod.Containers {
		for _, mount := range c.VolumeMounts {
			if !slices.Contains(volumes, mount.Name) {
				fail("%s: there is no volume %s", c.Name, mount.Name)
			}
		}
		for _, p := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			if p != nil && (p.HTTPGet == nil || !hasPort(c, p.HTTPGet.Port)) {
				fail("%s: a probe asks at no port of the container", c.Name)
			}
		}
	}
	return errs
}

func (m *manifests) checkService(s corev1.Service) error {
	if !m.selects(&metav1.LabelSelector{MatchLabels: s.Spec.Selector}) {
		return fmt.Errorf("Service %s selects no pod", s.Name)
	}
	for _, port := range s.Spec.Ports {
		if !slices.ContainsFunc(m.workloads, func(w workload) bool {
			return slices.ContainsFunc(w.template.Spec.Containers, func(c corev1.Container) bool { return hasPort(c, port.TargetPort) })
		}) {
			return fmt.Errorf("Service %s: no container has the port %s", s.Name, port.TargetPort.String())
		}
	}
	return nil
}

// hasPort reports whether a container has a port by its name.
func hasPort(c corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return port.StrVal != "" && p.Name == port.StrVal })
}
