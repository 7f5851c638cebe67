package verify_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A new key is known as soon as the set may be fetched again, also while requests with unknown kids
// never end: each of their fetches brings the whole set.
func TestRotationInAFlood(t *testing.T) {
	first, second := verifytest.New(testIssuer, testAPI, "ES256"), verifytest.New(testIssuer, testAPI, "ES384")
	r := newRoute(t, first)
	second.Now = r.clock.Now
	if status := r.get(t, first.Sign(nil)); status != http.StatusOK {
		t.Fatalf("a good token: %d", status)
	}
	flood := func(name string) {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if status := r.get(t, first.Sign(nil, verifytest.Header("kid", fmt.Sprint(name, i)))); status != http.StatusUnauthorized {
					t.Errorf("an unknown kid: %d", status)
				}
			})
		}
		all.Wait()
	}
	r.clock.Advance(verify.FetchSpacing)
	flood("before") // it has used up the fetch of these ten seconds
	r.serve(string(second.JWKS()), "")
	if status := r.get(t, second.Sign(nil)); status != http.StatusUnauthorized || r.fetches.Load() != 2 {
		t.Errorf("a new key in the same ten seconds: %d, with %d fetches", status, r.fetches.Load())
	}
	r.clock.Advance(verify.FetchSpacing)
	flood("after")
	if status := r.get(t, second.Sign(nil)); status != http.StatusOK || r.fetches.Load() != 3 {
		t.Errorf("a new key ten seconds later: %d, with %d fetches", status, r.fetches.Load())
	}
}

// RFC 8725 §3.10: a kid is compared with those of the set, and is no part of a path, a query or
// anything else.
func TestKeyIDsAreOnlyCompared(t *testing.T) {
	r := newRoute(t, verifytest.New(testIssuer, testAPI))
	if status := r.get(t, r.issuer.Sign(nil)); status != http.StatusOK {
		t.Fatalf("a good token: %d", status)
	}
	r.clock.Advance(verify.FetchSpacing)
	text := string(r.issuer.JWKS())
	var targets sync.Map
	r.do(func(w http.ResponseWriter, request *http.Request) {
		targets.Store(request.URL.String(), nil)
		_, _ = w.Write([]byte(text))
	})
	for _, kid := range []any{
		"../../../../dev/null", "/etc/passwd", "ES256/../ES256", "?kid=ES256", "ES256#", "ES256?x", "%45S256", " ES256", "ES256 ", "es256",
		"' OR 1=1 --", "*)(kid=*", "ES256\x00", "\r\nX: 1", strings.Repeat("k", 256), strings.Repeat("k", 257), strings.Repeat("k", 10<<10),
		"https://attacker.example/jwks", "", 256, true, []string{"ES256"}, map[string]any{"kid": "ES256"}, nil,
	} {
		if status := r.get(t, r.issuer.Sign(nil, verifytest.Header("kid", kid))); status != http.StatusUnauthorized {
			t.Errorf("kid %.40v: %d", kid, status)
		}
	}
	targets.Range(func(target, _ any) bool {
		if target != "/jwks" {
			t.Errorf("%s was fetched", target)
		}
		return true
	})
	if n := r.fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// RFC 8725 §3.10: a key that a token brings along, or says where to find, is neither used nor
// fetched, also where such headers are let in.
func TestKeysOfATokenAreNotFetched(t *testing.T) {
	attacker := verifytest.New(testIssuer, testAPI)
	var fetched atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(attacker.JWKS())
	}))
	t.Cleanup(elsewhere.Close)
	for _, profile := range []verify.Profile{verify.ProfileRFC9068, verify.ProfileJWT} {
		issuer := verifytest.New(testIssuer, testAPI)
		s := newKeyServer(t, string(issuer.JWKS()))
		issuer.Now, attacker.Now = s.clock.Now, s.clock.Now
		v := newVerifier(t, issuer, func(c *verify.Config) {
			c.Issuers[0].Keys, c.Now, c.Issuers[0].Profile, c.Issuers[0].AllowHeaderKeys = s.URLKeys, s.clock.Now, profile, profile == verify.ProfileJWT
		})
		for _, header := range []verifytest.Option{
			verifytest.Header("jku", elsewhere.URL), verifytest.Header("x5u", elsewhere.URL), verifytest.Header("jwk", map[string]any{"kty": "EC"}),
			verifytest.Header("x5c", []string{"AAAA"}), verifytest.Header("kid", elsewhere.URL),
		} {
			expect(t, v, attacker.Sign(nil, header), verify.InvalidToken)
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d requests to where the token says", n)
	}
}

// Keys are those of one issuer, whatever kids others have, or whatever a kid says: two issuers by
// URL, with one kid, and one cache.
func TestKeysAreOfOneIssuer(t *testing.T) {
	a, b := verifytest.New("https://a.example", testAPI), verifytest.New("https://b.example", testAPI)
	atA, atB := newKeyServer(t, string(a.JWKS())), newKeyServer(t, string(b.JWKS()))
	a.Now, b.Now = atA.clock.Now, atA.clock.Now
	trustA, trustB := a.Trust(), b.Trust()
	trustA.Keys, trustB.Keys = atA.URLKeys, atB.URLKeys
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trustA, trustB}, Now: a.Now, Cache: verify.NewCache(100, a.Now)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // not known, and from the cache
		expect(t, v, a.Sign(verifytest.Claims{"jti": "1"}), "ok")
		expect(t, v, b.Sign(verifytest.Claims{"jti": "1"}), "ok")
		expect(t, v, a.Sign(nil, verifytest.SignedBy(b)), verify.InvalidToken)
		expect(t, v, b.Sign(nil, verifytest.SignedBy(a)), verify.InvalidToken)
		for _, kid := range []string{"ES256:https://b.example", "https://b.example:ES256", "ES256:ES256", "ES256,ES256"} {
			expect(t, v, a.Sign(nil, verifytest.SignedBy(b), verifytest.Header("kid", kid)), verify.InvalidToken)
		}
	}
}
