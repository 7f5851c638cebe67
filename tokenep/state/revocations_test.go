package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// node is one server on a store that it shares with others.
type node struct {
	*state.Revocations
	set *verify.Revocations
}

func newNode(s store.Store, c *clock) node {
	set := new(verify.Revocations)
	return node{state.NewRevocations(s, set, c.Now, slog.New(slog.DiscardHandler)), set}
}

func (n node) revoked(jti string) bool { return n.set.Revoked(&verify.Token{ID: jti}) }

func (n node) follow(t *testing.T) {
	t.Helper()
	if err := n.Follow(t.Context()); err != nil {
		t.Fatalf("Follow: %v", err)
	}
}

func revokeJTI(c *clock, jti string, life time.Duration) verify.Revocation {
	return verify.Revocation{Claim: "jti", Value: jti, Expires: c.Now().Add(life)}
}

func mustRevoke(t *testing.T, n node, e verify.Revocation) {
	t.Helper()
	if err := n.Add(t.Context(), e); err != nil {
		t.Fatalf("Add: %v", err)
	}
}

func TestRevocationHoldsAtOnceHereAndAfterOneStepElsewhere(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		a, b := newNode(s, c), newNode(s, c)
		mustRevoke(t, a, revokeJTI(c, "1", time.Hour))
		if !a.revoked("1") {
			t.Error("not revoked on the node that was told")
		}
		b.follow(t)
		if !b.revoked("1") {
			t.Error("not revoked on another node that followed")
		}
		mustRevoke(t, b, revokeJTI(c, "2", time.Hour))
		mustRevoke(t, b, revokeJTI(c, "3", time.Hour))
		a.follow(t)
		if !a.revoked("2") || !a.revoked("3") {
			t.Error("not revoked in the other direction")
		}
		if a.revoked("4") || b.revoked("4") {
			t.Error("revoked, and nobody said so")
		}
	})
}

func TestRevocationComesOverWithAllItSays(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	a, b := newNode(s, c), newNode(s, c)
	before := c.Now()
	mustRevoke(t, a, verify.Revocation{Claim: "sub", Value: "ann", Before: before, Expires: c.Now().Add(time.Hour)})
	b.follow(t)
	for issued, want := range map[time.Time]bool{before: true, before.Add(time.Second): false} {
		if got := b.set.Revoked(&verify.Token{Subject: "ann", IssuedAt: issued}); got != want {
			t.Errorf("issued at %v: revoked %v, want %v", issued, got, want)
		}
	}
	c.pass(time.Hour)
	b.follow(t)
	if n := b.set.Len(); n != 0 {
		t.Errorf("%d entries after the last expired, want none", n)
	}
}

func TestStartReadsTheWholeLog(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		a := newNode(s, c)
		for i := range 30 {
			mustRevoke(t, a, revokeJTI(c, fmt.Sprint(i), time.Hour))
		}
		b := newNode(s, c)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if !b.revoked(fmt.Sprint(i)) {
				t.Errorf("entry %d is missing", i)
			}
		}
	})
}

func TestStartReadsMoreThanAPage(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	a, b := newNode(s, c), newNode(s, c)
	const n = 2*store.MaxPage + 1
	for i := range n {
		mustRevoke(t, a, revokeJTI(c, fmt.Sprint(i), time.Hour))
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.set.Len(); got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
}

// The numbers go on after every entry has expired, or readers that are further on would not see the new ones.
func TestNumbersGoOnWhenTheLogIsEmptyAgain(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		reader, a := newNode(s, c), newNode(s, c)
		for i := range 5 {
			mustRevoke(t, a, revokeJTI(c, fmt.Sprint(i), time.Minute))
		}
		reader.follow(t)
		forget(t, s, 1, 5)
		mustRevoke(t, newNode(s, c), revokeJTI(c, "after", time.Hour))
		reader.follow(t)
		if !reader.revoked("after") {
			t.Error("a reader that was further on missed the entry")
		}
	})
}

// forget deletes entries as an engine does that collects what has expired.
func forget(t *testing.T, s store.Store, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := s.Delete(t.Context(), "revocation", fmt.Sprintf("%020d", n)); err != nil {
			t.Fatal(err)
		}
	}
}

// Dying between entry and head leaves the head one behind. Whoever has seen the entry must have moved the head, or the number
// would be given again, to an entry that this reader never sees.
func TestHeadThatIsBehindHidesNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		f := &faulty{Store: s}
		a, reader := newNode(f, c), newNode(s, c)
		mustRevoke(t, a, revokeJTI(c, "1", time.Minute))
		f.set(func(_ string, r store.Record) error {
			if r.Kind == "revocation_head" && r.Data != nil {
				return errDied
			}
			return nil
		})
		mustRevoke(t, a, revokeJTI(c, "2", time.Minute)) // stored and revoked here: that the head is behind is no failure
		reader.follow(t)
		if !reader.revoked("2") {
			t.Error("an entry beyond the head is not read")
		}
		forget(t, s, 1, 2)
		mustRevoke(t, newNode(s, c), revokeJTI(c, "3", time.Hour))
		reader.follow(t)
		if !reader.revoked("3") {
			t.Error("the reader has passed the number of the next entry")
		}
	})
}

// A reader that cannot move the head does not go on, although it knows the entry.
func TestReaderDoesNotPassTheHead(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	f := &faulty{Store: s}
	a, reader := newNode(f, c), newNode(f, c)
	f.set(func(verb string, r store.Record) error {
		if r.Kind == "revocation_head" && verb != "load" {
			return store.ErrUnavailable
		}
		return nil
	})
	mustRevoke(t, a, revokeJTI(c, "1", time.Minute))
	if err := reader.Follow(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Follow: %v, want store.ErrUnavailable", err)
	}
	if !reader.revoked("1") {
		t.Error("the entry that was read does not count")
	}
	f.set(nil)
	forget(t, s, 1, 1)
	mustRevoke(t, newNode(s, c), revokeJTI(c, "2", time.Hour))
	reader.follow(t)
	if !reader.revoked("2") {
		t.Error("the reader passed a number that was given again")
	}
}

func TestNodeThatWasAwayCatchesUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		a, b := newNode(s, c), newNode(s, c)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			mustRevoke(t, a, revokeJTI(c, fmt.Sprint(i), time.Minute))
		}
		c.pass(2 * state.MinEntryLife)
		forget(t, s, 1, 5)
		mustRevoke(t, a, revokeJTI(c, "last", time.Hour))
		b.follow(t)
		if !b.revoked("last") {
			t.Error("the entry after those that expired is missing")
		}
		mustRevoke(t, a, revokeJTI(c, "next", time.Hour))
		b.follow(t)
		if !b.revoked("next") {
			t.Error("after catching up it does not follow")
		}
	})
}

// An Add that stood still finds its number free, and others long past it: so it adds the entry once more.
func TestAddThatStoodStillIsSeenByAll(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	f := &faulty{Store: s}
	slow, quick, reader := newNode(f, c), newNode(s, c), newNode(s, c)
	stood := false
	f.set(func(verb string, r store.Record) error {
		if verb == "insert" && r.Kind == "revocation" && !stood {
			stood = true
			for i := range 3 {
				mustRevoke(t, quick, revokeJTI(c, fmt.Sprint(i), time.Minute))
			}
			reader.follow(t)
			c.pass(2 * state.MinEntryLife)
			forget(t, s, 1, 3)
		}
		return nil
	})
	mustRevoke(t, slow, revokeJTI(c, "slow", 24*time.Hour))
	reader.follow(t)
	if !reader.revoked("slow") {
		t.Error("the entry of the one that stood still is missing")
	}
}

func TestConcurrentAddsAreAllSeen(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		nodes := []node{newNode(s, c), newNode(s, c), newNode(s, c)}
		var wg sync.WaitGroup
		for i, n := range nodes {
			for j := range 10 {
				wg.Go(func() {
					if err := n.Add(t.Context(), revokeJTI(c, fmt.Sprint(i, j), time.Hour)); err != nil {
						t.Errorf("Add: %v", err)
					}
					if err := n.Follow(t.Context()); err != nil {
						t.Errorf("Follow: %v", err)
					}
				})
			}
		}
		wg.Wait()
		for _, n := range nodes {
			n.follow(t)
			for i := range nodes {
				for j := range 10 {
					if !n.revoked(fmt.Sprint(i, j)) {
						t.Errorf("entry %d of node %d is missing", j, i)
					}
				}
			}
		}
		if records, err := s.List(t.Context(), "revocation", "", "", 100); err != nil || len(records) != 30 {
			t.Errorf("%d records, %v, want 30", len(records), err)
		}
	})
}

func TestAddRefusesWhatCannotBeRevoked(t *testing.T) {
	c := newClock()
	n := newNode(newMemory(t, c.Now), c)
	for name, e := range map[string]verify.Revocation{
		"an unknown claim":     {Claim: "iss", Value: "x", Expires: c.Now().Add(time.Hour)},
		"no value":             {Claim: "jti", Expires: c.Now().Add(time.Hour)},
		"a value without end":  {Claim: "jti", Value: strings.Repeat("x", 1025), Expires: c.Now().Add(time.Hour)},
		"an entry without end": {Claim: "jti", Value: "x"},
	} {
		if err := n.Add(t.Context(), e); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestAddFailsWhenNothingWasStored(t *testing.T) {
	c := newClock()
	f := &faulty{Store: newMemory(t, c.Now)}
	n := newNode(f, c)
	f.set(func(string, store.Record) error { return store.ErrUnavailable })
	if err := n.Add(t.Context(), revokeJTI(c, "1", time.Hour)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Add: %v, want store.ErrUnavailable", err)
	}
	if err := n.Start(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Start: %v, want store.ErrUnavailable: it knows nothing of what is revoked", err)
	}
}

func TestFollowCostsOneLoad(t *testing.T) {
	c := newClock()
	f := &faulty{Store: newMemory(t, c.Now)}
	n := newNode(f, c)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	verbs := map[string]int{}
	f.set(func(verb string, _ store.Record) error { verbs[verb]++; return nil })
	for range 240 {
		c.pass(state.FollowInterval)
		n.follow(t)
	}
	if verbs["load"] > 241 || len(verbs) > 1 {
		t.Errorf("in a minute in which nothing is revoked: %v, want 241 loads at most", verbs)
	}
}

func TestStartFollowsAndLogsAnOutageOnce(t *testing.T) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: newMemory(t, time.Now)}
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
			time.Sleep(state.FollowInterval) // the bubble's time
			synctest.Wait()
			return set.Revoked(&verify.Token{ID: jti})
		}
		if !revokedHere("1") {
			t.Error("not revoked here within an interval")
		}
		f.set(func(string, store.Record) error { return store.ErrUnavailable })
		if revokedHere("2") {
			t.Error("revoked here although the store is away: this test tests nothing")
		}
		time.Sleep(10 * state.FollowInterval)
		f.set(nil)
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
