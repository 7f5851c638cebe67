package verify_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// If revocations were last complete too long ago, any token may have been revoked. The answer is a
// 503, also for a token that was good a moment ago, since a 401 would make its client throw it
// away. A token that is known to be revoked stays revoked.
func TestRevocationsThatAreNotFollowed(t *testing.T) {
	const maxAge = time.Minute
	c := newClock()
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = c.Now
	var set verify.Revocations
	v := newVerifier(t, issuer, func(config *verify.Config) {
		config.Cache = verify.NewCache(10, c.Now)
		config.Issuers[0].Revocations, config.Issuers[0].RevocationMaxAge = &set, maxAge
	})
	unbounded := newVerifier(t, issuer, func(config *verify.Config) { config.Issuers[0].Revocations = &set })
	token, bad := issuer.Sign(nil), issuer.Sign(map[string]any{"jti": "bad"})

	expect(t, v, token, "Service Unavailable") // nobody has followed yet
	expect(t, unbounded, token, "ok")
	set.Followed(c.Now())
	set.Add(verify.Revocation{Claim: "jti", Value: "bad"})
	expect(t, v, token, "ok")
	c.Advance(maxAge)
	expect(t, v, token, "ok")
	c.Advance(1)
	expect(t, v, token, "Service Unavailable")
	expect(t, v, bad, verify.InvalidToken)
	expect(t, unbounded, token, "ok")
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: token}); !errors.Is(err, verify.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	(&verify.Guard{Verifier: v}).Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v, want 503 with Retry-After (RFC 9110 §10.2.3)", w.Code, w.Header())
	}
	set.Followed(c.Now())
	expect(t, v, token, "ok")
}

// Without a source of revocations, none can be missing.
func TestRevocationMaxAgeWithoutRevocations(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	expect(t, newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].RevocationMaxAge = time.Minute }), issuer.Sign(nil), "ok")
	trusted := issuer.Trust()
	trusted.RevocationMaxAge = -1
	if _, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}}); err == nil {
		t.Error("a negative age is taken")
	}
}
