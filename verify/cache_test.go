package verify_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 7009 §2.2: a revoked token is refused at once, cached or not.
func TestRevokedWhileCached(t *testing.T) {
	a, b := verifytest.New("https://a.example", testAPI), verifytest.New("https://b.example", testAPI)
	revocations := new(verify.Revocations)
	trust := a.Trust()
	trust.Revocations = revocations
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trust, b.Trust()}, Cache: verify.NewCache(10, nil)})
	if err != nil {
		t.Fatal(err)
	}
	jti := verifytest.Claims{"jti": "1"}
	cached := a.Sign(jti)
	expect(t, v, cached, "ok")
	expect(t, v, cached, "ok")
	revocations.Add(verify.Revocation{Claim: "jti", Value: "1"})
	expect(t, v, cached, verify.InvalidToken)
	expect(t, v, cached+"=", verify.InvalidToken) // spelt another way
	expect(t, v, a.Sign(jti), verify.InvalidToken)
	expect(t, v, b.Sign(jti), "ok") // the same jti of another issuer
}

// A cached token is good until its exp and the leeway are over, not until its entry expires.
func TestExpiresWhileCached(t *testing.T) {
	clock := newClock()
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = clock.Now
	cache := verify.NewCache(10, clock.Now)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache, c.Leeway = cache, 30*time.Second })
	raw := issuer.Sign(nil)
	expect(t, v, raw, "ok")
	clock.Advance(time.Hour + 29*time.Second)
	expect(t, v, raw, "ok")
	clock.Advance(time.Second)
	expect(t, v, raw, verify.InvalidToken)
	if s := cache.Stats(); s.Hits != 2 || s.Misses != 1 {
		t.Errorf("%+v: its signature was verified again, whoever sends it for ever", s)
	}
}

// What is held is counted, and what was looked up.
func TestCacheStats(t *testing.T) {
	clock := newClock()
	cache := verify.NewCache(2, clock.Now)
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
	for range 5 {
		raw := issuer.Sign(verifytest.Claims{"jti": rand.Text()})
		expect(t, v, raw, "ok")
		expect(t, v, raw, "ok")
	}
	got, want := cache.Stats(), verify.CacheStats{Tokens: 2, Hits: 5, Misses: 5}
	if want.Bytes = got.Bytes; got != want || got.Bytes < 2<<10 || got.Bytes > 8<<10 {
		t.Errorf("%+v, want %+v, with 1 to 4 KiB for each token", got, want)
	}
}

// One cache serves routes with different rules, and decides for none of them.
func TestSharedCache(t *testing.T) {
	cache := verify.NewCache(10, nil)
	issuer := verifytest.New(testIssuer, testAPI)
	other := verifytest.New("https://other.example", testAPI)
	with := func(from *verifytest.Issuer, change func(*verify.TrustedIssuer)) *verify.Verifier {
		return newVerifier(t, from, func(c *verify.Config) {
			c.Cache = cache
			if change != nil {
				change(&c.Issuers[0])
			}
		})
	}
	raw := issuer.Sign(nil)
	expect(t, with(issuer, nil), raw, "ok")
	if cache.Len() != 1 {
		t.Fatal("not cached")
	}
	tests := []struct {
		name string
		v    *verify.Verifier
	}{
		{"another issuer", with(other, nil)},
		{"another audience", with(issuer, func(i *verify.TrustedIssuer) { i.Audience = []string{"https://other.example"} })},
		{"another algorithm", with(issuer, func(i *verify.TrustedIssuer) { i.Algorithms = []string{"RS256"} })},
		{"another type", with(issuer, func(i *verify.TrustedIssuer) { i.Types = []string{"JWT"} })},
		{"other keys with the same kid", with(issuer, func(i *verify.TrustedIssuer) { i.Keys = other.KeySet() })},
		{"shorter tokens", newVerifier(t, issuer, func(c *verify.Config) { c.Cache, c.MaxTokenSize = cache, 256 })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { expect(t, test.v, raw, verify.InvalidToken) })
	}
	expect(t, with(issuer, nil), raw, "ok")
}

// An expired token is not stored.
func TestCacheStoresNothingDead(t *testing.T) {
	clock := newClock()
	cache := verify.NewCache(10, clock.Now)
	for name, expires := range map[string]time.Time{
		"expired": clock.Now().Add(-time.Second), "expires now": clock.Now(), "never expires": {},
	} {
		if cache.Insert(name, nil, testIssuer, "c", expires); cache.Len() != 0 {
			t.Errorf("%s: stored", name)
		}
	}
	cache.Insert("lives", nil, testIssuer, "c", clock.Now().Add(time.Second))
	cache.Insert("lives long", nil, testIssuer, "c", time.Unix(253402300799, 0))
	if cache.Len() != 2 {
		t.Errorf("%d stored, want 2", cache.Len())
	}
}

// A refused token is not stored, whatever the reason.
func TestRefusedIsNotCached(t *testing.T) {
	cache := verify.NewCache(10, nil)
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
	for _, raw := range []string{
		issuer.Sign(nil, flip(0)), issuer.Sign(verifytest.Claims{"aud": "x"}), issuer.Sign(verifytest.Claims{"iat": 1, "exp": 2}), "junk",
	} {
		if expect(t, v, raw, verify.InvalidToken); cache.Len() != 0 {
			t.Errorf("%s was stored", raw)
		}
	}
}

// Two requests may prove one token at the same time.
func TestCacheKnowsATokenOnce(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	key, err := issuer.KeySet().Key(t.Context(), "ES256", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	cache, raw := verify.NewCache(2, nil), issuer.Sign(nil)
	for range 3 {
		cache.Insert(raw, key, testIssuer, "c", time.Now().Add(time.Hour))
	}
	if got := cache.Stats().Tokens; got != 1 {
		t.Errorf("one token is there %d times", got)
	}
}

// The limit holds, and a client that fills the cache evicts its own tokens.
func TestCacheFull(t *testing.T) {
	for _, limit := range []int{0, 1, 7, 64, 200, 1000} {
		clock := newClock()
		cache := verify.NewCache(limit, clock.Now)
		expires := clock.Now().Add(time.Hour)
		honest := max(limit/10, 1)
		for i := range honest {
			cache.Insert(fmt.Sprint("honest ", i), nil, testIssuer, fmt.Sprint("client ", i), expires)
		}
		for i := range 20 * max(limit, 1) {
			cache.Insert(fmt.Sprint("greedy ", i), nil, testIssuer, "greedy", expires)
		}
		if n := cache.Len(); n > max(limit, 1) {
			t.Errorf("limit %d: holds %d", limit, n)
		}
		if clients := cache.Clients(); clients > max(limit, 1) {
			t.Errorf("limit %d: remembers %d clients", limit, clients)
		}
		left := 0
		for i := range honest {
			if cache.Holds(fmt.Sprint("honest ", i)) {
				left++
			}
		}
		if limit >= 64 && left < honest*9/10 {
			t.Errorf("limit %d: %d of %d honest tokens are left", limit, left, honest)
		}
	}
}

// No count is kept of a client without tokens.
func TestCacheForgetsClients(t *testing.T) {
	clock := newClock()
	cache := verify.NewCache(64, clock.Now)
	for i := range 1000 {
		cache.Insert(fmt.Sprint(i), nil, testIssuer, fmt.Sprint("client ", i), clock.Now().Add(time.Hour))
	}
	if n := cache.Clients(); n != 64 {
		t.Errorf("remembers %d clients, want 64", n)
	}
}

// Expired tokens make room, so the limit is one of living tokens.
func TestCacheSweeps(t *testing.T) {
	clock := newClock()
	cache := verify.NewCache(100, clock.Now)
	for i := range 100 {
		cache.Insert(fmt.Sprint("old ", i), nil, testIssuer, "c", clock.Now().Add(time.Minute))
	}
	clock.Advance(time.Hour)
	for i := range 90 {
		cache.Insert(fmt.Sprint("new ", i), nil, testIssuer, "c", clock.Now().Add(time.Minute))
	}
	if n := cache.Len(); n != 90 {
		t.Errorf("holds %d, want 90", n)
	}
	for i := range 90 {
		if !cache.Holds(fmt.Sprint("new ", i)) {
			t.Errorf("new %d displaced", i)
		}
	}
}

// An issuer inserts what it mints. Its signature is not verified, which a forged one shows. It is
// parsed when it is first presented, and decided like any other token.
func TestInsertMinted(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	cache := verify.NewCache(10, nil)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
	forged := func(claims verifytest.Claims) string {
		return issuer.Sign(claims, verifytest.Signature(func(string, []byte) []byte { return make([]byte, 64) }))
	}
	good, elsewhere := forged(nil), forged(verifytest.Claims{"aud": "https://elsewhere.example"})
	expect(t, v, good, verify.InvalidToken)
	key, err := issuer.KeySet().Key(t.Context(), "ES256", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{good, elsewhere, "not.a.token"} {
		cache.Insert(raw, key, testIssuer, "client", time.Now().Add(time.Hour))
	}
	first := expect(t, v, good, "ok")
	if again := expect(t, v, good, "ok"); again != first {
		t.Error("it was read twice")
	}
	expect(t, v, elsewhere, verify.InvalidToken)
	expect(t, v, "not.a.token", verify.InvalidToken)
	if n := cache.Len(); n != 3 {
		t.Errorf("%d entries", n)
	}
}

// Many requests at once with the same cold token, and with a cache that is too small.
func TestConcurrently(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(4, nil) })
	tokens := make([]string, 16)
	for i := range tokens {
		tokens[i] = issuer.Sign(verifytest.Claims{"sub": strings.Repeat("s", i+1)})
	}
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i, raw := range tokens {
				if token, err := v.Verify(t.Context(), verify.Presentation{Token: raw}); err != nil || len(token.Subject) != i+1 {
					t.Error(token, err)
				}
			}
		})
	}
	all.Wait()
}

// A hit allocates the state of the run, whatever the token says.
func TestHitAllocations(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(10, nil) })
	raw := issuer.Sign(verifytest.Claims{"scope": strings.Repeat("scope ", 50) + "x"})
	expect(t, v, raw, "ok")
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(t.Context(), verify.Presentation{Token: raw}) }); n > 1 {
		t.Errorf("%v allocations, want at most 1", n)
	}
}

// A token that is too long is not copied.
func TestTooLongAllocations(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(10, nil) })
	raw := strings.Repeat("a", 1<<20)
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(t.Context(), verify.Presentation{Token: raw}) }); n > 2 {
		t.Errorf("%v allocations, want the state and the error", n)
	}
}
