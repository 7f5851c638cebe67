package caddymodule_test

import (
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

type databaseKey struct{}

var databases = map[string]func(...string) (*servertest.Process, error){
	"redis": servertest.Redis, "postgres": servertest.Postgres,
}

// scriptCondition implements [redis] and [postgres], which say whether that is installed. With CI
// set they are always true, so that a missing one is a failure.
func scriptCondition(name string) (bool, error) {
	if databases[name] == nil {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	return os.Getenv("CI") == "true" || servertest.Installed(name), nil
}

// scriptDatabase starts a server, which ends with the script.
func scriptDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || databases[args[0]] == nil {
		ts.Fatalf("usage: database redis|postgres")
	}
	s, err := databases[args[0]]()
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Setenv("DATABASE_URL", s.URL)
	ts.Setenv("DATABASE_PORT", s.Port)
	ts.Setenv("DATABASE_PASSWORD", servertest.Password)
	*ts.Value(databaseKey{}).(**servertest.Process) = s
}

// scriptDatabaseKill ends the server as kill -9 does.
func scriptDatabaseKill(ts *testscript.TestScript, _ bool, _ []string) {
	(*ts.Value(databaseKey{}).(**servertest.Process)).Kill()
}

// scriptDatabaseStart starts it again.
func scriptDatabaseStart(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check((*ts.Value(databaseKey{}).(**servertest.Process)).Start())
}
