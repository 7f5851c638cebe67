package keys

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// cluster starts processes on one store, each with a clock of its own.
func cluster(t *testing.T, n int) ([]*Ring, []*clock) {
	t.Helper()
	shared := newClock()
	s := newStore(t, shared)
	rings, clocks := make([]*Ring, n), make([]*clock, n)
	for i := range rings {
		clocks[i] = newClock()
		rings[i] = start(t, s, clocks[i], under("a"))
	}
	return rings, clocks
}

// TestClusterRotatesOnce lets a year pass for three processes, each of which refreshes several
// times at once with the others.
func TestClusterRotatesOnce(t *testing.T) {
	rings, clocks := cluster(t, 3)
	seen := []string{activeID(t, rings[0])}
	for month := range 12 {
		next := only(t, rings[0], Next).ID
		for _, c := range clocks {
			c.Advance(30 * day)
		}
		var all sync.WaitGroup
		for _, r := range rings {
			for range 4 {
				all.Go(func() {
					if err := r.Refresh(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		for i, r := range rings {
			if got := activeID(t, r); got != next {
				t.Fatalf("month %d: process %d signs with %s, want %s: rotated more than once", month, i, got, next)
			}
			if now := clocks[i].Now(); only(t, r, Retired).Retired != now || only(t, r, Next).Created != now {
				t.Errorf("month %d: %+v at %s", month, r.Current().List(), now)
			}
		}
		if slices.Contains(seen, next) {
			t.Fatalf("month %d: %s signs for a second time", month, next)
		}
		seen = append(seen, next)
	}
}

// TestKeysAreKnownBeforeAndAfterTheySign checks two promises each minute: a verifier that fetched
// the key set up to twice MaxAge ago knows the key that signs now, and a token that was signed up
// to Retain ago can be verified. Terms are short, so that many end.
func TestKeysAreKnownBeforeAndAfterTheySign(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	short := func(o *Options) { o.Active, o.MaxAge, o.Publish = 6*time.Hour, time.Hour, 2*time.Hour }
	rings := []*Ring{start(t, s, c, short), start(t, s, c, short), start(t, s, c, short)}
	born := c.Now()
	since, signed := map[string]time.Time{}, map[string]time.Time{} // first published, last signed
	active := map[string]bool{}
	for minute := range 3 * 24 * 60 {
		r := rings[minute%3]
		refresh(t, r)
		now, kid := c.Now(), activeID(t, r)
		for _, i := range r.Current().List() {
			if _, known := since[i.ID]; !known {
				since[i.ID] = now
			}
		}
		if age := now.Sub(since[kid]); age < 2*time.Hour && now.Sub(born) >= 6*time.Hour {
			t.Fatalf("%s signs after having been published for %s", kid, age)
		}
		signed[kid], active[kid] = now, true
		for kid, last := range signed {
			if now.Sub(last) < retain && !published(r, kid) {
				t.Fatalf("%s is not published %s after it signed", kid, now.Sub(last))
			}
		}
		c.Advance(time.Minute)
	}
	if len(active) != 12 {
		t.Errorf("%d keys signed in 72 hours, want 12", len(active))
	}
	for kid, last := range signed {
		if c.Now().Sub(last) > retain+3*time.Minute && published(rings[0], kid) {
			t.Errorf("%s is still published", kid)
		}
	}
}

// TestClockThatJumpsAnHourEitherWay lets the clock of one of two processes jump at random; the
// other one is right.
func TestClockThatJumpsAnHourEitherWay(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rings, clocks := cluster(t, 2)
	truth := newClock()
	signed := map[string]time.Time{} // when a key signed last, by the true time
	past := map[string]bool{}        // whether it has stopped
	offset, signer := time.Duration(0), activeID(t, rings[0])
	for range 200 {
		step := time.Duration(random.IntN(12*60)) * time.Minute
		jump := []time.Duration{-time.Hour, 0, time.Hour}[random.IntN(3)]
		truth.Advance(step)
		clocks[0].Advance(step)
		clocks[1].Advance(step + jump - offset)
		offset = jump
		for _, r := range rings {
			refresh(t, r)
			refresh(t, r)
			kid := activeID(t, r)
			if past[signer] = kid != signer; past[kid] {
				t.Fatalf("%s signs again", kid)
			}
			signer, signed[kid] = kid, truth.Now()
		}
		refresh(t, rings[0])
		if a, b := activeID(t, rings[0]), activeID(t, rings[1]); a != b {
			t.Fatalf("one process signs with %s, the other with %s", a, b)
		}
		only(t, rings[0], Next)
		for kid, last := range signed {
			// A key may be retained for an hour less or more.
			if age := truth.Now().Sub(last); age < retain-2*time.Hour && !published(rings[0], kid) {
				t.Fatalf("%s is not published %s after it signed", kid, age)
			}
			if age := truth.Now().Sub(last); age > retain+14*time.Hour && kid != activeID(t, rings[0]) && published(rings[0], kid) {
				t.Fatalf("%s is published %s after it signed", kid, age)
			}
		}
	}
	days := int(truth.Now().Sub(newClock().Now()) / day)
	if most := days/29 + 1; len(signed) > most {
		t.Errorf("%d keys signed in %d days, want %d at most", len(signed), days, most)
	}
}

// TestClockThatWentBackMakesNothingImmortal: a key that was made, promoted or retired in what is
// now the future reaches its next state an hour late.
func TestClockThatWentBackMakesNothingImmortal(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	old := activeID(t, r)
	c.Advance(30*day + time.Hour)
	refresh(t, r)
	active := activeID(t, r)
	c.Advance(-time.Hour) // it was an hour fast
	refresh(t, r)
	if activeID(t, r) != active {
		t.Fatal("the rotation was undone, or done again")
	}
	c.Advance(retain + time.Hour)
	refresh(t, r)
	if published(r, old) {
		t.Error("the retired key stays")
	}
	c.Advance(30*day - retain)
	refresh(t, r)
	if activeID(t, r) == active {
		t.Error("the active key goes on for ever")
	}
}
