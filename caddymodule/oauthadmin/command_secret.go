package oauthadmin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/term"
)

// maxSecretLine is the largest size of a secret or a token, in bytes.
const maxSecretLine = 64 << 10

// readSecret asks for a secret on the terminal, without echo. If standard input is not a terminal,
// it reads one line.
func readSecret(what string) (string, error) {
	var secret []byte
	var err error
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		secret, err = askSecret(fd, what)
	} else {
		secret, err = readLine(os.Stdin)
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	if len(secret) == 0 {
		return "", fmt.Errorf("%s is required; it is read from standard input", what)
	}
	return string(secret), nil
}

// askSecret reads a secret from the terminal, and restores that when it is interrupted.
func askSecret(fd int, what string) ([]byte, error) {
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	go func() {
		<-interrupted
		_ = term.Restore(fd, state)
		os.Exit(caddy.ExitCodeFailedStartup)
	}()
	_, _ = fmt.Fprintf(os.Stderr, "Enter %s: ", what)
	secret, err := term.ReadPassword(fd)
	_, _ = fmt.Fprintln(os.Stderr)
	return secret, err
}

// readLine returns a line without its end, \n or \r\n.
func readLine(r io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecretLine+1)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(line) > maxSecretLine {
		return nil, fmt.Errorf("more than %d bytes", maxSecretLine)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
}
