package verify_test

import (
	"bufio"
	"context"
	"io"
	"net"
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

// pipes is a network in memory, which shares the clock of a bubble of synctest.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.connections <- server
	return client, nil
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error { close(p.closed); return nil }

func (pipes) Addr() net.Addr { return &net.IPAddr{} }

// A stream ends at exp and the leeway, and not before, for its handler and for the client, over
// both versions of HTTP.
func TestStreamsEndAtExpiry(t *testing.T) {
	for _, kind := range []string{"HTTP/1.1", "HTTP/2", "WebSocket"} {
		t.Run(kind, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { endsAtExpiry(t, kind) }) })
	}
}

func endsAtExpiry(t *testing.T, kind string) {
	issuer := verifytest.New("https://issuer.example", "https://api.example")
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{issuer.Trust()}, Now: time.Now, Leeway: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 1)
	network := pipes{make(chan net.Conn), make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(kind != "HTTP/2")
	protocols.SetUnencryptedHTTP2(kind == "HTTP/2")
	guard := &verify.Guard{Verifier: verifier, CloseStreams: true}
	server := http.Server{Handler: guard.Handler(hold(ended)), Protocols: protocols, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(network) }()
	defer func() { _ = server.Close() }()
	transport := &http.Transport{DialContext: network.dial, Protocols: protocols}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "http://api.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	issuer.Authorize(r, verifytest.Claims{"exp": began.Add(time.Minute).Unix()})
	if kind == "WebSocket" {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	<-ended
	_, _ = io.ReadAll(response.Body)
	if took := time.Since(began); took < 89*time.Second || took > 91*time.Second {
		t.Errorf("it ended after %s", took)
	}
}

// revokedMeanwhile is a verifier by which a token is good, and one is revoked right afterwards.
type revokedMeanwhile struct {
	*verify.Verifier
	revoke func()
}

func (v revokedMeanwhile) Verify(ctx context.Context, p verify.Presentation) (*verify.Token, error) {
	t, err := v.Verifier.Verify(ctx, p)
	if t != nil && t.ID == "revoked" {
		v.revoke()
	}
	return t, err
}

// A stream whose token is revoked after it was verified, and before the stream is known, ends as
// well: nobody is told of that revocation any more.
func TestStreamsEndWithARevocationMeanwhile(t *testing.T) {
	issuer := newIssuer()
	trusted, revocations := issuer.Trust(), new(verify.Revocations)
	trusted.Revocations = revocations
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: issuer.Now})
	if err != nil {
		t.Fatal(err)
	}
	guard := &verify.Guard{CloseStreams: true, Verifier: revokedMeanwhile{verifier, func() {
		revocations.Add(verify.Revocation{Claim: "jti", Value: "revoked"})
		time.Sleep(time.Second) // of the bubble: all who were told have looked
	}}}
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{}, 2)
		serve := func(id string) {
			go guard.Handler(hold(ended)).ServeHTTP(httptest.NewRecorder(), bearerRequest(issuer.Sign(verifytest.Claims{"jti": id})).WithContext(t.Context()))
		}
		serve("other") // so that somebody waits for revocations already
		synctest.Wait()
		serve("revoked")
		time.Sleep(time.Minute)
		if len(ended) != 1 {
			t.Errorf("%d streams have ended, want the revoked one", len(ended))
		}
	})
}

// RFC 7662 §2.2: exp is optional. A stream of a token without it has no end but its revocation.
func TestStreamsOfTokensWithoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revocations := new(verify.Revocations)
		verifier, err := verify.New(verify.Config{Now: time.Now, Issuers: []verify.TrustedIssuer{{
			Name: testIssuer, Audience: []string{testAPI}, Revocations: revocations,
			Introspect: func(context.Context, string) (*verify.Token, error) {
				return verify.NewToken(testIssuer, map[string]any{"aud": testAPI, "sub": "alice"})
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		guard := &verify.Guard{CloseStreams: true, Verifier: verifier}
		ended := make(chan time.Time)
		began := time.Now()
		go guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended <- time.Now()
		})).ServeHTTP(httptest.NewRecorder(), bearerRequest("opaque"))
		const years = 10 * 365 * 24 * time.Hour
		time.Sleep(years)
		revocations.Add(verify.Revocation{Claim: "sub", Value: "alice"})
		if got := (<-ended).Sub(began); got != years {
			t.Errorf("it ended after %s", got)
		}
	})
}

// frail is a writer whose deadlines panic.
type frail struct{ *httptest.ResponseRecorder }

func (frail) SetReadDeadline(time.Time) error { panic("boom") }

// A stream whose writer panics is ended nevertheless, and so is the next one: at exp, and when it
// is revoked.
func TestStreamsOfAWriterThatPanics(t *testing.T) {
	issuer := newIssuer()
	trusted, revocations := issuer.Trust(), new(verify.Revocations)
	trusted.Revocations = revocations
	synctest.Test(t, func(t *testing.T) {
		verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: time.Now, Leeway: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		guard := &verify.Guard{Verifier: verifier, CloseStreams: true}
		ended := make(chan struct{}, 3)
		serve := func(w http.ResponseWriter, jti string, life time.Duration) {
			now := time.Now()
			token := issuer.Sign(verifytest.Claims{"jti": jti, "iat": now.Unix(), "exp": now.Add(life).Unix()})
			go guard.Handler(hold(ended)).ServeHTTP(w, bearerRequest(token).WithContext(t.Context()))
		}
		serve(frail{httptest.NewRecorder()}, "frail", time.Hour)
		serve(httptest.NewRecorder(), "sound", time.Hour)
		serve(frail{httptest.NewRecorder()}, "short", time.Second)
		synctest.Wait()
		revocations.Add(verify.Revocation{Claim: "jti", Value: "frail"})
		<-ended
		revocations.Add(verify.Revocation{Claim: "jti", Value: "sound"})
		<-ended
		<-ended // after its second, and the leeway
	})
}

// bearerRequest is a request with a token.
func bearerRequest(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
