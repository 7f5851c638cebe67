package clientauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// jwkSet returns the key of a certificate as a JWK Set.
func jwkSet(t *testing.T, c *tls.Certificate) json.RawMessage {
	t.Helper()
	point, err := c.Leaf.PublicKey.(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	raw := point.Bytes()[1:]
	part := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	return json.RawMessage(fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":%q,"y":%q,"x5c":[%q]}]}`,
		part(raw[:32]), part(raw[32:]), base64.StdEncoding.EncodeToString(c.Certificate[0])))
}

// RFC 8705 §2.2: a certificate of a key that is registered, whoever has signed it.
func TestSelfSignedTLSClientAuth(t *testing.T) {
	self := &authority{now: tokeneptest.New(t).Clock.Now()}
	own, second, foreign := self.issue(t, named(pkix.Name{CommonName: "robot"})), self.issue(t, func(*x509.Certificate) {}), self.issue(t, named(pkix.Name{CommonName: "robot"}))
	robot := tokenep.Client{ID: "robot", GrantTypes: []string{cc}, AuthMethod: tokenep.AuthSelfSignedTLS, JWKS: jwkSet(t, own)}
	keys := "away"
	fetched := tokenep.Client{ID: "fetched", GrantTypes: []string{cc}, AuthMethod: tokenep.AuthSelfSignedTLS}
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if keys == "away" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(keys))
	}))
	defer host.Close()
	fetched.JWKSURI = host.URL
	l := newTLS(t, nil, asIs, robot, fetched)
	for name, row := range map[string]struct {
		certificate *tls.Certificate
		request     request
		want        int
	}{
		"its certificate":              {own, ask("robot"), 200},
		"no certificate":               {nil, ask("robot"), 401},
		"a certificate of its name":    {foreign, ask("robot"), 401},
		"another certificate":          {second, ask("robot"), 401},
		"the keys cannot be fetched":   {second, ask("fetched"), 503},
		"a client of another method":   {own, ask("billing"), 401},
		"a client that does not exist": {own, ask("nobody"), 401},
	} {
		if got := l.status(t, row.certificate, row.request); got != row.want {
			t.Errorf("%s: status %d, want %d", name, got, row.want)
		}
	}
	l.Clock.Advance(time.Minute)
	keys = string(jwkSet(t, second))
	if a, b := l.status(t, second, ask("fetched")), l.status(t, own, ask("fetched")); a != 200 || b != 401 {
		t.Errorf("keys by URL: status %d, and %d for another certificate", a, b)
	}
	l.Clock.Advance(time.Minute)
	keys = string(jwkSet(t, own)) // the client has a new certificate
	if got := l.status(t, own, ask("fetched")); got != 200 {
		t.Errorf("keys that were replaced: status %d", got)
	}
}

// Holds knows the key sets of package verify alone.
func TestHoldsOfAnotherKeySet(t *testing.T) {
	if _, err := verify.Holds(context.Background(), nil, nil); err == nil {
		t.Error("it knows what is in no set")
	}
}
