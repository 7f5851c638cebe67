package caddymodule_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptUpstream starts an API that knows nothing of OAuth, and answers with the request that it
// has received.
func scriptUpstream(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: upstream NAME")
	}
	held, released := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hold":
			meet(r, held)
			meet(r, released)
		case "/held":
			meet(r, held)
		case "/release":
			meet(r, released)
		}
		echo(w, r)
	}))
	ts.Setenv(args[0], server.Listener.Addr().String())
	ts.Defer(server.Close)
}

// meet returns when another request waits for this one.
func meet(r *http.Request, where chan struct{}) {
	select {
	case where <- struct{}{}:
	case <-where:
	case <-r.Context().Done():
	}
}

// echo writes the request as it came.
func echo(w io.Writer, r *http.Request) {
	body, err := io.ReadAll(r.Body) // the trailers come after it
	_, _ = fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
	printHeader(w, r.Header)
	_, _ = fmt.Fprintf(w, "\nbody %s\n", body)
	for name, values := range r.Trailer {
		_, _ = fmt.Fprintf(w, "trailer %s: %s\n", name, strings.Join(values, ", "))
	}
	if err != nil {
		_, _ = fmt.Fprintf(w, "error %v\n", err)
	}
}

// printHeader writes a header in lines that a regular expression can match to their end, sorted by
// name.
func printHeader(w io.Writer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			_, _ = fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
}

// scriptRaw sends bytes that no HTTP client would send. They must ask for the connection to be
// closed.
func scriptRaw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: raw ADDRESS FILE")
	}
	conn, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer func() { _ = conn.Close() }()
	ts.Check(conn.SetDeadline(time.Now().Add(30 * time.Second)))
	message := os.Expand(ts.ReadFile(args[1]), ts.Getenv)
	_, err = io.WriteString(conn, strings.ReplaceAll(message, "\n", "\r\n"))
	ts.Check(err)
	answer, err := io.ReadAll(conn)
	ts.Check(err)
	_, _ = io.WriteString(ts.Stdout(), strings.ReplaceAll(string(answer), "\r\n", "\n"))
}
