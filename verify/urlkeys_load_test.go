package verify_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// route is a guarded route whose issuer has its keys at a URL.
type route struct {
	*keyServer
	issuer *verifytest.Issuer
	guard  *verify.Guard
}

func newRoute(t *testing.T, issuer *verifytest.Issuer) *route {
	t.Helper()
	s := newKeyServer(t, string(issuer.JWKS()))
	issuer.Now = s.clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].Keys, c.Now, c.Cache = s.URLKeys, s.clock.Now, verify.NewCache(1000, s.clock.Now)
	})
	return &route{s, issuer, &verify.Guard{Verifier: v}}
}

// get returns the status of a request with a token.
func (r *route) get(t *testing.T, token string) int {
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	r.guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, request)
	return w.Code
}

// A thousand requests whose kid nobody knows are one fetch, however long that takes, and requests
// whose key is known wait for none of them.
func TestUnknownKeysKeepNobodyWaiting(t *testing.T) {
	r := newRoute(t, verifytest.New(testIssuer, testAPI))
	good := r.issuer.Sign(nil)
	if status := r.get(t, good); status != http.StatusOK {
		t.Fatalf("a good token: %d", status)
	}
	r.clock.Advance(verify.FetchSpacing)
	began, release := make(chan struct{}, 1), make(chan struct{})
	text := string(r.issuer.JWKS())
	r.do(func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-release
		_, _ = w.Write([]byte(text))
	})
	var flood sync.WaitGroup
	var refused atomic.Int64
	for i := range 1000 {
		flood.Go(func() {
			if r.get(t, r.issuer.Sign(nil, verifytest.Header("kid", fmt.Sprint("unknown", i)))) == http.StatusUnauthorized {
				refused.Add(1)
			}
		})
	}
	<-began
	for range 1000 { // they end while the fetch does not
		if status := r.get(t, good); status != http.StatusOK {
			t.Fatalf("a good token in a flood: %d", status)
		}
		if status := r.get(t, r.issuer.Sign(nil)); status != http.StatusOK {
			t.Fatalf("a new good token in a flood: %d", status)
		}
	}
	close(release)
	flood.Wait()
	if refused.Load() != 1000 || r.fetches.Load() != 2 {
		t.Errorf("%d of 1000 were refused, with %d fetches; want 2 with the first one", refused.Load(), r.fetches.Load())
	}
}

// The issuer is away for an hour, and answers in one of the ways in which servers are away, while
// requests go on: no good token is refused, whether it is known or new, and what is not good is.
func TestIssuerAwayForAnHour(t *testing.T) {
	for name, away := range map[string]http.HandlerFunc{
		"502":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"404":     http.NotFound,
		"a page":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>back soon</html>")) },
		"hang up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoute(t, verifytest.New(testIssuer, testAPI))
			forger := verifytest.New(testIssuer, testAPI)
			forger.Now = r.clock.Now
			old := r.issuer.Sign(verifytest.Claims{"exp": r.clock.Now().Add(2 * time.Hour).Unix()})
			if status := r.get(t, old); status != http.StatusOK {
				t.Fatalf("a good token: %d", status)
			}
			r.do(away)
			for second := 0; second < 3600; second += 30 {
				r.clock.Advance(30 * time.Second)
				var load sync.WaitGroup
				for range 4 {
					load.Go(func() {
						if a, b := r.get(t, old), r.get(t, r.issuer.Sign(nil)); a != http.StatusOK || b != http.StatusOK {
							t.Errorf("after %d s: a known token %d, a new one %d", second, a, b)
						}
						if status := r.get(t, forger.Sign(nil)); status != http.StatusUnauthorized {
							t.Errorf("after %d s: a forged token %d", second, status)
						}
					})
				}
				load.Wait()
				r.Settle()
			}
			if r.fetches.Load() > 1+3600/30 {
				t.Errorf("%d fetches in an hour", r.fetches.Load())
			}
		})
	}
}

// Keys are rotated while requests run: a new key is known by the first token that names it, and
// what a withdrawn key signed is refused once the set is fetched without it.
func TestRotationUnderLoad(t *testing.T) {
	first := verifytest.New(testIssuer, testAPI, "ES256")
	r := newRoute(t, first)
	second := verifytest.New(testIssuer, testAPI, "ES384")
	second.Now = r.clock.Now
	both := string(first.JWKS())
	both = both[:len(both)-len("]}")] + "," + string(second.JWKS())[len(`{"keys":[`):]
	var current atomic.Pointer[verifytest.Issuer]
	current.Store(first)
	old := first.Sign(nil)
	requests := func(during func(n int)) {
		for n := range 300 {
			during(n)
			if status := r.get(t, current.Load().Sign(nil)); status != http.StatusOK {
				t.Errorf("request %d, while keys are rotated: %d", n, status)
			}
		}
	}
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() { requests(func(int) {}) })
	}
	load.Go(func() {
		requests(func(n int) {
			switch n {
			case 100:
				r.serve(both, "")
				r.clock.Advance(verify.FetchSpacing)
				current.Store(second)
			case 200:
				r.serve(string(second.JWKS()), "")
				r.clock.Advance(verify.FetchSpacing)
				// It has the set fetched.
				r.get(t, second.Sign(nil, verifytest.Header("kid", "unknown")))
			}
		})
	})
	load.Wait()
	if status := r.get(t, old); status != http.StatusUnauthorized {
		t.Errorf("what the withdrawn key signed: %d", status)
	}
}
