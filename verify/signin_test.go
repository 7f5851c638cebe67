package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 9470 §3: a token of a sign-in that is too old or too weak, or that does not say, is refused
// with all that is required here; also when it is in the cache.
func TestAuthentication(t *testing.T) {
	issuer := newIssuer()
	verifier := newVerifier(t, issuer, func(c *verify.Config) {
		c.Cache, c.Leeway = verify.NewCache(10, issuer.Now), 10*time.Second
		c.Authentication = verify.Authentication{MaxAge: 5 * time.Minute, ACRValues: []string{"urn:mfa", "strong"}}
	})
	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"read"}}
	const again, otherwise = "the person must sign in again", "the person must sign in in another way"
	for _, c := range []struct {
		name   string
		claims verifytest.Claims
		reason string // "": it passes
	}{
		{"both", verifytest.Claims{"acr": "strong", "auth_time": noon.Unix()}, ""},
		{"as old as it may be", verifytest.Claims{"acr": "urn:mfa", "auth_time": noon.Unix() - 310}, ""},
		{"too old", verifytest.Claims{"acr": "strong", "auth_time": noon.Unix() - 311}, again},
		{"a fraction", verifytest.Claims{"acr": "strong", "auth_time": float64(noon.Unix()) - 300.5}, ""},
		{"as far ahead as a clock may be", verifytest.Claims{"acr": "strong", "auth_time": noon.Unix() + 10}, ""},
		{"no time", verifytest.Claims{"acr": "strong", "auth_time": 1e300}, again},
		{"in the future", verifytest.Claims{"acr": "strong", "auth_time": noon.Unix() + 11}, again},
		{"auth_time missing", verifytest.Claims{"acr": "strong"}, again},
		{"auth_time a string", verifytest.Claims{"acr": "strong", "auth_time": "1772366400"}, again},
		{"auth_time null", verifytest.Claims{"acr": "strong", "auth_time": nil}, again},
		{"acr missing", verifytest.Claims{"auth_time": noon.Unix()}, otherwise},
		{"acr too weak", verifytest.Claims{"acr": "0", "auth_time": noon.Unix()}, otherwise},
		{"acr in another case", verifytest.Claims{"acr": "Strong", "auth_time": noon.Unix()}, otherwise},
		{"acr a list", verifytest.Claims{"acr": []string{"strong"}, "auth_time": noon.Unix()}, otherwise},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.claims["scope"] = "read"
			token := issuer.Sign(c.claims)
			for range 2 {
				r, w := httptest.NewRequest("GET", "/orders", nil), httptest.NewRecorder()
				r.Header.Set("Authorization", "Bearer "+token)
				guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
				status, want := 200, ""
				if c.reason != "" {
					status, want = 401, `Bearer realm="api", error="insufficient_user_authentication", error_description="`+c.reason+
						`", scope="read", acr_values="urn:mfa strong", max_age="300"`
				}
				if got := w.Header().Get("WWW-Authenticate"); w.Code != status || got != want {
					t.Errorf("%d %s\nwant %d %s", w.Code, got, status, want)
				}
			}
		})
	}
}

// What a route asks of the life and the claims of a token holds for tokens in the cache too: two
// verifiers share one.
func TestLifetimeAndClaimsOfARoute(t *testing.T) {
	issuer := newIssuer()
	cache := verify.NewCache(10, issuer.Now)
	lax := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
	strict := newVerifier(t, issuer, func(c *verify.Config) {
		c.Cache, c.MaxLifetime, c.RequireClaims = cache, 10*time.Minute, []string{"tenant=acme"}
	})
	at := noon.Unix()
	for _, c := range []struct {
		name   string
		claims verifytest.Claims
		want   string // "": it passes
	}{
		{"ten minutes", verifytest.Claims{"tenant": "acme", "iat": at, "exp": at + 600}, ""},
		{"a second more", verifytest.Claims{"tenant": "acme", "iat": at, "exp": at + 601}, "lives longer"},
		{"iat missing", verifytest.Claims{"tenant": "acme", "iat": nil, "exp": at + 600}, "iat"},
		{"a claim missing", verifytest.Claims{"iat": at, "exp": at + 600}, "lacks a claim"},
		{"another value", verifytest.Claims{"tenant": "evil", "iat": at, "exp": at + 600}, "lacks a claim"},
	} {
		p := verify.Presentation{Token: issuer.Sign(c.claims)}
		for range 2 {
			if _, err := lax.Verify(t.Context(), p); err != nil && c.name != "iat missing" {
				t.Errorf("%s: %v", c.name, err)
			}
			_, err := strict.Verify(t.Context(), p)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
	}
}

// RFC 7662 §2.2: a token that its issuer is asked about may have no exp, and has no bounded life
// then.
func TestLifetimeOfAnOpaqueToken(t *testing.T) {
	clock := newClock()
	at := clock.Now().Unix()
	for _, c := range []struct {
		name   string
		claims verifytest.Claims
		life   time.Duration
		want   string
	}{
		{"as long as it likes", verifytest.Claims{"iat": at}, 0, "ok"},
		{"no longer than an hour", verifytest.Claims{"iat": at}, time.Hour, verify.InvalidToken},
		{"an hour", verifytest.Claims{"iat": at, "exp": at + 3600}, time.Hour, "ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := map[string]any{}
			for name, value := range c.claims {
				claims[name] = json.Number(fmt.Sprint(value))
			}
			v, err := verify.New(verify.Config{MaxLifetime: c.life, Now: clock.Now, Issuers: []verify.TrustedIssuer{{
				Name: testIssuer, InsecureAnyAudience: true,
				Introspect: func(context.Context, string) (*verify.Token, error) { return verify.NewToken(testIssuer, claims) },
			}}})
			if err != nil {
				t.Fatal(err)
			}
			expect(t, v, "opaque", c.want)
		})
	}
}

// A requirement that nobody could meet, or that no challenge could carry, is an error of the
// configuration.
func TestAuthenticationIsChecked(t *testing.T) {
	for _, a := range []verify.Authentication{
		{MaxAge: -time.Second}, {MaxAge: 1500 * time.Millisecond}, {ACRValues: []string{""}}, {ACRValues: []string{"a b"}}, {ACRValues: []string{`a"`}},
	} {
		if _, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{newIssuer().Trust()}, Authentication: a}); err == nil {
			t.Errorf("%+v passes", a)
		}
	}
	if _, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{newIssuer().Trust()}, MaxLifetime: -1}); err == nil {
		t.Error("a negative life passes")
	}
}
