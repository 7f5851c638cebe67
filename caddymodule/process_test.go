package caddymodule_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
)

// process is a separate process of Caddy: the binary under test, as users run it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

var errEnded = errors.New("the process ended before it had started")

// startProcess starts a Caddy in a directory and waits for its pingback, as `caddy start` does,
// which comes when the configuration is loaded. It closes log when the process has ended. The
// process has files as descriptors 3 and up.
func startProcess(binary, dir string, environment []string, log *os.File, caddyfile string, files ...*os.File) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = listener.Close() }()
	cmd := exec.Command(binary, "run", "--config", caddyfile, "--adapter", "caddyfile", "--pingback", listener.Addr().String())
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environment, log, log
	cmd.ExtraFiles = files
	cmd.Stdin = strings.NewReader("the pingback sends this back")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
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
		return p, nil
	case <-p.done:
		return nil, errEnded
	}
}

// end sends the signal and waits for the process to be gone.
func (p *process) end(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	<-p.done
}
