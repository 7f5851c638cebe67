package servertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ErrMissing is the error for a server, or another program, that is not installed.
var ErrMissing = errors.New("not installed")

// patience is how long a database server may take to start, on a busy machine.
const patience = 30 * time.Second

// A Process is the process of a private database server.
type Process struct {
	URL  string // how a client connects, with the password
	Port string // on 127.0.0.1

	dir     string
	command func() *exec.Cmd
	ping    func(ctx context.Context) error

	mu     sync.Mutex
	cmd    *exec.Cmd // nil: not running
	ended  chan struct{}
	output bytes.Buffer
}

// Password is the password of every Process. Tests check that it does not appear where it must not.
const Password = "pass/word-of@the:server"

// Installed reports whether redis, postgres or slapd is installed.
func Installed(name string) bool {
	var err error
	switch name {
	case "redis":
		_, err = findRedis()
	case "postgres":
		_, _, err = findPostgres()
	case "slapd":
		_, _, err = findSlapd()
	}
	return err == nil
}

// Start starts the process, for the first time or after Kill, and returns when it answers. It is of
// no one test: several share a server.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Of the process, which several tests share.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := p.run(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// Children of a killed process may hold the files for a moment.
		time.Sleep(50 * time.Millisecond)
	}
}

func (p *Process) run(ctx context.Context) error {
	p.cmd, p.ended = p.command(), make(chan struct{})
	p.output.Reset()
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(p.cmd, p.ended)
	for {
		err := p.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the process has ended: %s", p.output.Bytes())
		case <-ctx.Done():
			p.end(syscall.SIGKILL)
			return fmt.Errorf("the process does not answer: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill ends the process as kill -9 does.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Pause suspends the process and its children: connections are still accepted, and nothing is
// answered. Resume continues them.
func (p *Process) Pause() { p.send(pause) }

// Resume ends a Pause.
func (p *Process) Resume() { p.send(resume) }

func (p *Process) send(signal os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	for _, pid := range children(p.cmd.Process.Pid) {
		if child, err := os.FindProcess(pid); err == nil {
			_ = child.Signal(signal)
		}
	}
}

func (p *Process) signal(signal os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(signal)
}

func (p *Process) end(signal os.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	p.cmd = nil
}

// Close ends the process and removes its files.
func (p *Process) Close() {
	p.Resume() // suspended children would not notice its end
	p.Kill()
	_ = os.RemoveAll(p.dir)
}

// For returns a Process that ends with the test. If the database server is not installed, the test
// is skipped, or fails with CI=true.
func For(tb testing.TB, start func(...string) (*Process, error), settings ...string) *Process {
	tb.Helper()
	p, err := start(settings...)
	Check(tb, err)
	tb.Cleanup(p.Close)
	return p
}

// Check ends the test if what it needs did not start, or is missing, like For.
func Check(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
}

// launch finds a free port and starts the Process on it. If another process takes the port first,
// it tries the next.
func launch(dir string, on func(port string) *Process) (*Process, error) {
	var err error
	for range 3 {
		var port string
		if port, err = freePort(); err != nil {
			break
		}
		p := on(port)
		p.Port, p.dir = port, dir
		if err = p.Start(); err == nil {
			return p, nil
		}
		p.Kill()
	}
	_ = os.RemoveAll(dir)
	return nil, err
}

// FreePort returns a free port of 127.0.0.1, for a Process that needs a second one.
func FreePort(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	check(tb, err)
	return port
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
