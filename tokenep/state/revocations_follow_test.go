package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func TestFollowCostsOneLoad(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	n := newNode(f, c)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	verbs := map[string]int{}
	f.Fail(func(call storetest.Call) storetest.Fault { verbs[call.Verb]++; return storetest.None })
	for range 240 {
		c.Advance(state.DefaultInterval)
		n.follow(t)
	}
	if verbs["Load"] > 241 || len(verbs) > 1 {
		t.Errorf("in a minute in which nothing is revoked: %v, want 241 loads at most", verbs)
	}
}

// One that was away for a moment, in which much was revoked, reads pages and not entries, and goes on behind them.
func TestBurstIsReadInPages(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	f := storetest.NewFaulty(s)
	a, b := newNode(s, c), newNode(f, c)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, burst := range []int{1, 5, 16, 100, store.MaxPage + 1} {
		for i := range burst {
			mustRevoke(t, a, revokeJTI(c, fmt.Sprint(burst, "-", i), time.Hour))
		}
		verbs := 0
		f.Fail(func(storetest.Call) storetest.Fault { verbs++; return storetest.None })
		b.follow(t)
		for i := range burst {
			if !b.revoked(fmt.Sprint(burst, "-", i)) {
				t.Fatalf("%d of %d is missing", i, burst)
			}
		}
		if most := min(burst+2, 20); verbs > most {
			t.Errorf("%d verbs for %d entries, want %d at most", verbs, burst, most)
		}
	}
}

func TestStartFollowsAndLogsAnOutageOnce(t *testing.T) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		f := storetest.NewFaulty(newMemory(t, time.Now))
		set := new(verify.Revocations)
		here := state.NewRevocations(f, set, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		there := state.NewRevocations(f.Store, new(verify.Revocations), time.Now, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		if err := here.Start(ctx); err != nil {
			t.Fatal(err)
		}
		revokedHere := func(jti string) bool {
			e := verify.Revocation{Claim: "jti", Value: jti, Expires: time.Now().Add(time.Hour)}
			if err := there.Add(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			time.Sleep(state.DefaultInterval) // the bubble's time
			synctest.Wait()
			return set.Revoked(&verify.Token{ID: jti})
		}
		if !revokedHere("1") {
			t.Error("not revoked here within an interval")
		}
		f.Fail(away())
		if revokedHere("2") {
			t.Error("revoked here although the store is away: this test tests nothing")
		}
		time.Sleep(10 * state.DefaultInterval)
		f.Fail(nil)
		if !revokedHere("3") || !set.Revoked(&verify.Token{ID: "2"}) {
			t.Error("not revoked here after the outage")
		}
		stop()
		synctest.Wait()
		if revokedHere("4") {
			t.Error("still following when it was stopped")
		}
	})
	if n := strings.Count(log.String(), "cannot follow"); n != 1 {
		t.Errorf("the outage was logged %d times, want once:\n%s", n, &log)
	}
	if n := strings.Count(log.String(), "again"); n != 1 {
		t.Errorf("its end was logged %d times, want once:\n%s", n, &log)
	}
}

// A clock without a monotonic part, as tests have it, that is set ahead makes the set old until the next step, and one that is
// set back hides how old it is for as long as the jump, and no longer.
func TestClockThatJumpsMakesNoSetFreshForEver(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	n := newNode(f, c)
	must(t, n.Start(t.Context()))
	stale := staleness(t, n.set, c)
	c.Advance(time.Hour)
	if !stale() {
		t.Error("the store was asked an hour ago, by this clock")
	}
	n.follow(t)
	if stale() {
		t.Error("a step does not help after a jump ahead")
	}
	c.Advance(-time.Hour)
	f.Fail(away())
	for range 2 {
		if err := n.Follow(t.Context()); err == nil {
			t.Fatal("the store is not away")
		}
		c.Advance(time.Hour)
	}
	if !stale() {
		t.Error("the store has been away for two hours")
	}
	f.Fail(nil)
	c.Advance(-time.Hour)
	n.follow(t)
	if stale() {
		t.Error("a step does not help after a jump back")
	}
}

// staleness asks a verifier that wants the set to be a minute old at most.
func staleness(t *testing.T, set *verify.Revocations, c *clock) func() bool {
	t.Helper()
	issuer := verifytest.New("https://as.example", "https://api.example")
	issuer.Now = c.Now
	trusted := issuer.Trust()
	trusted.Revocations, trusted.RevocationMaxAge = set, time.Minute
	v, err := verify.New(verify.Config{Issuers: []verify.Issuer{trusted}, Now: c.Now})
	must(t, err)
	return func() bool {
		_, err := v.Verify(t.Context(), issuer.Sign(nil))
		return errors.Is(err, verify.ErrStale)
	}
}

// A set counts as followed from the moment at which the store was asked, and only if it answered.
func TestSetIsFollowedWhenTheStoreAnswers(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	set := new(verify.Revocations)
	node := state.NewRevocations(f, set, c.Now, slog.New(slog.DiscardHandler))
	stale := staleness(t, set, c)
	if !stale() {
		t.Error("complete before the log was read")
	}
	if err := node.Start(t.Context()); err != nil || stale() {
		t.Errorf("not complete after the start: %v", err)
	}
	f.Fail(away())
	c.Advance(2 * time.Minute)
	if err := node.Follow(t.Context()); err == nil || !stale() {
		t.Errorf("complete though the store did not answer: %v", err)
	}
	f.Fail(nil)
	if err := node.Follow(t.Context()); err != nil || stale() {
		t.Errorf("not complete though the store answers again: %v", err)
	}
}

// Another interval is kept as exactly: a node has not looked before it is over, and has when it is.
func TestFollowInterval(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newMemory(t, time.Now)
			set := new(verify.Revocations)
			here := state.NewRevocations(s, set, time.Now, slog.New(slog.DiscardHandler))
			here.Interval = interval
			there := state.NewRevocations(s, new(verify.Revocations), time.Now, slog.New(slog.DiscardHandler))
			if err := here.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := there.Add(t.Context(), verify.Revocation{Claim: "jti", Value: "1", Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval - 1) // the bubble's time
			synctest.Wait()
			before := set.Revoked(&verify.Token{ID: "1"})
			time.Sleep(1)
			synctest.Wait()
			if after := set.Revoked(&verify.Token{ID: "1"}); before || !after {
				t.Errorf("each %s: revoked here %t just before, %t after", interval, before, after)
			}
		})
	}
}
