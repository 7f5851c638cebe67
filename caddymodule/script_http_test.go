package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// call is one use of the command http: a request, how often it is made, and what the answer must
// be.
type call struct {
	request    *http.Request
	body       string
	status     int // 0: any 2xx
	neg        bool
	times      int
	within     time.Duration // 0: ask once
	background bool
	browser    *scriptBrowser // nil: none
}

// answer is the result of a request.
type answer struct {
	line, body string
	status     int
	header     http.Header
}

// scriptHTTP makes requests. It does not follow redirects.
func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	c := parseCall(ts, args)
	c.neg = neg
	if !c.background {
		began := time.Now()
		answers := c.make()
		if c.within > 0 {
			ts.Logf("after %s", time.Since(began).Round(time.Millisecond))
		}
		ts.Check(c.finish(ts, answers))
		return
	}
	pending := make(chan []answer, 1)
	go func() { pending <- c.make() }()
	background := scriptBackground(ts)
	background.calls = append(background.calls, func() error { return c.finish(ts, <-pending) })
}

// scriptHTTPWait waits for the requests that were made in the background.
func scriptHTTPWait(ts *testscript.TestScript, neg bool, args []string) {
	background := scriptBackground(ts)
	if neg || len(args) > 0 || len(background.calls) == 0 {
		ts.Fatalf("usage: http-wait, after http -background")
	}
	for _, finish := range background.calls {
		ts.Check(finish())
	}
	background.calls = nil
}

func parseCall(ts *testscript.TestScript, args []string) *call {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] http METHOD URL [flags]; see TestScript")
	}
	request, err := http.NewRequest(args[0], args[1], nil)
	ts.Check(err)
	c := &call{request: request}
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(ts.Stderr())
	flags.Func("d", "", c.setBody("application/x-www-form-urlencoded"))
	flags.Func("json", "", c.setBody("application/json"))
	flags.IntVar(&c.status, "status", 0, "")
	flags.IntVar(&c.times, "n", 1, "")
	flags.BoolFunc("eventually", "", func(string) error { c.within = 20 * time.Second; return nil })
	flags.DurationVar(&c.within, "within", 0, "")
	flags.BoolVar(&c.background, "background", false, "")
	flags.Func("browser", "", func(name string) error { c.browser = browserOf(ts, name); return nil })
	flags.Func("H", "", headerLine(request))
	flags.Func("u", "", func(pair string) error {
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	})
	ts.Check(flags.Parse(args[2:]))
	if flags.NArg() > 0 {
		ts.Fatalf("http: what is %q?", flags.Args())
	}
	return c
}

// make makes the requests, all at once. If the command says so, it repeats them until all answers
// are as wanted.
func (c *call) make() []answer {
	for deadline := time.Now().Add(c.within); ; time.Sleep(20 * time.Millisecond) {
		answers := make([]answer, c.times)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = c.once() })
		}
		all.Wait()
		if !slices.ContainsFunc(answers, func(a answer) bool { return !c.wanted(a) }) || time.Now().After(deadline) {
			return answers
		}
	}
}

// once makes one request. If it fails, the answer has status 0.
func (c *call) once() answer {
	request := c.request.Clone(context.Background())
	if c.body != "" {
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.body)), nil }
		request.Body, _ = request.GetBody()
		request.ContentLength = int64(len(c.body))
	}
	response, err := c.browser.send(request)
	if err != nil {
		return answer{line: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{line: err.Error()}
	}
	return answer{line: response.Proto + " " + response.Status, status: response.StatusCode, header: response.Header, body: string(body)}
}

func (c *call) wanted(a answer) bool {
	good := a.status/100 == 2
	if c.status != 0 {
		good = a.status == c.status
	}
	return good != c.neg && a.status != 0
}

// finish prints the answers, equal ones once, and fails for those that are not as wanted.
func (c *call) finish(ts *testscript.TestScript, answers []answer) error {
	var bad error
	for i, a := range answers {
		if i > 0 && a.body == answers[i-1].body && a.line == answers[i-1].line {
			continue
		}
		_, _ = fmt.Fprintln(ts.Stderr(), a.line)
		printHeader(ts.Stderr(), a.header)
		_, _ = io.WriteString(ts.Stdout(), a.body)
		if !c.wanted(a) {
			bad = fmt.Errorf("%s %s: unexpected answer %s", c.request.Method, c.request.URL, a.line)
		}
	}
	return bad
}

var scriptClient = http.Client{
	Timeout: 30 * time.Second,
	// No connection is kept: a script may stop and start Caddy between two requests.
	Transport:     &http.Transport{MaxIdleConnsPerHost: -1},
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

// setBody returns a flag that sets the body.
func (c *call) setBody(contentType string) func(string) error {
	return func(text string) error {
		c.body = text
		if c.request.Header.Get("Content-Type") == "" {
			c.request.Header.Set("Content-Type", contentType)
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

// scriptCapture sets a variable to a part of the last stdout or stderr.
func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[1] != "stdout" && args[1] != "stderr" {
		ts.Fatalf("usage: capture NAME stdout|stderr REGEXP")
	}
	expression, err := regexp.Compile(args[2])
	ts.Check(err)
	text := ts.ReadFile(args[1])
	found := expression.FindStringSubmatch(text)
	if len(found) != 2 {
		ts.Fatalf("capture: %s is not in\n%s", args[2], text)
	}
	ts.Setenv(args[0], html.UnescapeString(found[1]))
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

// lastPort counts the ports that freePort has returned. The kernel uses ports from 32768 up for
// outgoing connections, so that lower ones stay free until Caddy listens.
var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(10_000)) }

// freePort returns a loopback port on which nobody listens, and which it has not returned before.
func freePort() (string, error) {
	for {
		port := strconv.Itoa(20_000 + int(lastPort.Add(1)%12_000))
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return port, listener.Close()
	}
}
