package keys

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func TestNothingChangesBeforeItIsDue(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	_, before := r.Current().JWKS()
	c.Advance(30*day - time.Second)
	refresh(t, r)
	if _, after := r.Current().JWKS(); before != after {
		t.Error("the key set changed a second before a rotation was due")
	}
}

func TestActiveKeyHandsOverAfterItsTerm(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	old, next := activeID(t, r), only(t, r, Next).ID
	c.Advance(30 * day)
	refresh(t, r)
	if got := activeID(t, r); got != next {
		t.Errorf("active is %s, want the key that was next, %s", got, next)
	}
	retired := only(t, r, Retired)
	if retired.ID != old || !published(r, old) {
		t.Error("the old key is not published as retired")
	}
	if want := c.Now().Add(retain); !retired.Expires.Equal(want) {
		t.Errorf("the retired key expires at %s, want %s", retired.Expires, want)
	}
	if fresh := only(t, r, Next).ID; fresh == next || fresh == old {
		t.Error("no fresh key was published as next")
	}
}

func TestNoKeySignsBeforeItWasPublishedLongEnough(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	r := start(t, s, c, func(o *Options) { o.Active = 2 * time.Hour; o.Publish = 2 * time.Hour })
	// The next key is made late, by a rotation an hour after the active one was made.
	c.Advance(time.Hour)
	if err := r.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	next := only(t, r, Next)
	for range 300 {
		c.Advance(time.Minute)
		refresh(t, r)
		if activeID(t, r) == next.ID {
			if age := c.Now().Sub(next.Created); age < 2*time.Hour {
				t.Fatalf("the key signs %s after it was published", age)
			}
			return
		}
	}
	t.Fatal("the next key never became active")
}

func TestRetiredKeyIsDroppedWhenItsLastTokenIsDead(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	old := activeID(t, r)
	c.Advance(30 * day)
	refresh(t, r)
	c.Advance(retain - time.Second)
	refresh(t, r)
	if !published(r, old) {
		t.Fatal("dropped a second early")
	}
	c.Advance(time.Second)
	refresh(t, r)
	if published(r, old) {
		t.Error("still published after its last token is dead")
	}
	if _, err := r.Key(t.Context(), old, "ES256"); err == nil {
		t.Error("a dead key still verifies")
	}
}

func TestShorterTokensDoNotShortenWhatWasPromised(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	long := start(t, s, c, func(o *Options) { o.Retain = 48 * time.Hour })
	old := activeID(t, long)
	short := start(t, s, c)
	if err := short.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	c.Advance(47 * time.Hour)
	refresh(t, short)
	if !published(short, old) {
		t.Error("a key that signed tokens of 48 h was dropped under them")
	}
}

func TestLongerTokensKeepTheActiveKeyForLonger(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	start(t, s, c)
	long := start(t, s, c, func(o *Options) { o.Retain = 48 * time.Hour })
	old := activeID(t, long)
	if err := long.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	c.Advance(47 * time.Hour)
	refresh(t, long)
	if !published(long, old) {
		t.Error("a key that signed tokens of 48 h was dropped under them")
	}
}

func TestTokenLifeIsThatOfTheKeyWhoseTokensLiveLongest(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	lives := func(r *Ring, now time.Time, want time.Duration) {
		t.Helper()
		if got := r.Current().TokenLife(now); got != want {
			t.Errorf("tokens live for %s, want %s", got, want)
		}
	}
	lives(notStarted(t, s, c), c.Now(), 0)
	long := start(t, s, c, func(o *Options) { o.Retain = 48 * time.Hour })
	lives(long, c.Now().Add(day), 48*time.Hour) // it goes on signing
	short := start(t, s, c)
	lives(short, c.Now(), 48*time.Hour)
	if err := short.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ after, want time.Duration }{
		{-time.Hour, 48 * time.Hour}, // the clock was set back
		{0, 48 * time.Hour},
		{time.Hour, 47 * time.Hour},
		{time.Hour + time.Second - 1, 47 * time.Hour},
		{48*time.Hour - retain, retain},
		{48 * time.Hour, retain},
	} {
		lives(short, c.Now().Add(tc.after), tc.want)
	}
}

func TestTwoRingsOnOneStoreRotateOnce(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	a, b := start(t, s, c), start(t, s, c)
	next := only(t, a, Next).ID
	c.Advance(30 * day)
	var wg sync.WaitGroup
	for range 4 {
		for _, r := range []*Ring{a, b} {
			wg.Go(func() {
				if err := r.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	refresh(t, a)
	refresh(t, b)
	for _, r := range []*Ring{a, b} {
		if got := activeID(t, r); got != next {
			t.Errorf("active is %s, want %s: rotated more than once", got, next)
		}
		only(t, r, Retired)
	}
}

func TestChangedAlgorithmTakesOverOncePublished(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	old := activeID(t, start(t, s, c))
	r := start(t, s, c, func(o *Options) { o.Algorithm = "EdDSA" })
	if got := activeID(t, r); got != old {
		t.Fatal("the new algorithm signs before it was published")
	}
	next := only(t, r, Next)
	if next.Algorithm != "EdDSA" {
		t.Fatalf("next is for %s, want EdDSA", next.Algorithm)
	}
	c.Advance(time.Hour - time.Second)
	refresh(t, r)
	if got := activeID(t, r); got != old {
		t.Fatal("the new algorithm signs a second early")
	}
	c.Advance(time.Second)
	refresh(t, r)
	if got := activeID(t, r); got != next.ID {
		t.Error("the new algorithm does not sign after it was published long enough")
	}
	if !published(r, old) {
		t.Error("the key of the old algorithm was dropped under its tokens")
	}
}

func TestRotateByHandWaitsForPublication(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	old, next := activeID(t, r), only(t, r, Next).ID
	if err := r.Rotate(t.Context(), false); !errors.Is(err, ErrTooEarly) {
		t.Fatalf("got %v, want ErrTooEarly", err)
	}
	if activeID(t, r) != old {
		t.Fatal("refused, and rotated all the same")
	}
	c.Advance(time.Hour)
	if err := r.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if activeID(t, r) != next {
		t.Error("the next key is not active")
	}
}

func TestForcedRotationIsImmediateAndKeepsTheOldKey(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	old := activeID(t, r)
	if err := r.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if activeID(t, r) == old || !published(r, old) {
		t.Error("want another active key, and the old one still published")
	}
}

// A ring that is full says so before anything is written, and has room again once the tokens of its
// retired keys have expired, with no refresh between.
func TestForcedRotationsFillTheRing(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	var err error
	rotations := 0
	for ; err == nil && rotations < 1000; rotations++ {
		err = r.Rotate(t.Context(), true)
		c.Advance(time.Second)
	}
	if !errors.Is(err, ErrFull) || errors.Is(err, store.ErrInvalid) || rotations < 100 {
		t.Fatalf("after %d rotations: %v, want %v", rotations, err, ErrFull)
	}
	if want := only(t, r, Next); want.ID == "" || activeID(t, r) == "" {
		t.Error("the ring is not as it was")
	}
	c.Advance(retain)
	if err := r.Rotate(t.Context(), true); err != nil {
		t.Errorf("once the tokens have expired: %v", err)
	}
	if _, set := r.Current().JWKS(); set == "" {
		t.Error("no key set")
	}
}

func TestKeyPromotedJustNowIsRetainedInFull(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	for range 2 {
		short := activeID(t, r)
		if err := r.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		for _, i := range r.Current().List() {
			if i.ID == short && !i.Expires.Equal(c.Now().Add(retain)) {
				t.Errorf("a key retired at %s expires at %s, want %s later", i.Retired, i.Expires, retain)
			}
		}
	}
}

// overtaken is a store in which another process is faster once: first runs before the next Swap.
type overtaken struct {
	store.Store
	first func()
}

func (o *overtaken) Swap(ctx context.Context, old, next store.Record) error {
	if f := o.first; f != nil {
		o.first = nil
		f()
	}
	return o.Store.Swap(ctx, old, next)
}

func TestRotationsByHandAtTheSameMomentAreOne(t *testing.T) {
	c := newClock()
	s := &overtaken{Store: newStore(t, c)}
	slow, fast := start(t, s, c), start(t, s, c)
	next := only(t, slow, Next).ID
	s.first = func() {
		if err := fast.Rotate(t.Context(), true); err != nil {
			t.Error(err)
		}
	}
	if err := slow.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := activeID(t, slow); got != next {
		t.Errorf("active is %s, want %s: rotated twice", got, next)
	}
}
