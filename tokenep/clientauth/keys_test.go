package clientauth_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// RFC 7591 §2: keys of a client in a file and at a URL, which change while the server runs.
func TestAssertionKeys(t *testing.T) {
	var served atomic.Pointer[[]byte]
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := served.Load(); text != nil {
			_, _ = w.Write(*text)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer idp.Close()
	file, remote := newAsserter("file", "ES256"), newAsserter("remote", "ES256")
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, file.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	file.client.JWKS, file.client.JWKSFile = nil, path
	remote.client.JWKS, remote.client.JWKSURI = nil, idp.URL+"/keys"
	f := newAssertions(t, file, remote)
	f.Granted(t, by(file.assertion(nil)))

	early := remote.assertion(nil)
	f.Send(t, by(early)).Refused(t, 503, tokenep.TemporarilyUnavailable) // it may be good
	text := remote.JWKS()
	served.Store(&text)
	f.Clock.Advance(10 * time.Second)
	f.Granted(t, by(early))
	f.Send(t, by(remote.assertion(nil, header("kid", "x")))).Refused(t, 401, tokenep.InvalidClient)

	// A new key is known at once, or ten seconds after the last fetch.
	next := newAsserter("remote", "EdDSA")
	next.Now = f.Clock.Now
	text2 := next.JWKS()
	served.Store(&text2)
	f.Send(t, by(next.assertion(nil))).Refused(t, 401, tokenep.InvalidClient)
	f.Clock.Advance(10 * time.Second)
	f.Granted(t, by(next.assertion(nil)))
	f.Send(t, by(remote.assertion(nil))).Refused(t, 401, tokenep.InvalidClient)

	// A new configuration goes on with the keys that the old one has fetched.
	served.Store(nil)
	config := f.Config
	g := f.Next(t, config)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Granted(t, by(next.assertion(nil)))
}

// Clients that were registered at run time may have keys, and then have no secret.
func TestAssertionStored(t *testing.T) {
	made := newAsserter("made")
	f := newAssertions(t)
	made.Now = f.Clock.Now
	secret, err := f.Clients.Add(t.Context(), made.client)
	if err != nil || secret != "" {
		t.Fatalf("%q, %v", secret, err)
	}
	f.Granted(t, by(made.assertion(nil)))
	if _, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "file", JWKSFile: "/etc/passwd"}); err == nil {
		t.Error("a client of the store has a file")
	}
	both := tokenep.Client{ID: "both", JWKS: made.JWKS(), GrantTypes: []string{cc}, AuthMethods: []string{tokenep.AuthBasic, tokenep.AuthPrivateKeyJWT}}
	if secret, err = f.Clients.Add(t.Context(), both); err != nil || secret == "" {
		t.Fatalf("%q, %v", secret, err)
	}
	f.Granted(t, plain.Basic("both", secret))
}
