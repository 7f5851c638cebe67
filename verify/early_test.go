package verify_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	post = "POST / HTTP/1.1\nHost: x\n"
	form = post + "Content-Type: application/x-www-form-urlencoded\n"
	bad  = "Authorization: Bearer junk\n"
	good = "Authorization: Bearer TOKEN\n"
)

// some is the beginning of a body, much of which is to come.
var some = strings.Repeat("a", 1<<10)

// newSecure is newServer, over TLS.
func newSecure(tb testing.TB, h http.Handler) *httptest.Server {
	tb.Helper()
	server := httptest.NewTLSServer(h)
	tb.Cleanup(server.Close)
	return server
}

// chunk is text as a chunk (RFC 9112 §7.1).
func chunk(text string) string { return fmt.Sprintf("%x\n%s\n", len(text), text) }

// RFC 9112 §9.6: a refusal does not wait for a body that nobody will read. It is the last answer of
// its connection, and says so; the end follows without a reset, whether the rest of the body is
// sent or not.
func TestRefusalDoesNotWait(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"read"}, FormToken: true}
	plain, secure := newServer(t, guard.Handler(http.HandlerFunc(echo))), newSecure(t, guard.Handler(http.HandlerFunc(echo)))
	token := issuer.Sign(nil) // without scope
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"no token", post + "Content-Length: 300000\n\n" + some, 401},
		{"bad token", post + bad + "Content-Length: 10\n\n", 401},
		{"malformed", post + "Authorization: Bearer\nContent-Length: 5000\n\n" + some, 400},
		{"too little scope", post + good + "Content-Length: 5000\n\n" + some, 403},
		{"10 GB", post + "Content-Length: 10000000000\n\n" + some, 401},
		{"chunked", post + "Transfer-Encoding: chunked\n\n" + chunk(some), 401},
		{"in the middle of a chunk", post + "Transfer-Encoding: chunked\n\nffff\n" + some, 401},
		{"RFC 9110 §10.1.1 Expect", post + "Expect: 100-continue\nContent-Length: 5000\n\n", 401},
		{"GET", "GET / HTTP/1.1\nHost: x\nContent-Length: 5000\n\n" + some, 401},
		{"DELETE", "DELETE / HTTP/1.1\nHost: x\nContent-Length: 5000\n\n" + some, 401},
		{"the client wants to go on", post + "Connection: keep-alive\nContent-Length: 5000\n\n" + some, 401},
		{"HTTP/1.0", "POST / HTTP/1.0\nContent-Length: 5000\nConnection: keep-alive\n\n" + some, 401},
		{"a form that is too large", form + "Content-Length: 70000\n\n" + some, 400},
		{"a chunked form that is too large", form + "Transfer-Encoding: chunked\n\n" + chunk(strings.Repeat(some, 65)), 400},
	} {
		for name, server := range map[string]*httptest.Server{"": plain, ", TLS": secure} {
			t.Run(c.name+name, func(t *testing.T) {
				t.Parallel()
				client := newTalk(t, server)
				client.send(strings.ReplaceAll(c.request, "TOKEN", token))
				client.ends(c.status)
			})
		}
	}
	t.Run("a body that was sent", func(t *testing.T) {
		t.Parallel()
		client := newTalk(t, plain)
		client.send(post + "Content-Length: 1048576\n\n")
		go func() { _, _ = io.WriteString(client, strings.Repeat(some, 1<<10)) }()
		client.ends(401)
	})
}

// A refusal keeps its connection if there is no body, or none is left. The next request is
// answered, also when it was sent before the refusal, and nothing of the refusal is left on for its
// handler: net/http reads the body that the handler did not, and keeps the connection.
func TestRefusalKeepsConnection(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier(), FormToken: true}
	after := make(chan error, 1) // what the handler reads of the body when its answer has begun
	server := newServer(t, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, err := r.Body.Read(make([]byte, 1))
		after <- err
	})))
	next := strings.ReplaceAll(post+good+"Content-Length: 5\n\nhello", "TOKEN", issuer.Sign(nil))
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"GET", get + "\n", 401},
		{"an empty body", post + bad + "Content-Length: 0\n\n", 401},
		{"an empty body that is expected", post + "Expect: 100-continue\nContent-Length: 0\n\n", 401},
		{"a form that was read", form + "Content-Length: 17\n\naccess_token=junk", 401},
		{"a form without a token", form + "Content-Length: 3\n\na=b", 401},
		{"a form that is empty", form + "Content-Length: 0\n\n", 401},
		{"a chunked form", form + "Transfer-Encoding: chunked\n\n" + chunk("access_token=junk") + "0\n\n", 401},
		{"a form of 64 KiB", form + "Content-Length: 65536\n\n" + strings.Repeat(some, 64), 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newTalk(t, server)
			client.send(c.request + next + c.request + next)
			for range 2 {
				client.stays(c.status)
				client.stays(200)
				if err := <-after; !errors.Is(err, http.ErrBodyReadAfterClose) {
					t.Errorf("the next handler reads on while it answers: %v", err)
				}
			}
		})
	}
}

// RFC 9113 §8.1: over HTTP/2 the stream ends before its body does. Other streams go on.
func TestRefusalEndsStream(t *testing.T) {
	issuer := newIssuer()
	h := (&verify.Guard{Verifier: issuer.Verifier()}).Handler(http.HandlerFunc(echo))
	secure := httptest.NewUnstartedServer(h)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	h2c := httptest.NewUnstartedServer(h)
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	t.Cleanup(h2c.Close)
	transport := &http.Transport{Protocols: h2c.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	for name, c := range map[string]struct {
		url    string
		client *http.Client
	}{"TLS": {secure.URL, secure.Client()}, "h2c": {h2c.URL, &http.Client{Transport: transport}}} {
		t.Run(name, func(t *testing.T) {
			for i := range 3 {
				body, more := io.Pipe() // from which nothing comes
				defer more.Close()
				reused := false
				trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
				r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", c.url, body)
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got.Body.Close()
				if got.ProtoMajor != 2 || got.StatusCode != 401 || got.Header.Get("Connection") != "" {
					t.Errorf("HTTP/%d %d %v", got.ProtoMajor, got.StatusCode, got.Header)
				}
				if reused != (i > 0) {
					t.Errorf("request %d: the connection was there before: %v", i, reused)
				}
			}
		})
	}
}

// hidden is a writer of a middleware that hides the one of the server.
type hidden struct{ http.ResponseWriter }

// wrapped is one that does not.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Another handler may write the answer, with any header and any length. It can read the body, and
// may fail.
func TestAnswerEarlyOfAnother(t *testing.T) {
	guard := &verify.Guard{Verifier: newIssuer().Verifier()}
	behind := func(write http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(r.Context())
			if _, err := guard.Admit(r); err == nil {
				t.Error("admitted")
			}
			verify.AnswerEarly(wrapped{wrapped{w}}, r)
			write(w, r)
		})
	}
	for _, c := range []struct {
		name  string
		write http.HandlerFunc
		body  string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, ""},
		{"another Connection", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "keep-alive") }, ""},
		{"no Connection", func(w http.ResponseWriter, _ *http.Request) { w.Header().Del("Connection") }, ""},
		{"in parts", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = io.WriteString(w, some)
				_ = http.NewResponseController(w).Flush()
			}
		}, strings.Repeat(some, 100)},
		{"a part of the body", func(w http.ResponseWriter, r *http.Request) { _, _ = io.CopyN(w, r.Body, 1<<10) }, some},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := newTalk(t, newServer(t, behind(c.write)))
			client.send(post + "Content-Length: 5000\n\n" + some)
			if got := client.ends(200); got.body != c.body {
				t.Errorf("%d bytes, want %d", len(got.body), len(c.body))
			}
		})
	}
	t.Run("all of the body", func(t *testing.T) {
		t.Parallel()
		client := newTalk(t, newServer(t, behind(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })))
		client.send(post + "Expect: 100-continue\nContent-Length: 5\n\n")
		client.stays(http.StatusContinue) // the handler reads
		client.send("hello" + get + "\n")
		if got := client.ends(200); got.body != "hello" {
			t.Errorf("the handler read %q", got.body)
		}
	})
	t.Run("more is there than anybody reads", func(t *testing.T) { // a reset, unless it lingers
		t.Parallel()
		there := make(chan struct{})
		client := newTalk(t, newServer(t, behind(func(http.ResponseWriter, *http.Request) { <-there })))
		client.send(post + "Content-Length: 5\n\nhello" + get + "\n" + post + "Content-Length: 102400\n\n" + strings.Repeat(some, 100))
		close(there)
		client.ends(200)
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		client := newTalk(t, newServer(t, behind(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
		client.send(post + "Content-Length: 5000\n\n" + some)
		if text, err := io.ReadAll(client.in); len(text) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q, %v; want the end of the connection", text, err)
		}
	})
	t.Run("a hidden writer", func(t *testing.T) {
		t.Parallel()
		client := newTalk(t, newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			verify.AnswerEarly(hidden{w}, r)
		})))
		client.send(post + "Content-Length: 5000\n\n" + some)
		if got := readAnswer(t, client.in); got.StatusCode != 200 || !got.Close {
			t.Errorf("%d, connection closes: %v", got.StatusCode, got.Close)
		}
	})
}

// The last handler of a request reads as much of the body as it likes. No answer waits for the
// rest.
func TestEarlyHandler(t *testing.T) {
	const whole = post + "Content-Length: 5\n\nhello"
	read := func(n int64, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.CopyN(io.Discard, r.Body, n); err != nil {
				t.Error(err)
			}
			then(w, r)
		}
	}
	empty := func(http.ResponseWriter, *http.Request) {}
	status := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }
	text := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, some) }
	flush := func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }
	hints := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints) // RFC 8297: no answer yet
		read(5, status)(w, r)
	}
	for _, c := range []struct {
		name, request string
		handler       http.HandlerFunc
		ends          bool
	}{
		{"an empty answer", post + "Content-Length: 5000\n\n" + some, empty, true},
		{"a status", post + "Content-Length: 5000\n\n" + some, status, true},
		{"text", post + "Content-Length: 5000\n\n" + some, text, true},
		{"text, flushed", post + "Content-Length: 5000\n\n" + some, flush, true},
		{"chunked", post + "Transfer-Encoding: chunked\n\n" + chunk(some), status, true},
		{"a part was read", post + "Content-Length: 5000\n\n" + some, read(1<<10, status), true},
		{"expected", post + "Expect: 100-continue\nContent-Length: 5\n\n", status, true},
		{"nothing was read of what is there", whole, status, true},
		{"GET with a body", get + "Content-Length: 5000\n\n" + some, text, true},

		{"all was read", whole, read(5, text), false},
		{"all was read, an empty answer", whole, read(5, empty), false},
		{"all was read, chunked", post + "Transfer-Encoding: chunked\n\n" + chunk("hello") + "0\n\n",
			func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, false},
		{"all was read after 103", whole, hints, false},
		{"no body", get + "\n", text, false},
		{"an empty body", post + "Content-Length: 0\n\n", text, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newTalk(t, newServer(t, verify.EarlyHandler(c.handler)))
			if c.ends {
				client.send(c.request)
				client.ends(200)
				return
			}
			for range 2 {
				client.send(c.request)
				if c.name == "all was read after 103" {
					client.stays(http.StatusEarlyHints)
				}
				if a := client.stays(200); c.name == "no body" && a.body != some {
					t.Errorf("%d bytes, want those of the handler", len(a.body))
				}
			}
		})
	}
	t.Run("the connection is taken over", func(t *testing.T) {
		client := newTalk(t, newServer(t, verify.EarlyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				defer conn.Close()
				<-r.Context().Done() // the handler has returned
				_, _ = io.WriteString(conn, "?")
				_, _ = io.CopyN(conn, buffered, 5)
			}()
		}))))
		client.send(post + "Content-Length: 5000\n\n")
		if asked, err := client.in.ReadByte(); asked != '?' {
			t.Fatal(err)
		}
		client.send("hello")
		if echoed, err := io.ReadAll(client.in); string(echoed) != "hello" {
			t.Errorf("%q, %v", echoed, err)
		}
	})
}
