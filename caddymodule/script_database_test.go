package caddymodule_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

type databaseKey struct{}

var databases = map[string]func(...string) (*servertest.Process, error){
	"redis": servertest.Redis, "postgres": servertest.Postgres, "slapd": servertest.Slapd,
}

// scriptCondition implements [redis], [postgres] and [slapd], which say whether that is installed,
// and the names of scriptPrograms. With CI set they are always true, so that a missing one is a
// failure.
func scriptCondition(name string) (bool, error) {
	if scriptPrograms[name] != nil {
		return programWanted(name), nil
	}
	if databases[name] == nil {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	return os.Getenv("CI") == "true" || servertest.Installed(name), nil
}

// engineNeeded skips a test without redis or postgres, unless CI is set.
func engineNeeded(t *testing.T, name string) {
	t.Helper()
	if installed, err := scriptCondition(name); err != nil {
		t.Fatal(err)
	} else if !installed {
		t.Skip(name, " is not installed: apt-get install redis-server postgresql")
	}
}

// scriptDatabase starts a server, which ends with the script. A directory has the entries of LDIF
// files.
func scriptDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || databases[args[0]] == nil {
		ts.Fatalf("usage: database redis|postgres|slapd [entries.ldif…]")
	}
	var settings []string
	for _, name := range args[1:] {
		settings = append(settings, ts.ReadFile(name))
	}
	s, err := databases[args[0]](settings...)
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

// scriptDatabaseReader makes a user of it who only reads.
func scriptDatabaseReader(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: database-reader NAME")
	}
	address, err := (*ts.Value(databaseKey{}).(**servertest.Process)).Reader(context.Background())
	ts.Check(err)
	ts.Setenv(args[0], address)
}
