package caddymodule_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptState is what a script runs in the background.
type scriptState struct {
	binary string              // that caddy-run starts
	caddys map[string]*process // by name; "" is the one without
	calls  []func() error      // wait for the requests in the background

	browsers map[string]*scriptBrowser // by name
}

type scriptStateKey struct{}

func scriptBackground(ts *testscript.TestScript) *scriptState {
	return ts.Value(scriptStateKey{}).(*scriptState)
}

// scriptCaddyRun starts one Caddy, or all the named ones at once.
func scriptCaddyRun(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: [!] caddy-run CADDYFILE [NAME…]")
	}
	names := args[1:]
	if len(names) == 0 {
		names = []string{""}
	}
	environment := scriptEnvironment(ts)
	starts := make([]start, len(names))
	for i, name := range names {
		if scriptBackground(ts).caddys[name] != nil {
			ts.Fatalf("Caddy %s is running already", name)
		}
		starts[i] = prepare(ts, name, environment)
	}
	var all sync.WaitGroup
	for i := range starts {
		all.Go(func() { starts[i].run(scriptBackground(ts).binary, ts.MkAbs("."), args[0]) })
	}
	all.Wait()
	ts.Defer(func() {
		for _, s := range starts {
			if s.process != nil {
				s.process.end(os.Kill)
			}
		}
	})
	for _, s := range starts {
		_, _ = io.WriteString(ts.Stderr(), ts.ReadFile(s.log.Name())[s.written:])
		if started := s.err == nil; started == neg || s.err != nil && !errors.Is(s.err, errEnded) {
			ts.Fatalf("did Caddy %s start? %v %v", s.name, started, s.err)
		}
		if s.err == nil {
			scriptBackground(ts).caddys[s.name] = s.process
		}
	}
}

// start is a Caddy that is being started.
type start struct {
	name        string
	environment []string
	log         *os.File
	written     int64 // how long the log was before

	process *process
	err     error
}

// prepare sets up a home, a site and an admin address for a Caddy with a name. They stay the same
// when it is started again.
func prepare(ts *testscript.TestScript, name string, environment []string) start {
	s := start{name: name, environment: environment}
	log := "caddy.log"
	if name != "" {
		log = name + ".log"
		s.environment = append(s.environment, "SITE="+scriptAddress(ts, name), "CADDY_ADMIN="+scriptAddress(ts, name+"_ADMIN"),
			"XDG_DATA_HOME="+filepath.Join(ts.MkAbs("home"), name, "data"), "XDG_CONFIG_HOME="+filepath.Join(ts.MkAbs("home"), name, "config"))
	}
	var err error
	s.log, err = os.OpenFile(ts.MkAbs(log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	s.written, err = s.log.Seek(0, io.SeekEnd)
	ts.Check(err)
	return s
}

func (s *start) run(binary, dir, caddyfile string) {
	s.process, s.err = startProcess(binary, dir, s.environment, s.log, caddyfile)
}

// scriptAddress returns the address in a variable. If that is empty, it sets it to a free address.
func scriptAddress(ts *testscript.TestScript, variable string) string {
	if ts.Getenv(variable) == "" {
		port, err := freePort()
		ts.Check(err)
		ts.Setenv(variable, "127.0.0.1:"+port)
	}
	return ts.Getenv(variable)
}

// scriptEnvironment returns the script's variables, which testscript passes only to commands that
// it runs itself.
func scriptEnvironment(ts *testscript.TestScript) []string {
	ts.Check(ts.Exec("caddy", "environ"))
	return strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
}

func scriptCaddyReload(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] caddy-reload CADDYFILE")
	}
	err := ts.Exec("caddy", "reload", "--force", "--config", args[0], "--adapter", "caddyfile")
	if loaded := err == nil; loaded == neg {
		ts.Fatalf("did Caddy load it? %v", loaded)
	}
}

func scriptCaddyStop(ts *testscript.TestScript, neg bool, args []string) {
	scriptCaddyEnd(ts, neg, args, os.Interrupt)
}

func scriptCaddyKill(ts *testscript.TestScript, neg bool, args []string) {
	scriptCaddyEnd(ts, neg, args, os.Kill)
}

func scriptCaddyEnd(ts *testscript.TestScript, neg bool, args []string, signal os.Signal) {
	if len(args) == 0 {
		args = []string{""}
	}
	running := scriptBackground(ts).caddys
	for _, name := range args {
		p := running[name]
		if neg || p == nil {
			ts.Fatalf("usage: caddy-stop or caddy-kill [NAME…], after caddy-run; running are %q", slices.Sorted(maps.Keys(running)))
		}
		p.end(signal)
		delete(running, name)
	}
}
