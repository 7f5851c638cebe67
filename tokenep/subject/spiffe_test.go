package subject_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// trustsDomain makes a source of a SPIFFE trust domain.
func trustsDomain(t testing.TB, name string, i *verifytest.Issuer, policies ...subject.Policy) tokeneptest.Change {
	t.Helper()
	trusted, err := verify.TrustDomain(name)
	if err != nil {
		t.Fatal(err)
	}
	bundle := strings.ReplaceAll(string(i.JWKS()), `"use":"sig"`, `"use":"jwt-svid"`)
	if trusted.Keys, _, err = verify.ParseBundle([]byte(bundle)); err != nil {
		t.Fatal(err)
	}
	return func(c *server.Config) {
		i.Now = c.Now
		c.Subjects = append(c.Subjects, &subject.Source{Name: trusted.Name, Issuer: &trusted, SPIFFE: true, Policies: policies})
	}
}

// JWT-SVID §2, §3: a workload's identity for an access token, exchanged (RFC 8693 §2.1) and as an
// assertion (RFC 7523 §2.1).
func TestExchangeOfJWTSVIDs(t *testing.T) {
	shop, other := verifytest.New("https://oidc.example.org", tokeneptest.Issuer), verifytest.New("https://oidc.other.example", tokeneptest.Issuer)
	orders := subject.Policy{
		Name: "orders", When: when(t, `claims.sub.matches("^spiffe://example\\.org/shop/[a-z]+$")`), Subject: value(t, "claims.sub"),
		Scope: verify.Scope{"orders:read"}, Audience: []string{tokeneptest.Orders}, Grants: []string{grant.TokenExchangeType, grant.JWTBearerType},
		Clients: []string{subject.AnyClient, subject.NoClient},
	}
	elsewhere := orders
	elsewhere.Name, elsewhere.When = "elsewhere", nil
	byIssuer := orders
	byIssuer.Name, byIssuer.When = "by-issuer", when(t, `claims.sub == "alice"`)
	f := tokeneptest.New(t, trustsDomain(t, "example.org", shop, orders), trustsDomain(t, "other.example", other, elsewhere), trusts(shop, byIssuer))
	sign := func(claims verifytest.Claims, options ...verifytest.Option) string {
		all := verifytest.Claims{"sub": "spiffe://example.org/shop/cart", "iss": nil, "client_id": nil, "jti": nil, "iat": nil}
		for name, value := range claims {
			all[name] = value
		}
		return shop.Sign(all, append([]verifytest.Option{verifytest.Header("typ", nil)}, options...)...)
	}
	type c = verifytest.Claims
	for _, way := range []struct {
		name    string
		request func(token string) request
		code    tokenep.Code
	}{
		{"exchanged", func(token string) request { return tokeneptest.Exchange(token, grant.JWTType) }, tokenep.InvalidRequest},
		{"asserted", func(token string) request {
			return post("grant_type", grant.JWTBearerType, "assertion", token)
		}, tokenep.InvalidGrant},
	} {
		t.Run(way.name, func(t *testing.T) {
			f.Run(t, []rule{
				grants("a workload", way.request(sign(nil))),
				grants("typ JWT", way.request(sign(nil, verifytest.Header("typ", "JWT")))),
				grants("the server that has issued it is trusted otherwise", way.request(sign(c{"iss": shop.Name}))),
				grants("what it says of people", way.request(shop.Sign(c{"client_id": nil}))),
				refuses("another workload", way.request(sign(c{"sub": "spiffe://example.org/admin"})), 400, way.code),
				refuses("of another domain", way.request(sign(c{"sub": "spiffe://other.example/shop/cart"})), 400, way.code),
				refuses("of a domain that nobody trusts", way.request(sign(c{"sub": "spiffe://third.example/shop/cart"})), 400, way.code),
				refuses("by the key of another domain", way.request(sign(nil, verifytest.SignedBy(other))), 400, way.code),
				refuses("for another server", way.request(sign(c{"aud": "https://elsewhere.example"})), 400, way.code),
				refuses("for nobody", way.request(sign(c{"aud": nil})), 400, way.code),
			})
		})
	}
	_, token := f.Granted(t, tokeneptest.Exchange(sign(nil), grant.JWTType))
	if token.Subject != "spiffe://example.org/shop/cart" || token.GrantID != tokenep.PolicyGrantPrefix+"orders" {
		t.Errorf("claims: %v", token.Claims)
	}
}

// SPIFFE Trust Domain and Bundle §4: the bundle is at a URL, and another one after a rotation.
func TestBundleByURL(t *testing.T) {
	old, next := verifytest.New("https://oidc.example.org", tokeneptest.Issuer, "ES256"), verifytest.New("https://oidc.example.org", tokeneptest.Issuer, "RS256")
	var bundle atomic.Pointer[[]byte]
	publish := func(i *verifytest.Issuer) {
		text := []byte(strings.ReplaceAll(string(i.JWKS()), `"use":"sig"`, `"use":"jwt-svid"`))
		bundle.Store(&text)
	}
	publish(old)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*bundle.Load()) }))
	t.Cleanup(site.Close)
	p := subject.Policy{Name: "orders", Subject: value(t, "claims.sub"), Scope: verify.Scope{"orders:read"}, Audience: []string{tokeneptest.Orders}}
	f := tokeneptest.New(t, func(c *server.Config) {
		trusted, err := verify.TrustDomain("example.org")
		if err != nil {
			t.Fatal(err)
		}
		if trusted.Keys, err = verify.NewURLKeys(site.URL, verify.URLKeysOptions{SPIFFE: true, Now: c.Now}); err != nil {
			t.Fatal(err)
		}
		old.Now, next.Now = c.Now, c.Now
		c.Subjects = append(c.Subjects, &subject.Source{Name: trusted.Name, Issuer: &trusted, SPIFFE: true, Policies: []subject.Policy{p}})
	})
	by := func(i *verifytest.Issuer) request {
		token := i.Sign(verifytest.Claims{"sub": "spiffe://example.org/cart", "jti": nil}, verifytest.Header("typ", nil))
		return tokeneptest.Exchange(token, grant.JWTType).By("billing")
	}
	f.Granted(t, by(old))
	f.Send(t, by(next)).Refused(t, 400, tokenep.InvalidRequest)
	publish(next)
	f.Clock.Advance(time.Minute)
	f.Granted(t, by(next))
	f.Send(t, by(old)).Refused(t, 400, tokenep.InvalidRequest)
	site.Close()
	f.Clock.Advance(25 * time.Hour)
	unknown(t, f, by(next))
}
