package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPrograms build what some scripts and tests run beside the binary under test, each once,
// when the first one wants it: the programs of testdata that are modules of their own, since
// nothing else needs what they need, and Caddy as users build it.
var scriptPrograms = map[string]func() (string, error){
	"iceberg":    buildModule("iceberg"),
	"kubernetes": sync.OnceValues(buildKubernetes),
	"mcp":        buildModule("mcp"),
	"xcaddy":     sync.OnceValues(buildByXcaddy),
}

// programWanted reports whether a program is built, which takes a minute or more the first time.
func programWanted(name string) bool {
	return os.Getenv("CI") == "true" || os.Getenv("TEST_"+strings.ToUpper(name)) != ""
}

func buildModule(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		return build(name, filepath.Join(root, "caddymodule", "testdata", name), []string{"GOFLAGS=-mod=mod", "CGO_ENABLED=0"},
			"build", "-o")
	})
}

// buildKubernetes builds a copy of the module, since a part of it is generated.
func buildKubernetes() (string, error) {
	dir, err := os.MkdirTemp("", "kubernetes")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "caddymodule", "testdata", "kubernetes"))); err != nil {
		return "", err
	}
	environment := []string{"GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0"}
	generate := exec.Command("go", "generate", ".")
	generate.Dir, generate.Env, generate.Stderr = dir, append(os.Environ(), environment...), os.Stderr
	if err := generate.Run(); err != nil {
		return "", err
	}
	return build("kubernetes", dir, environment, "build", "-o")
}

// build runs the go command in a folder, with the path of the program that it makes at the end.
func build(name, folder string, environment []string, args ...string) (string, error) {
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, name)
	cmd := exec.Command("go", append(args, program)...)
	cmd.Dir, cmd.Env = folder, append(append(os.Environ(), "GOWORK=off"), environment...)
	cmd.Stderr = os.Stderr
	return program, cmd.Run()
}

// xcaddyVersion is that of the program which builds Caddy with plugins.
const xcaddyVersion = "v0.4.5"

// buildByXcaddy runs the line of the README, with --replace, since what it builds is this tree. It
// has the flags of the other builds, and so their cache. The module of this tree may be in no
// repository yet: of that, the go command hears from a proxy of its own that there is none.
func buildByXcaddy() (string, error) {
	list, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(string(list)), "|", ","), ",")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/"+module) {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, strings.TrimSuffix(first, "/")+r.RequestURI, http.StatusFound)
	}))
	defer proxy.Close()
	tree, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "xcaddy.json"))
	if err != nil {
		return "", err
	}
	var x xcaddyJSON
	if err := json.Unmarshal(text, &x); err != nil {
		return "", err
	}
	return build("caddy", root, []string{"GOPROXY=" + proxy.URL, "GOFLAGS=", "XCADDY_GO_BUILD_FLAGS=-tags=nobadger,nomysql,nopgx"},
		"run", "github.com/caddyserver/xcaddy/cmd/xcaddy@"+xcaddyVersion, "build", x.CaddyVersion,
		"--with", x.Plugins[0].ModulePath, "--replace", module+"="+tree, "--output")
}

// scriptXcaddy has caddy-run start a Caddy that xcaddy has built.
func scriptXcaddy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: xcaddy")
	}
	program, err := scriptPrograms["xcaddy"]()
	ts.Check(err)
	scriptBackground(ts).binary = program
}

// runProgram returns the command of scripts that runs a program.
func runProgram(name string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		program, err := scriptPrograms[name]()
		ts.Check(err)
		if err := ts.Exec(program, args...); (err != nil) != neg {
			ts.Fatalf("%s: %v", name, err)
		}
	}
}
