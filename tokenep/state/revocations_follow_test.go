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

// One that was away for a moment, in which much was revoked, reads pages and not entries, and goes
// on behind them.
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

// A store that panics is one that is away: what was revoked meanwhile is known afterwards.
func TestFollowingAStoreThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := storetest.NewFaulty(newMemory(t, time.Now))
		set := new(verify.Revocations)
		here := state.NewRevocations(f, set, time.Now, slog.New(slog.DiscardHandler))
		there := state.NewRevocations(f.Store, new(verify.Revocations), time.Now, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		if err := here.Start(ctx); err != nil {
			t.Fatal(err)
		}
		f.Fail(func(storetest.Call) storetest.Fault { panic("boom") })
		if err := there.Add(t.Context(), verify.Revocation{Claim: "jti", Value: "1", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * state.DefaultInterval) // the bubble's time
		followed := set.LastFollowed()
		f.Fail(nil)
		time.Sleep(2 * state.DefaultInterval)
		if !set.Revoked(&verify.Token{ID: "1"}) || !set.LastFollowed().After(followed) {
			t.Error("the log is not followed any more")
		}
		stop()
		synctest.Wait()
	})
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

// A clock without a monotonic part, as tests have it, that is set ahead makes the set old until the
// next step, and one that is set back hides how old it is for as long as the jump, and no longer.
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
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: c.Now})
	must(t, err)
	return func() bool {
		_, err := v.Verify(t.Context(), verify.Presentation{Token: issuer.Sign(nil)})
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
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if after := set.Revoked(&verify.Token{ID: "1"}); before || !after {
				t.Errorf("each %s: revoked here %t just before, %t after", interval, before, after)
			}
		})
	}
}

// A store that has lost the log, or the end of it, gives numbers again that others have passed.
// Whoever revokes is heard all the same: at once where as much had been read, and within a minute
// where numbers tell nothing.
func TestStoreThatLostRevocations(t *testing.T) {
	for _, lost := range []int{1, 3, 8} {
		c := newClock()
		s := newMemory(t, c.Now)
		a, b := newNode(s, c), newNode(s, c)
		must(t, a.Start(t.Context()))
		must(t, b.Start(t.Context()))
		for i := range 8 {
			mustRevoke(t, a, revokeJTI(c, fmt.Sprint("before-", i), 3*time.Hour))
		}
		a.follow(t)
		b.follow(t)
		loseEnd(t, s, 8, lost)
		late := newNode(s, c)
		must(t, late.Start(t.Context()))

		// Under a number that was used.
		mustRevoke(t, late, revokeJTI(c, "by one that starts", 3*time.Hour))
		mustRevoke(t, b, revokeJTI(c, "by one that was there", 3*time.Hour))
		a.follow(t)
		if !a.revoked("by one that was there") {
			t.Errorf("%d lost: not revoked within an interval", lost)
		}
		c.Advance(state.HeadInterval)
		for _, n := range []node{a, b, late} {
			n.follow(t)
			if !n.revoked("by one that was there") || !n.revoked("by one that starts") {
				t.Errorf("%d lost: not revoked within a minute", lost)
			}
		}
		if !a.revoked("before-7") || !b.revoked("before-7") {
			t.Errorf("%d lost: what was known is forgotten", lost)
		}
	}
}

// After an outage nobody waits a minute to look whether the store is as it was.
func TestOutageThatLostRevocations(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	a, b := newNode(f, c), newNode(f, c)
	must(t, b.Start(t.Context()))
	for i := range 3 {
		mustRevoke(t, a, revokeJTI(c, fmt.Sprint(i), time.Hour))
	}
	b.follow(t)
	f.Fail(away())
	if b.Follow(t.Context()) == nil {
		t.Fatal("followed a store that is away")
	}
	f.Fail(nil)
	loseEnd(t, f.Store, 3, 3)
	late := newNode(f, c)
	must(t, late.Start(t.Context()))
	mustRevoke(t, late, revokeJTI(c, "after", time.Hour))
	b.follow(t)
	if !b.revoked("after") {
		t.Error("not revoked within an interval")
	}
}

// loseEnd takes the last entries of n from the store, and sets the head back to before them.
func loseEnd(t *testing.T, s store.Store, n, lost int) {
	t.Helper()
	for i := n; i > n-lost; i-- {
		must(t, s.Delete(t.Context(), state.KindRevocation, state.EntryID(uint64(i))))
	}
	old, err := s.Load(t.Context(), state.KindRevocationHead, state.HeadID)
	must(t, err)
	if n == lost {
		must(t, s.Delete(t.Context(), old.Kind, old.ID))
		return
	}
	next := old
	next.Data = bytes.Replace(old.Data, fmt.Appendf(nil, `"last":%d`, n), fmt.Appendf(nil, `"last":%d`, n-lost), 1)
	must(t, s.Swap(t.Context(), old, next))
}
