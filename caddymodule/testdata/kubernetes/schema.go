package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"github.com/tokenep/caddy-tokenep/caddymodule/testdata/kubernetes/schema"
)

// The package schema has a megabyte, and is not kept: it is made anew of the API's types.
//
//go:generate sh generate.sh

// schemas are those of the API, by their names.
type schemas map[string]common.OpenAPIDefinition

func newSchemas() schemas {
	return schema.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef(name) })
}

// check returns what is wrong with a document by the schema of its kind.
func (s schemas) check(kind metav1.TypeMeta, document []byte) error {
	group, version, ok := strings.Cut(kind.APIVersion, "/")
	if !ok {
		group, version = "core", kind.APIVersion
	}
	name := strings.Join([]string{"io.k8s.api", strings.TrimSuffix(group, ".k8s.io"), version, kind.Kind}, ".")
	if _, ok := s[name]; !ok {
		return fmt.Errorf("%s %s has no schema %s", kind.APIVersion, kind.Kind, name)
	}
	var value any
	if err := yaml.Unmarshal(document, &value); err != nil {
		return err
	}
	whole := s.whole(spec.Schema{SchemaProps: spec.SchemaProps{Ref: spec.MustCreateRef(name)}})
	return validate.NewSchemaValidator(&whole, nil, kind.Kind, strfmt.Default).Validate(value).AsError()
}

// whole puts the schemas that one refers to in their places, and closes each: a member that none of
// them has is an error.
func (s schemas) whole(part spec.Schema) spec.Schema {
	if name := part.Ref.String(); name != "" {
		return s.whole(s[name].Schema)
	}
	if len(part.OneOf) > 0 {
		part.Format = "" // int-or-string, which the validator takes for another type
	}
	if part.Items != nil && part.Items.Schema != nil {
		each := s.whole(*part.Items.Schema)
		part.Items = &spec.SchemaOrArray{Schema: &each}
	}
	if part.AdditionalProperties != nil && part.AdditionalProperties.Schema != nil {
		each := s.whole(*part.AdditionalProperties.Schema)
		part.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &each}
	}
	if len(part.Properties) > 0 {
		part.Properties = maps.Clone(part.Properties)
		for _, member := range slices.Collect(maps.Keys(part.Properties)) {
			part.Properties[member] = s.whole(part.Properties[member])
		}
		part.AdditionalProperties = cmp.Or(part.AdditionalProperties, &spec.SchemaOrBool{})
	}
	return part
}
