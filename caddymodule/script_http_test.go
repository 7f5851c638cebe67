package caddymodule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptHTTP makes one request. Redirects are answers like others.
func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] http METHOD URL [-H 'Name: value']… [-u user:password] [-d body | -json body] [-status code]")
	}
	request, err := http.NewRequest(args[0], args[1], nil)
	ts.Check(err)
	status := 0
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(ts.Stderr())
	flags.Func("d", "", requestBody(request, "application/x-www-form-urlencoded"))
	flags.Func("json", "", requestBody(request, "application/json"))
	flags.IntVar(&status, "status", 0, "")
	flags.Func("H", "", headerLine(request))
	flags.Func("u", "", func(pair string) error {
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	})
	ts.Check(flags.Parse(args[2:]))
	if flags.NArg() > 0 {
		ts.Fatalf("http: what is %q?", flags.Args())
	}

	response, err := scriptClient.Do(request)
	ts.Check(err)
	defer func() { _ = response.Body.Close() }()
	_, _ = fmt.Fprintln(ts.Stderr(), response.Proto, response.Status)
	ts.Check(response.Header.Write(ts.Stderr()))
	_, err = io.Copy(ts.Stdout(), response.Body)
	ts.Check(err)

	good := response.StatusCode/100 == 2
	if status != 0 {
		good = response.StatusCode == status
	}
	if good == neg {
		ts.Fatalf("unexpected status %s", response.Status)
	}
}

var scriptClient = http.Client{
	Timeout:       30 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true}, // a script may have stopped and started Caddy in between
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// headerLine returns a flag that adds a header line to r.
func headerLine(r *http.Request) func(string) error {
	return func(line string) error {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("header %q has no colon", line)
		}
		value = strings.TrimSpace(value)
		switch http.CanonicalHeaderKey(name) {
		case "Host":
			r.Host = value
		case "Content-Type":
			r.Header.Set(name, value)
		default:
			r.Header.Add(name, value)
		}
		return nil
	}
}

// requestBody returns a flag that sets the body of r.
func requestBody(r *http.Request, contentType string) func(string) error {
	return func(text string) error {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		if r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", contentType)
		}
		return nil
	}
}

// scriptJWT prints what a JWT says (RFC 7519 §3.1).
func scriptJWT(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jwt TOKEN")
	}
	parts := strings.Split(args[0], ".")
	if len(parts) != 3 {
		ts.Fatalf("a JWT has three parts, this has %d", len(parts))
	}
	for _, part := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		ts.Check(err)
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		ts.Check(decoder.Decode(&object))
		sorted, err := json.MarshalIndent(object, "", "  ")
		ts.Check(err)
		_, _ = fmt.Fprintf(ts.Stdout(), "%s\n", sorted)
	}
}

// scriptSave sets a variable to the last stdout or to a member of it.
func scriptSave(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: save NAME [PATH]")
	}
	text := strings.TrimRight(ts.ReadFile("stdout"), "\r\n")
	if len(args) == 1 {
		ts.Setenv(args[0], text)
		return
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	ts.Check(decoder.Decode(&value))
	for _, step := range strings.Split(args[1], ".") {
		if value = member(value, step); value == nil {
			ts.Fatalf("no %q of %s in %s", step, args[1], text)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(value))
}

// member returns a member of an object or, counted from 0, of an array.
func member(value any, step string) any {
	switch value := value.(type) {
	case map[string]any:
		return value[step]
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(value) {
			return value[i]
		}
	}
	return nil
}

func scriptFreePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeport NAME…")
	}
	for _, name := range args {
		port, err := freePort()
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

// freePort returns a loopback port that nobody listens on.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
