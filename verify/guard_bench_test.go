package verify_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// BenchmarkGuard is the cost of a guard for a request with a cached token, and of Verify alone. The
// guard has an audience, two scope-tokens, a rule in CEL, and three headers.
func BenchmarkGuard(b *testing.B) {
	issuer := newIssuer()
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{issuer.Trust()}, Now: issuer.Now,
		Cache: verify.NewCache(100, issuer.Now)})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/orders?page=2", nil)
	r.Body = http.NoBody
	raw := issuer.Sign(verifytest.Claims{"scope": "orders:read orders:write", "tenant": "acme"})
	rule, err := policy.NewRule(`claims.tenant == "acme" && request.method in ["GET", "HEAD"]`, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "X-Request-Id", "Cookie", "Traceparent"} {
		r.Header.Set(name, "value")
	}
	authorization := []string{"Bearer " + raw}
	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"orders:read", "orders:write"}, Rules: []verify.Rule{rule},
		Headers: []verify.HeaderClaim{{Header: "X-User-Id", Claim: verify.ClaimPath{"sub"}}, {Header: "X-Client-Id", Claim: verify.ClaimPath{"client_id"}}, {Header: "X-Tenant", Claim: verify.ClaimPath{"tenant"}}}}
	next := guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w := httptest.NewRecorder()

	b.Run("Verify", func(b *testing.B) {
		benchmarkTurns(b, func() {
			if _, err := verifier.Verify(b.Context(), verify.Presentation{Token: raw}); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("Admit", func(b *testing.B) {
		benchmarkTurns(b, func() {
			r.Header["Authorization"] = authorization
			if _, err := guard.Admit(r); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("Handler", func(b *testing.B) {
		benchmarkTurns(b, func() {
			r.Header["Authorization"] = authorization
			next.ServeHTTP(w, r)
		})
	})
	b.Run("refused", func(b *testing.B) {
		benchmarkTurns(b, func() {
			delete(r.Header, "Authorization")
			next.ServeHTTP(w, r)
		})
	})
}
