package caddymodule_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// icebergWanted reports whether the client of testdata/iceberg is built: a module of its own, since
// nothing else needs what iceberg-go needs. It takes some minutes the first time.
func icebergWanted() bool { return os.Getenv("CI") == "true" || os.Getenv("TEST_ICEBERG") != "" }

// buildIceberg builds it once, and returns its path.
var buildIceberg = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "iceberg-client")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "iceberg")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(root, "caddymodule", "testdata", "iceberg")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	return program, build.Run()
})

// scriptIceberg runs iceberg-go: iceberg <catalog> <credential> <times>.
func scriptIceberg(ts *testscript.TestScript, neg bool, args []string) {
	program, err := buildIceberg()
	ts.Check(err)
	err = ts.Exec(program, args...)
	if (err != nil) != neg {
		ts.Fatalf("iceberg: %v", err)
	}
}
