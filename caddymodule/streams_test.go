package caddymodule_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// newStreams starts an upstream that sends what clients wait for: server-sent events, of which only
// one comes, or messages over a WebSocket (RFC 6455 §1.3), of which it sends back what it gets.
// ended gets a value when the upstream has seen one end.
func newStreams(t *testing.T) (address string, ended <-chan struct{}) {
	t.Helper()
	over := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { over <- struct{}{} }()
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = buffered.Flush()
		_, _ = io.Copy(conn, buffered)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), over
}

// What reverse_proxy passes on for long ends when its token is revoked, for the client and for the
// upstream, and nothing else does. That it ends at exp is shown in package verify, by its clock.
func TestStreamsThroughReverseProxy(t *testing.T) {
	upstream, ended := newStreams(t)
	c := newCaddy(t)
	const guarded = `
	handle %PATH% {
		oauth_verify {
			audience orders
			close_streams
		}
		reverse_proxy %UPSTREAM% {
			%OPTION%
		}
	}`
	route := func(path, option string) string {
		return strings.NewReplacer("%PATH%", path, "%UPSTREAM%", upstream, "%OPTION%", option).Replace(guarded)
	}
	s := c.mustLoadTLS("", route("/plain", "")+route("/at-once", "flush_interval -1"))
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2", "WebSocket"} {
		for _, path := range []string{"/plain", "/at-once"} {
			t.Run(protocol+path, func(t *testing.T) {
				transport := s.client(nil).Transport.(*http.Transport)
				transport.ForceAttemptHTTP2, transport.DisableKeepAlives = protocol == "HTTP/2", false
				t.Cleanup(transport.CloseIdleConnections)
				open := func(token string) *http.Response {
					t.Helper()
					r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Authorization", "Bearer "+token)
					if protocol == "WebSocket" {
						r.Header.Set("Connection", "Upgrade")
						r.Header.Set("Upgrade", "websocket")
					}
					response, err := transport.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = response.Body.Close() })
					if (response.ProtoMajor == 2) != (protocol == "HTTP/2") {
						t.Fatalf("the answer is of %s", response.Proto)
					}
					alive(t, protocol, response)
					return response
				}
				token, another := c.token(marker), c.token(marker)
				revoked, other := open(token), open(another)
				c.post("/oauth/revoke", marker, "token", token).want(t, "revoke", http.StatusOK)
				<-ended
				if rest, _ := io.ReadAll(revoked.Body); len(rest) != 0 {
					t.Errorf("after the end came %q", rest)
				}
				if protocol == "WebSocket" {
					alive(t, protocol, other)
				}
				if len(ended) != 0 {
					t.Error("another stream ended too")
				}
				_ = other.Body.Close()
				<-ended
			})
		}
	}
}

// alive gets something through a stream.
func alive(t *testing.T, protocol string, response *http.Response) {
	t.Helper()
	if protocol == "WebSocket" {
		if _, err := io.WriteString(response.Body.(io.Writer), "data: 1\n\n"); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != "data: 1\n\n" {
		t.Fatalf("%q, %v", got, err)
	}
}
