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

// ErrMissing is why a server cannot be started where it is not installed.
var ErrMissing = errors.New("not installed")

// patience is how long a server may take to come up, on a machine that is busy.
const patience = 30 * time.Second

// A Server is a process that serves one database.
type Server struct {
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

// Password is that of each server; tests look for it where it must not be.
const Password = "pass/word-of@the:server"

// Installed reports whether the server, redis or postgres, could be started here.
func Installed(name string) bool {
	var err error
	switch name {
	case "redis":
		_, err = findRedis()
	case "postgres":
		_, _, err = findPostgres()
	}
	return err == nil
}

// Start starts the process, again after Stop or Kill, and returns when it answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.run(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// What a killed server leaves behind may hold the files for a moment.
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *Server) run(ctx context.Context) error {
	s.cmd, s.ended = s.command(), make(chan struct{})
	s.output.Reset()
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server has ended: %s", s.output.Bytes())
		case <-ctx.Done():
			s.end(syscall.SIGKILL)
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill ends the process as kill -9 does.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Pause stops the process and its children where they are: connections are
// still accepted, and nothing is answered. Resume lets them go on.
func (s *Server) Pause() { s.send(pause) }

// Resume ends a Pause.
func (s *Server) Resume() { s.send(resume) }

func (s *Server) send(signal os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	for _, pid := range children(s.cmd.Process.Pid) {
		if child, err := os.FindProcess(pid); err == nil {
			_ = child.Signal(signal)
		}
	}
}

func (s *Server) signal(signal os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(signal)
}

func (s *Server) end(signal os.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
}

// Close ends the process and removes its files.
func (s *Server) Close() {
	s.Resume() // or children that are stopped would never see that it has gone
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// For returns a server that ends with the test, and skips the test where it is
// not installed. With CI set it fails instead.
func For(tb testing.TB, start func(...string) (*Server, error), settings ...string) *Server {
	tb.Helper()
	s, err := start(settings...)
	Check(tb, err)
	tb.Cleanup(s.Close)
	return s
}

// Check skips or fails the test if a server did not start.
func Check(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
}

// launch finds a free port and starts the server on it. Another process
// may have the port before the server does, and then the next is tried.
func launch(dir string, on func(port string) *Server) (*Server, error) {
	var err error
	for range 3 {
		var port string
		if port, err = freePort(); err != nil {
			break
		}
		s := on(port)
		s.Port, s.dir = port, dir
		if err = s.Start(); err == nil {
			return s, nil
		}
		s.Kill()
	}
	_ = os.RemoveAll(dir)
	return nil, err
}

// FreePort returns a port of 127.0.0.1 that nobody listens on, for a server that
// needs a second one.
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
