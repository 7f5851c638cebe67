package verify_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// hold is a handler of long responses: one that is taken over, as by a WebSocket (RFC 6455 §1.3),
// or one that is written bit by bit. ended gets a value when the handler has returned.
func hold(ended chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = buffered.Flush()
		_, _ = io.Copy(io.Discard, conn)
	})
}

// A stream ends when its token is revoked, over both versions of HTTP, and no other one does.
func TestStreamsEndWithRevocation(t *testing.T) {
	for _, kind := range []string{"HTTP/1.1", "HTTP/2", "WebSocket"} {
		t.Run(kind, func(t *testing.T) {
			issuer := newIssuer()
			trusted, revocations := issuer.Trust(), new(verify.Revocations)
			trusted.Revocations = revocations
			verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: issuer.Now})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{}, 2)
			guard := &verify.Guard{Verifier: verifier, CloseStreams: true}
			server := httptest.NewUnstartedServer(guard.Handler(hold(ended)))
			server.EnableHTTP2 = kind == "HTTP/2"
			server.StartTLS()
			t.Cleanup(server.Close)
			open := func(id string) *http.Response {
				r, err := http.NewRequest(http.MethodGet, server.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				issuer.Authorize(r, verifytest.Claims{"jti": id})
				if kind == "WebSocket" {
					r.Header.Set("Connection", "Upgrade")
					r.Header.Set("Upgrade", "websocket")
				}
				response, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = response.Body.Close() })
				if kind != "WebSocket" {
					if line, err := bufio.NewReaderSize(response.Body, 16).ReadString('\n'); err != nil || line != "data: 1\n" {
						t.Fatalf("%q, %v", line, err)
					}
				}
				return response
			}
			revoked, other := open("revoked"), open("other")
			revocations.Add(verify.Revocation{Claim: "jti", Value: "unknown"})
			revocations.Add(verify.Revocation{Claim: "jti", Value: "revoked"})
			<-ended
			if _, err := io.ReadAll(revoked.Body); err == nil && kind == "HTTP/2" {
				t.Log("the response ended without an error")
			}
			if len(ended) != 0 {
				t.Error("another stream ended too")
			}
			_ = other.Body.Close()
			<-ended
		})
	}
}

// A stream ends at exp and the leeway, and not before; a request that is over is left alone.
func TestStreamsEndAtExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := verifytest.New("https://issuer.example", "https://api.example")
		verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{issuer.Trust()}, Now: time.Now, Leeway: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		guard := &verify.Guard{Verifier: verifier, CloseStreams: true}
		began := time.Now()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		issuer.Authorize(r, verifytest.Claims{"exp": began.Add(time.Minute).Unix()})
		guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })).
			ServeHTTP(httptest.NewRecorder(), r)
		if took := time.Since(began); took < 89*time.Second || took > 91*time.Second {
			t.Errorf("it ended after %s", took)
		}
	})
}
