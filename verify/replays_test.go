package verify_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func TestReplays(t *testing.T) {
	clock := verifytest.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	replays := verify.NewReplays(2, clock.Now)
	remember := func(key, id string, life time.Duration) error {
		return replays.Remember(t.Context(), key, id, clock.Now().Add(life))
	}
	if err := errors.Join(remember("k", "1", time.Minute), remember("l", "1", 2*time.Minute)); err != nil {
		t.Error(err)
	}
	if err := remember("k", "1", 2*time.Minute); !errors.Is(err, verify.ErrReplayed) {
		t.Errorf("again, in a proof that ends later: %v", err)
	}
	if err := remember("k", "2", time.Minute); err == nil || errors.Is(err, verify.ErrReplayed) {
		t.Errorf("one too many: %v", err)
	}
	clock.Advance(2*time.Minute + verify.MaxProofWindow) // the first is forgotten
	if err := remember("k", "1", time.Minute); err != nil {
		t.Error(err)
	}
	if err := remember("l", "1", time.Minute); !errors.Is(err, verify.ErrReplayed) {
		t.Errorf("in the minute of its end: %v", err)
	}
}

// RFC 9449 §11.1: a proof that was used under a short window is used under a longer one, which a
// reload may bring, or another route has.
func TestReplayUnderALongerWindow(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	r := httptest.NewRequest("GET", proofURL, nil)
	g.prover.Authorize(r, g.token(nil), nil)
	authorization, proof := r.Header["Authorization"], r.Header["Dpop"]
	if status, h := g.answer(r); status != http.StatusOK {
		t.Fatalf("%d %v", status, h)
	}
	long, err := verify.NewDPoP(verify.DPoPOptions{Origins: []string{"https://api.example"}, Now: g.clock.Now,
		Window: verify.MaxProofWindow, Remember: g.replays.Remember})
	if err != nil {
		t.Fatal(err)
	}
	g.Guard = &verify.Guard{Verifier: newVerifier(t, g.issuer, func(c *verify.Config) { c.DPoP, c.Now = long, g.clock.Now })}
	for _, later := range []time.Duration{0, 3 * time.Minute, 2 * time.Minute} {
		g.clock.Advance(later)
		r := httptest.NewRequest("GET", proofURL, nil)
		r.Header["Authorization"], r.Header["Dpop"] = authorization, proof
		if status, h := g.answer(r); status != http.StatusUnauthorized || codeOf(h) != verify.InvalidDPoPProof {
			t.Errorf("%s later: %d %v", later, status, h)
		}
	}
}

// A key that sends proofs without end takes no more than its share, makes room for no replay, and
// keeps nobody else out.
func TestReplayFlood(t *testing.T) {
	const limit = 1000
	clock := verifytest.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	replays := verify.NewReplays(limit, clock.Now)
	remember := func(key string, id int) error {
		return replays.Remember(t.Context(), key, strconv.Itoa(id), clock.Now().Add(time.Minute))
	}
	if err := remember("honest", -1); err != nil {
		t.Fatal(err)
	}
	for flooders := 1; flooders <= 3; flooders++ {
		taken := 0
		for id := range 2 * limit {
			if remember("flooder "+strconv.Itoa(flooders), id) == nil {
				taken++
			}
			if id%100 == 0 {
				clock.Advance(time.Second) // over several minutes, of which none is over
			}
		}
		if most := limit / 2; taken > most {
			t.Errorf("flooder %d has %d of %d", flooders, taken, limit)
		}
		for id := range 10 {
			if err := remember("honest", 100*flooders+id); err != nil {
				t.Errorf("beside %d flooders: %v", flooders, err)
			}
		}
		if err := remember("honest", -1); !errors.Is(err, verify.ErrReplayed) {
			t.Errorf("beside %d flooders, again: %v", flooders, err)
		}
	}
	clock.Advance(2*time.Minute + verify.MaxProofWindow)
	if err := remember("flooder 1", 0); err != nil {
		t.Errorf("when all are forgotten: %v", err)
	}
}

// RFC 9449 §11.1: a proof is good for one request, which each guard that it comes to takes for the
// same one, and for no other.
func TestProofBeforeTwoGuards(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	first, second := &verify.Guard{Verifier: g.Verifier, KeepAuthorization: true}, &verify.Guard{Verifier: g.Verifier}
	chain := first.Handler(second.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	token := g.token(nil)
	proof := g.prover.Proof("GET", proofURL, token, nil)
	for n, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		r := httptest.NewRequest(http.MethodGet, proofURL, nil)
		r.Header["Authorization"], r.Header["Dpop"] = []string{"DPoP " + token}, []string{proof}
		w := httptest.NewRecorder()
		chain.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("request %d: %d %s, want %d", n, w.Code, w.Body, want)
		}
	}
	if g.inserts != 2 {
		t.Errorf("it was remembered %d times, want once for each request", g.inserts)
	}
}

// RFC 9449 §11.1: of two guards that remember proofs in different places, or in one, each knows
// those of requests that the other one has let in too.
func TestProofBeforeGuardsWithMemoriesOfTheirOwn(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	behind := func(remember func(context.Context, string, string, time.Time) error) *verify.Guard {
		d, err := verify.NewDPoP(verify.DPoPOptions{Origins: []string{"https://api.example"}, Now: g.clock.Now, Remember: remember})
		if err != nil {
			t.Fatal(err)
		}
		return &verify.Guard{Verifier: newVerifier(t, g.issuer, func(c *verify.Config) { c.DPoP, c.Now = d, g.clock.Now })}
	}
	first := &verify.Guard{Verifier: g.Verifier, KeepAuthorization: true}
	for place, second := range map[string]*verify.Guard{
		"the same one": behind(g.replays.Remember), "another one": behind(verify.NewReplays(100, g.clock.Now).Remember),
	} {
		token := g.token(nil)
		proof := g.prover.Proof("GET", proofURL, token, nil)
		alone := second.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for n, want := range []int{http.StatusOK, http.StatusUnauthorized} {
			r := httptest.NewRequest(http.MethodGet, proofURL, nil)
			r.Header["Authorization"], r.Header["Dpop"] = []string{"DPoP " + token}, []string{proof}
			w := httptest.NewRecorder()
			if n == 0 {
				first.Handler(alone).ServeHTTP(w, r)
			} else {
				alone.ServeHTTP(w, r)
			}
			if w.Code != want {
				t.Errorf("%s, request %d: %d %s, want %d", place, n, w.Code, w.Body, want)
			}
		}
	}
}
