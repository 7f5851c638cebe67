package caddymodule

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// caddyProcess is the Caddy that a script runs in the background.
type caddyProcess struct {
	cmd  *exec.Cmd     // nil: none
	done chan struct{} // closed when it has ended

	calls []func() error // wait for the requests in the background
}

type caddyKey struct{}

func scriptCaddy(ts *testscript.TestScript) *caddyProcess {
	return ts.Value(caddyKey{}).(*caddyProcess)
}

// scriptCaddyRun starts Caddy and waits for its pingback, as `caddy start` does: it comes when the configuration is loaded.
func scriptCaddyRun(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] caddy-run CADDYFILE")
	}
	c := scriptCaddy(ts)
	if c.cmd != nil {
		ts.Fatalf("Caddy is running already")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer func() { _ = listener.Close() }()
	environment := scriptEnvironment(ts)
	log, err := os.OpenFile(ts.MkAbs("caddy.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	written, err := log.Seek(0, io.SeekEnd)
	ts.Check(err)
	c.start(ts, log, environment, "--config", args[0], "--adapter", "caddyfile", "--pingback", listener.Addr().String())

	loaded := make(chan struct{})
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return // it ended instead
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		close(loaded)
	}()
	select {
	case <-loaded:
	case <-c.done:
		c.cmd = nil
	}
	_, _ = io.WriteString(ts.Stderr(), ts.ReadFile("caddy.log")[written:])
	if started := c.cmd != nil; started == neg {
		ts.Fatalf("did Caddy start? %v", started)
	}
}

func (c *caddyProcess) start(ts *testscript.TestScript, log *os.File, environment []string, args ...string) {
	c.cmd, c.done = exec.Command("caddy", append([]string{"run"}, args...)...), make(chan struct{})
	c.cmd.Dir, c.cmd.Env = ts.MkAbs("."), environment
	c.cmd.Stdin = strings.NewReader("the pingback sends this back")
	c.cmd.Stdout, c.cmd.Stderr = log, log
	ts.Check(c.cmd.Start())
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		_ = log.Close()
		close(done)
	}(c.cmd, c.done)
	ts.Defer(func() { c.end(os.Kill) })
}

// end sends the signal and waits for the process to be gone.
func (c *caddyProcess) end(signal os.Signal) {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Signal(signal)
	<-c.done
	c.cmd = nil
}

// scriptEnvironment returns the script's variables, which testscript gives to none but the commands that it runs itself.
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
	c := scriptCaddy(ts)
	if neg || len(args) > 0 || c.cmd == nil {
		ts.Fatalf("usage: caddy-stop or caddy-kill, after caddy-run")
	}
	c.end(signal)
}
