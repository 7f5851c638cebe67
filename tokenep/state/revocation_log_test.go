package state_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// The numbers go on after every entry has expired, or readers that are further on would not see the
// new ones.
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

// Dying between entry and head leaves the head one behind. Whoever has seen the entry must have
// moved the head, or the number would be given again, to an entry that this reader never sees.
func TestHeadThatIsBehindHidesNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		f := storetest.NewFaulty(s)
		a, reader := newNode(f, c), newNode(s, c)
		mustRevoke(t, a, revokeJTI(c, "1", time.Minute))
		f.Fail(func(call storetest.Call) storetest.Fault {
			if call.Kind == "revocation_head" && call.Verb != "Load" {
				return storetest.Away
			}
			return storetest.None
		})
		// It is stored, and revoked here: that the head is behind is not a failure.
		mustRevoke(t, a, revokeJTI(c, "2", time.Minute))
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
	f := storetest.NewFaulty(s)
	a, reader := newNode(f, c), newNode(f, c)
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Kind == "revocation_head" && call.Verb != "Load" {
			return storetest.Away
		}
		return storetest.None
	})
	mustRevoke(t, a, revokeJTI(c, "1", time.Minute))
	if err := reader.Follow(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Follow: %v, want store.ErrUnavailable", err)
	}
	if !reader.revoked("1") {
		t.Error("the entry that was read does not count")
	}
	f.Fail(nil)
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
		c.Advance(2 * state.MinEntryLife)
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

// An Add that stood still finds its number free, and others long past it: so it adds the entry once
// more.
func TestAddThatStoodStillIsSeenByAll(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	f := storetest.NewFaulty(s)
	slow, quick, reader := newNode(f, c), newNode(s, c), newNode(s, c)
	stood := false
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Insert" && call.Kind == "revocation" && !stood {
			stood = true
			for i := range 3 {
				mustRevoke(t, quick, revokeJTI(c, fmt.Sprint(i), time.Minute))
			}
			reader.follow(t)
			c.Advance(2 * state.MinEntryLife)
			forget(t, s, 1, 3)
		}
		return storetest.None
	})
	mustRevoke(t, slow, revokeJTI(c, "slow", 24*time.Hour))
	reader.follow(t)
	if !reader.revoked("slow") {
		t.Error("the entry of the one that stood still is missing")
	}
}
