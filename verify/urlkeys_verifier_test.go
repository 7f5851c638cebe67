package verify_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A forged token under a kid that is known is refused, and fetches nothing. A key that is gone from
// the set takes what it signed with it, cached or not. While nobody knows, the answer is 503.
func TestURLKeysOfAVerifier(t *testing.T) {
	issuer, forger := verifytest.New(testIssuer, testAPI), verifytest.New(testIssuer, testAPI)
	s := newKeyServer(t, string(issuer.JWKS()))
	issuer.Now, forger.Now = s.clock.Now, s.clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].Keys, c.Now, c.Cache = s.URLKeys, s.clock.Now, verify.NewCache(10, s.clock.Now)
	})
	fetches := func(want int64) {
		t.Helper()
		s.Settle()
		if n := s.fetches.Load(); n != want {
			t.Errorf("%d fetches, want %d", n, want)
		}
	}
	token := issuer.Sign(verifytest.Claims{"exp": s.clock.Now().Add(48 * time.Hour).Unix()})
	expect(t, v, token, "ok")
	s.clock.Advance(verify.FetchSpacing)
	for range 100 {
		expect(t, v, issuer.Sign(nil, verifytest.SignedBy(forger)), verify.InvalidToken)
	}
	fetches(1)
	s.do(s.fail)
	s.clock.Advance(25 * time.Hour)
	expect(t, v, token, "Service Unavailable")
	fetches(2)
	s.serve(`{"keys":[]}`, "")
	s.clock.Advance(verify.FetchSpacing)
	expect(t, v, token, verify.InvalidToken)
	fetches(3)
}

// A key that is gone from the set takes along what came of the tokens that it has signed (RFC
// 8693), where revocations are followed. While nobody knows, the answer is 503.
func TestURLKeysOfAncestors(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	s := newKeyServer(t, string(issuer.JWKS()))
	issuer.Now = s.clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].Keys, c.Now, c.Cache = s.URLKeys, s.clock.Now, verify.NewCache(10, s.clock.Now)
		c.Issuers[0].Revocations = new(verify.Revocations)
	})
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(issuer.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	of := func(kid string) string {
		return issuer.Sign(verifytest.Claims{
			"exp":       s.clock.Now().Add(48 * time.Hour).Unix(),
			"ancestors": []any{map[string]any{"jti": "a", "kid": kid}},
		})
	}
	known, gone := of(set.Keys[0].ID), of("withdrawn")
	for range 2 { // not known, and from the cache
		expect(t, v, known, "ok")
		expect(t, v, gone, verify.InvalidToken)
	}
	s.do(s.fail)
	s.clock.Advance(verify.FetchSpacing)
	expect(t, v, gone, "Service Unavailable")
	expect(t, v, known, "ok")
}
