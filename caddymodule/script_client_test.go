package caddymodule_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptClients build the programs of testdata that are modules of their own, since nothing else
// needs what they need: each once, when the first script wants it.
var scriptClients = map[string]func() (string, error){
	"iceberg": buildClient("iceberg"),
	"mcp":     buildClient("mcp"),
}

// clientWanted reports whether a program is built, which takes a minute or more the first time.
func clientWanted(name string) bool {
	return os.Getenv("CI") == "true" || os.Getenv("TEST_"+strings.ToUpper(name)) != ""
}

func buildClient(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", name+"-client")
		if err != nil {
			return "", err
		}
		program := filepath.Join(dir, name)
		build := exec.Command("go", "build", "-o", program, ".")
		build.Dir = filepath.Join(root, "caddymodule", "testdata", name)
		build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		return program, build.Run()
	})
}

// runScriptClient returns the command of scripts that runs such a program.
func runScriptClient(name string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		program, err := scriptClients[name]()
		ts.Check(err)
		if err := ts.Exec(program, args...); (err != nil) != neg {
			ts.Fatalf("%s: %v", name, err)
		}
	}
}
