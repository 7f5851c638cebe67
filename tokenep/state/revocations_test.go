package state_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// node is one server on a store that it shares with others.
type node struct {
	*state.Revocations
	set *verify.Revocations
}

// newNode returns one that follows the log when a test says so, and not in the background too.
func newNode(s store.Store, c *clock) node {
	set := new(verify.Revocations)
	n := node{state.NewRevocations(s, set, c.Now, slog.New(slog.DiscardHandler)), set}
	n.Interval = time.Hour
	return n
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
	c.Advance(2 * time.Hour)
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

func TestConcurrentAddsAreAllSeen(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, open func() store.Store, c *clock) {
		s := open()
		nodes := []node{newNode(s, c), newNode(open(), c), newNode(open(), c)}
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
	f := storetest.NewFaulty(newMemory(t, c.Now))
	n := newNode(f, c)
	f.Fail(away())
	if err := n.Add(t.Context(), revokeJTI(c, "1", time.Hour)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Add: %v, want store.ErrUnavailable", err)
	}
	if err := n.Start(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Start: %v, want store.ErrUnavailable: it knows nothing of what is revoked", err)
	}
}

// The entries of a holder are folded into one when there are too many. Each node drops those that
// it has read, and every node refuses all that was revoked, also one that starts then, and one that
// reads on after the entries were deleted.
func TestEntriesOfAHolderAreFolded(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		a, b, late := newNode(s, c), newNode(s, c), newNode(s, c)
		for _, n := range []node{a, b, late} {
			n.follow(t)
		}
		token := func(i int) *verify.Token {
			return &verify.Token{ID: fmt.Sprint("t", i), ClientID: "web", GrantID: "g", IssuedAt: c.Now()}
		}
		var revoked []*verify.Token
		for i := range 40 {
			own := token(i)
			one := revokeJTI(c, own.ID, 4*time.Hour)
			all := verify.Revocation{Claim: "grant_id", Value: "g", ClientID: "web", Before: own.IssuedAt, Expires: c.Now().Add(5 * time.Hour)}
			if err := a.AddOwn(t.Context(), one, all, 10); err != nil {
				t.Fatal(err)
			}
			revoked = append(revoked, own)
			b.follow(t)
			c.Advance(20 * time.Second)
		}
		started := newNode(s, c)
		if err := started.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		late.follow(t)
		for name, n := range map[string]node{"a": a, "b": b, "late": late, "started": started} {
			n.follow(t)
			for _, own := range revoked {
				if !n.set.Revoked(own) {
					t.Errorf("%s: %s is good", name, own.ID)
				}
			}
			for other, spared := range map[string]*verify.Token{
				"issued later":        token(99),
				"to another client":   {ClientID: "app", GrantID: "g", IssuedAt: revoked[0].IssuedAt},
				"under another grant": {ClientID: "web", GrantID: "h", IssuedAt: revoked[0].IssuedAt},
			} {
				if n.set.Revoked(spared) {
					t.Errorf("%s: a token %s is revoked", name, other)
				}
			}
			if n.set.Len() > 20 {
				t.Errorf("%s has %d entries", name, n.set.Len())
			}
		}
		if page, err := s.List(t.Context(), "revocation", "", "", store.MaxPage); err != nil || len(page) > 20 {
			t.Errorf("the store has %d entries, %v", len(page), err)
		}
	})
}

// A holder has room for exactly so many entries, and has it again when they have expired.
func TestHolderHasRoomForSoManyEntries(t *testing.T) {
	for _, most := range []int{0, 1, 5} {
		c := newClock()
		n := newNode(newMemory(t, c.Now), c)
		revoke := func(jti string) {
			t.Helper()
			all := verify.Revocation{Claim: "sub", Value: "ann", ClientID: "web", Before: c.Now(), Expires: c.Now().Add(time.Hour)}
			if err := n.AddOwn(t.Context(), revokeJTI(c, jti, time.Hour), all, most); err != nil {
				t.Fatal(err)
			}
		}
		for round, more := range []bool{false, true, false} {
			other := &verify.Token{ID: "other", ClientID: "web", Subject: "ann", IssuedAt: c.Now()}
			for i := range most {
				revoke(fmt.Sprint(round, i))
			}
			if n.set.Revoked(other) {
				t.Errorf("room for %d, round %d: all is revoked before it is used up", most, round)
			}
			if more {
				revoke(fmt.Sprint(round, "last"))
			}
			if n.set.Revoked(other) != more {
				t.Errorf("room for %d, round %d: there is room for another entry", most, round)
			}
			c.Advance(2 * state.MinEntryLife)
		}
	}
}

// Whoever revokes a token says when it was issued: without that all would be revoked for ever.
func TestOwnRevocationNeedsADate(t *testing.T) {
	c := newClock()
	n := newNode(newMemory(t, c.Now), c)
	err := n.AddOwn(t.Context(), revokeJTI(c, "a", time.Hour), verify.Revocation{Claim: "sub", Value: "ann", ClientID: "web", Expires: c.Now().Add(time.Hour)}, 10)
	if !errors.Is(err, state.ErrInvalid) || n.set.Len() != 0 {
		t.Errorf("%v, %d entries", err, n.set.Len())
	}
}

// Entries that a node may not have read yet are not deleted: it reads one number after the other,
// and takes a gap for the end until it compares itself with the head.
func TestFoldedEntriesStayUntilTheyAreRead(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	a, b := newNode(s, c), newNode(s, c)
	b.follow(t)
	var last *verify.Token
	for i := range 12 {
		last = &verify.Token{ID: fmt.Sprint(i), ClientID: "web", Subject: "ann", IssuedAt: c.Now()}
		all := verify.Revocation{Claim: "sub", Value: "ann", ClientID: "web", Before: c.Now(), Expires: c.Now().Add(time.Hour)}
		if err := a.AddOwn(t.Context(), revokeJTI(c, last.ID, time.Hour), all, 5); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Second)
	}
	b.follow(t)
	if !b.set.Revoked(last) {
		t.Error("another node does not know it after one step")
	}
}
