package caddymodule_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// xcaddyJSON is the content of xcaddy.json: the part of xcaddy's type Builder that is used, and
// what the plugin registers.
type xcaddyJSON struct {
	CaddyVersion string `json:"caddy_version"`
	Plugins      []struct {
		ModulePath string `json:"module_path"`
	} `json:"plugins"`
	Metadata struct {
		Modules       []string `json:"modules"`
		GlobalOptions []string `json:"global_options"`
		Directives    []string `json:"directives"`
		Commands      []string `json:"commands"`
		Tested        struct {
			Go    []string `json:"go"`
			Caddy []string `json:"caddy"`
		} `json:"tested"`
	} `json:"metadata"`
}

func TestXcaddyJSONTellsTheTruth(t *testing.T) {
	var x xcaddyJSON
	decoder := json.NewDecoder(strings.NewReader(repositoryFile(t, "xcaddy.json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&x); err != nil {
		t.Fatal(err)
	}
	goMod := repositoryFile(t, "go.mod")
	required := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(goMod)
		if m == nil {
			t.Fatalf("go.mod has no %s", pattern)
		}
		return m[1]
	}

	t.Run("versions", func(t *testing.T) {
		version := required(`(?m)^\s*github\.com/caddyserver/caddy/v2 (\S+)`)
		if x.CaddyVersion != version || !slices.Contains(x.Metadata.Tested.Caddy, version) {
			t.Errorf("caddy_version %s and tested %v, but go.mod requires %s", x.CaddyVersion, x.Metadata.Tested.Caddy, version)
		}
		if version := required(`(?m)^go (\d+\.\d+)`); !slices.Contains(x.Metadata.Tested.Go, version) {
			t.Errorf("tested with Go %v, but go.mod says %s", x.Metadata.Tested.Go, version)
		}
	})
	t.Run("plugin", func(t *testing.T) {
		if len(x.Plugins) != 1 || x.Plugins[0].ModulePath != required(`(?m)^module (\S+)`)+"/caddymodule" {
			t.Errorf("plugins %+v", x.Plugins)
		}
		if !strings.Contains(repositoryFile(t, "README.md"), "xcaddy build --with "+x.Plugins[0].ModulePath) {
			t.Error("README.md builds something else")
		}
	})
	t.Run("modules", func(t *testing.T) {
		if ours := registeredModules(t); !slices.Equal(x.Metadata.Modules, ours) {
			t.Errorf("modules %v, but registered are %v", x.Metadata.Modules, ours)
		}
	})
	t.Run("Caddyfile", func(t *testing.T) {
		registered := registrations(t, "RegisterGlobalOption")
		if !slices.Equal(x.Metadata.GlobalOptions, registered) {
			t.Errorf("global options %v, but registered are %v", x.Metadata.GlobalOptions, registered)
		}
		registered = slices.Concat(registrations(t, "RegisterDirective"), registrations(t, "RegisterHandlerDirective"))
		slices.Sort(registered)
		if !slices.Equal(x.Metadata.Directives, registered) {
			t.Errorf("directives %v, but registered are %v", x.Metadata.Directives, registered)
		}
		for _, directive := range x.Metadata.Directives {
			// A directive that is unknown or has no place in the order does not adapt.
			required := map[string]string{"oauth_verify": " {\n\t\taudience orders\n\t}"}[directive]
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("http://localhost {\n\t"+directive+required+"\n}\n"), nil)
			if err != nil {
				t.Errorf("%s: %v", directive, err)
			}
		}
	})
	t.Run("commands", func(t *testing.T) {
		for _, name := range x.Metadata.Commands {
			if _, ok := caddycmd.Commands()[name]; !ok {
				t.Errorf("there is no caddy %s", name)
			}
		}
		registered := registrations(t, "RegisterCommand")
		if len(registered) != len(x.Metadata.Commands) {
			t.Errorf("commands %v, but %d are registered", x.Metadata.Commands, len(registered))
		}
	})
}

// registeredModules returns the ids of the modules whose types are declared in packages of the
// plugin, sorted. Those of tests are in the package caddymodule_test or below testdata.
func registeredModules(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, id := range caddy.Modules() {
		info, err := caddy.GetModule(id)
		if err != nil {
			t.Fatal(err)
		}
		kind := reflect.TypeOf(info.New())
		if kind.Kind() != reflect.Pointer {
			continue
		}
		pkg := kind.Elem().PkgPath()
		if within(pkg, module+"/caddymodule") && !within(pkg, module+"/caddymodule/testdata") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// registrations returns the first arguments of the calls of a function in the sources of the
// plugin, sorted.
func registrations(t *testing.T, function string) []string {
	t.Helper()
	var found []string
	call := regexp.MustCompile(`\.` + function + `\("?([A-Za-z_]+)`)
	for _, s := range sources(t) {
		if s.isTest() || !s.under("caddymodule") {
			continue
		}
		for _, m := range call.FindAllStringSubmatch(repositoryFile(t, s.path), -1) {
			found = append(found, m[1])
		}
	}
	slices.Sort(found)
	return found
}
