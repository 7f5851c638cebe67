package caddymodule_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
)

// The files in docs/deploy, which docs/deployment.md explains.

// deployFile returns the text of one of them.
func deployFile(t *testing.T, name string) string {
	t.Helper()
	return repositoryFile(t, "caddymodule/docs/deploy/"+name)
}

// packageOf are the packages of Debian with commands of other names.
var packageOf = map[string]string{"kubectl": "kubernetes-client", "psql": "postgresql", "redis-cli": "redis-server", "systemd-analyze": "systemd", "systemd-nspawn": "systemd-container", "bwrap": "bubblewrap"}

// needed returns the path of a command that a test needs, and skips the test without it, unless CI
// is set.
func needed(t *testing.T, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		lacks(t, fmt.Errorf("%w: apt-get install %s", err, cmp.Or(packageOf[name], name)))
	}
	return found
}

// lacks skips a test for what the machine does not have, unless CI is set.
func lacks(t *testing.T, what ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what...)
	}
	t.Skip(what...)
}

// manifestCaddyfile returns the Caddyfile in the ConfigMap of a manifest.
func manifestCaddyfile(t *testing.T, manifest string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  Caddyfile: \|\n((?:    .*\n|\n)+)`).FindStringSubmatch(manifest)
	if found == nil {
		t.Fatal("no Caddyfile")
	}
	return regexp.MustCompile(`(?m)^    `).ReplaceAllString(found[1], "")
}

// TestDeploymentManifestsRun runs the Caddyfile of each manifest, with the store that can be had
// here, and asks what its probes ask.
func TestDeploymentManifestsRun(t *testing.T) {
	for name, store := range map[string]string{"sidecar.yaml": `(store bolt) \S+`, "front.yaml": `(store) postgres .*`} {
		t.Run(name, func(t *testing.T) {
			manifest := deployFile(t, name)
			text := manifestCaddyfile(t, manifest)
			if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
				t.Errorf("it is not formatted; expected\n%s", formatted)
			}
			api, health := mustFreePort(t), mustFreePort(t)
			c := newCaddy(t)
			writeCertificate(t, c.dir, "tls", newCertificate(t, "api.example.com", nil))
			writeCertificate(t, c.dir, "database_ca", newCertificate(t, "authority", nil))
			writeFile(t, filepath.Join(c.dir, "encryption_key"), strings.Repeat("00", 32))
			writeFile(t, filepath.Join(c.dir, "billing"), "secret of billing")
			writeFile(t, filepath.Join(c.dir, "database_password"), "p/w")
			text = strings.NewReplacer("/run/secrets/oauth", c.dir, "/run/secrets/tls", c.dir, "tls.crt", "tls.pem", "8443", api, ":8081", ":"+health).Replace(text)
			global, sites, _ := strings.Cut(strings.TrimPrefix(text, "{\n"), "\n}\n")
			if err := c.validate(c.config(global, sites)); err != nil {
				t.Fatalf("as it is: %v", err)
			}
			here := map[string]string{"sidecar.yaml": "$1 " + filepath.Join(c.dir, "oauth.db"), "front.yaml": "$1 memory"}[name]
			c.mustLoad(regexp.MustCompile(store).ReplaceAllString(global, here), sites)
			probes := regexp.MustCompile(`(?m)httpGet:\n +path: (\S+)\n +port: health\n`).FindAllStringSubmatch(manifest, -1)
			if len(probes) != 2 {
				t.Errorf("%d probes", len(probes))
			}
			for _, path := range append(probes, []string{"", "/oauth/token"}) {
				answer, err := http.Get("http://127.0.0.1:" + health + path[1])
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if good := path[0] != ""; (answer.StatusCode == http.StatusOK) != good {
					t.Errorf("%s: %s %s", path[1], answer.Status, body)
				}
			}
		})
	}
}

// TestDeploymentManifestsAreOfTheAPI has the program of testdata/kubernetes judge the manifests,
// and some that have a mistake.
func TestDeploymentManifestsAreOfTheAPI(t *testing.T) {
	if !programWanted("kubernetes") {
		t.Skip("set TEST_KUBERNETES=1 to make the schemas of the API")
	}
	program, err := scriptPrograms["kubernetes"]()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, file, from, to, want string }{
		{"as it is", "front.yaml", "", "", ""},
		{"as it is", "sidecar.yaml", "", "", ""},
		{"a misspelt field", "front.yaml", "readinessProbe:", "readynessProbe:", "readynessProbe"},
		{"a field twice", "front.yaml", "replicas: 3", "replicas: 3\n  replicas: 3", "replicas"},
		{"a text for a number", "front.yaml", "replicas: 3", "replicas: three", "Deployment.spec.replicas in body must be of type integer"},
		{"a text for a yes", "sidecar.yaml", "readOnlyRootFilesystem: true", `readOnlyRootFilesystem: "true"`, "readOnlyRootFilesystem in body must be of type boolean"},
		{"a number for a text", "front.yaml", "secretName: caddy-tokenep\n", "secretName: 7\n", "secretName in body must be of type string"},
		{"one for a list", "front.yaml", "policyTypes: [Ingress]", "policyTypes: Ingress", "NetworkPolicy.spec.policyTypes in body must be of type array"},
		{"a list for a port", "front.yaml", "targetPort: https", "targetPort: [https]", "targetPort"},
		{"a size that is none", "front.yaml", "memory: 1Gi", "memory: 1GiB", "quantities must match"},
		{"no selector", "front.yaml", "  selector:\n    matchLabels:\n      app.kubernetes.io/name: caddy-tokenep\n  # One", "  # One", "Deployment.spec.selector in body is required"},
		{"no name of a container", "sidecar.yaml", "- name: caddy\n          image:", "- image:", "name in body is required"},
		{"no path of a volume", "front.yaml", "mountPath: /data", "subPath: data", "mountPath in body is required"},
		{"no port", "front.yaml", "port: 443\n", "nodePort: 443\n", "port in body is required"},
		{"root", "front.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		{"all capabilities", "front.yaml", "drop: [ALL]", "drop: []", "capabilities"},
		{"no such volume", "front.yaml", "- name: admin\n              mountPath", "- name: adnim\n              mountPath", "no volume adnim"},
		{"no such port", "front.yaml", "targetPort: https", "targetPort: http", "port http"},
		{"a probe of no port", "front.yaml", "port: health", "port: heatlh", "a probe"},
		{"a value that there is not", "front.yaml", "type: LoadBalancer", "type: LoadBalancr", "Service.spec.type in body should be one of [ClusterIP "},
		{"a value in another case", "front.yaml", "type: RuntimeDefault", "type: runtimedefault", "seccompProfile.type in body should be one of [Localhost "},
		{"another API", "front.yaml", "policy/v1\n", "policy/v1beta1\n", "policy/v1beta1"},
	} {
		t.Run(test.file+" "+test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), test.file)
			text := deployFile(t, test.file)
			if !strings.Contains(text, test.from) {
				t.Fatalf("it has no %q", test.from)
			}
			writeFile(t, file, strings.Replace(text, test.from, test.to, 1))
			said, err := exec.Command(program, file).CombinedOutput()
			if (err != nil) != (test.want != "") || !strings.Contains(string(said), test.want) {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

// TestDeploymentSecretsAreMade requires that the page makes each secret that a manifest or the unit
// reads.
func TestDeploymentSecretsAreMade(t *testing.T) {
	page := repositoryFile(t, "caddymodule/docs/deployment.md")
	read := regexp.MustCompile(`/run/secrets/oauth/([\w.]+)|/etc/caddy/secrets/(\w+)`)
	for _, name := range []string{"front.yaml", "sidecar.yaml", "caddy-tokenep.service"} {
		found := read.FindAllStringSubmatch(deployFile(t, name), -1)
		if len(found) < 2 {
			t.Errorf("%s reads %d secrets", name, len(found))
		}
		for _, m := range found {
			if m[1] != "" && !strings.Contains(page, "--from-file="+m[1]) || m[2] != "" && !strings.Contains(page, "/etc/caddy/secrets/"+m[2]) {
				t.Errorf("%s: the page does not make %s", name, m[0])
			}
		}
		for _, m := range regexp.MustCompile(`secretName: (\S+)`).FindAllStringSubmatch(deployFile(t, name), -1) {
			if !regexp.MustCompile(`create secret \w+ ` + m[1] + " ").MatchString(page) {
				t.Errorf("%s: the page does not make the Secret %s", name, m[1])
			}
		}
	}
}

// TestDeploymentUnit reads the unit as systemd does, which judges it as well where it is there.
func TestDeploymentUnit(t *testing.T) {
	text := deployFile(t, "caddy-tokenep.service")
	options, section := map[string][]string{}, ""
	for n, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case !ok || section == "" || !regexp.MustCompile(`^[A-Z]\w+$`).MatchString(key):
			t.Errorf("line %d: %s", n+1, line)
		default:
			options[section+" "+key] = append(options[section+" "+key], value)
		}
	}
	for key, want := range map[string]string{
		"Unit StartLimitIntervalSec": "0", "Service Type": "notify", "Service Restart": "on-failure", "Service DynamicUser": "yes",
		"Service StateDirectory": "caddy", "Service ProtectSystem": "strict", "Service NoNewPrivileges": "yes",
		"Service SystemCallFilter": "@system-service ~@privileged @resources", "Service CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
	} {
		if got := strings.Join(options[key], " "); got != want {
			t.Errorf("%s=%s, expected %s", key, got, want)
		}
	}
	// The page's Caddyfile reads exactly the credentials.
	var loaded, read []string
	for _, credential := range options["Service LoadCredential"] {
		name, _, _ := strings.Cut(credential, ":")
		loaded = append(loaded, name)
	}
	page := strings.Join(blocks(t, "caddymodule/docs/deployment.md", "caddyfile"), "")
	for _, m := range regexp.MustCompile(`\{file\./run/credentials/caddy-tokenep\.service/(\w+)\}`).FindAllStringSubmatch(page, -1) {
		read = append(read, m[1])
	}
	slices.Sort(loaded)
	slices.Sort(read)
	if len(loaded) == 0 || !slices.Equal(loaded, read) {
		t.Errorf("the unit loads %v, and the Caddyfile of the page reads %v", loaded, read)
	}
	analyze := needed(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "caddy-tokenep.service")
	writeFile(t, unit, strings.ReplaceAll(text, "/usr/local/bin/caddy", "/bin/true"))
	if said, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("systemd-analyze verify: %v %s", err, said)
	}
	if said, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit).CombinedOutput(); err != nil {
		t.Errorf("it is exposed by more than 2.0: %v\n%s", err, said)
	}
}

// TestOlderVersionsReadNewerRecords puts a member into each record that is kept for long which this
// version does not know. The page promises that it is left out.
func TestOlderVersionsReadNewerRecords(t *testing.T) {
	c := newCaddy(t)
	const global = `oauth_server {
		issuer https://api.example.com
		store bolt %DIR%/oauth.db
	}`
	const sites = "%SITE% {\n\toauth_token\n}\n"
	c.mustLoad(global, sites)
	clients := "http://" + c.admin + "/oauth_server/default/clients"
	made, err := http.Post(clients, "application/json", strings.NewReader(`{"client_id":"reports","grant_types":["client_credentials"],"scope":"orders:read"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = made.Body.Close()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(c.dir, "oauth.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"client", "signing_keys"} {
		records, err := db.List(t.Context(), kind, "", "", store.MaxPage)
		if err != nil || len(records) == 0 {
			t.Fatalf("%s: %d records: %v", kind, len(records), err)
		}
		for _, r := range records {
			later := r
			later.Data = append([]byte(`{"of_a_later_version":[1],`), bytes.TrimPrefix(r.Data, []byte("{"))...)
			if err := db.Swap(t.Context(), r, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c.mustLoad(global, sites)
	if answer := c.get(clients+"/reports", ""); answer.status != http.StatusOK || !strings.Contains(answer.body, "orders:read") {
		t.Errorf("%+v", answer)
	}
	if answer := c.get(c.site+"/oauth/jwks", ""); answer.status != http.StatusOK {
		t.Errorf("%+v", answer)
	}
}
