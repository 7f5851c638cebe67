package keys

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// counted is a store that counts its Loads, which hang until hold is closed, unless it is nil.
type counted struct {
	store.Store
	loads atomic.Int64
	hold  chan struct{}
}

func (s *counted) Load(ctx context.Context, kind, id string) (store.Record, error) {
	s.loads.Add(1)
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return store.Record{}, ctx.Err()
		}
	}
	return s.Store.Load(ctx, kind, id)
}

func wantKey(t *testing.T, r *Ring, kid string, want error) {
	t.Helper()
	if _, err := r.Key(t.Context(), kid, "ES256"); !errors.Is(err, want) {
		t.Errorf("key %s: %v, want %v", kid, err, want)
	}
}

// What node a signs is accepted by node b, which has not refreshed, however fast a changed keys.
func TestKeyThatAnotherNodePutInUseIsKnown(t *testing.T) {
	turns := map[string]func(*testing.T, *Ring){
		"withdrawn": func(t *testing.T, r *Ring) { withdraw(t, r, activeID(t, r)) },
		"rotated": func(t *testing.T, r *Ring) {
			if err := r.Rotate(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		},
	}
	own, _ := pair(t)
	for name, turn := range turns {
		for _, b := range []struct {
			name   string
			change func(*Options)
		}{{"own keys", func(*Options) {}}, {"given keys", giving(own)}} {
			t.Run(name+"/"+b.name, func(t *testing.T) {
				c := newClock()
				s := newStore(t, c)
				a := start(t, s, c)
				b := start(t, s, c, b.change)
				for range 3 {
					turn(t, a)
				}
				wantKey(t, b, activeID(t, a), nil)
			})
		}
	}
}

func TestJunkCostsTheStoreOneLoadASecond(t *testing.T) {
	c := newClock()
	s := &counted{Store: newStore(t, c)}
	r := start(t, s, c)
	before := s.loads.Load()
	for i := range 100 { // over 1.98 s, so two readings
		wantKey(t, r, fmt.Sprint("junk", i), verify.ErrUnknownKey)
		wantKey(t, r, activeID(t, r), nil)
		c.Advance(20 * time.Millisecond)
	}
	if n := s.loads.Load() - before; n != 2 {
		t.Errorf("%d loads in two seconds, want 2", n)
	}
	c.Advance(-time.Hour)
	wantKey(t, r, "junk", verify.ErrUnknownKey)
	if n := s.loads.Load() - before; n != 3 {
		t.Errorf("%d loads, want a third after the clock went back", n)
	}
	wantKey(t, r, "", verify.ErrUnknownKey)
	if _, err := r.Key(t.Context(), activeID(t, r), "RS256"); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("a key for another algorithm: %v", err)
	}
}

// frail is a store whose Load panics, if it is set.
type frail struct {
	store.Store
	panics atomic.Bool
}

func (s *frail) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if s.panics.Load() {
		panic("boom")
	}
	return s.Store.Load(ctx, kind, id)
}

// A store that panics is one that is away, for those who ask and for the ring.
func TestAStoreThatPanicsIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		s := &frail{Store: newStore(t, c)}
		r := start(t, s, c)
		s.panics.Store(true)
		wantKey(t, r, "junk", verify.ErrUnavailable)
		time.Sleep(2 * refreshEvery) // of the bubble
		wantKey(t, r, activeID(t, r), nil)
		s.panics.Store(false)
		c.Advance(lookEvery)
		wantKey(t, r, "junk", verify.ErrUnknownKey)
	})
}

func TestUnknownKeyWhileTheStoreIsAwayIsNotRefusedForGood(t *testing.T) {
	c := newClock()
	s := &away{Store: newStore(t, c)}
	a := start(t, s, c)
	b := start(t, s, c)
	withdraw(t, a, activeID(t, a))
	withdraw(t, a, activeID(t, a))
	s.set(true)
	wantKey(t, b, activeID(t, a), verify.ErrUnavailable)
	wantKey(t, b, activeID(t, b), nil)
	s.set(false)
	c.Advance(lookEvery)
	wantKey(t, b, activeID(t, a), nil)
	wantKey(t, b, "junk", verify.ErrUnknownKey)
}

// A thousand senders of junk, one of which hangs up at once, cost one Load and wait for a moment.
func TestJunkDoesNotGatherWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		s := &counted{Store: newStore(t, c)}
		r := start(t, s, c)
		s.hold = make(chan struct{})
		s.loads.Store(0)
		began := time.Now()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Key(gone, "junk", "ES256"); !errors.Is(err, verify.ErrUnavailable) || time.Since(began) != 0 {
			t.Errorf("the first hung up: %v after %s", err, time.Since(began))
		}
		var waited atomic.Int64
		for range 1000 {
			go func() {
				wantKey(t, r, "junk", verify.ErrUnavailable)
				waited.Add(1)
			}()
		}
		time.Sleep(lookPatience)
		synctest.Wait()
		if n := waited.Load(); n != 1000 {
			t.Errorf("%d of 1000 got an answer in %s", n, lookPatience)
		}
		c.Advance(time.Hour)
		began = time.Now()
		wantKey(t, r, "junk", verify.ErrUnavailable)
		wantKey(t, r, activeID(t, r), nil)
		if time.Since(began) != 0 {
			t.Errorf("while the look hangs a request waited for %s", time.Since(began))
		}
		if n := s.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1 at a time", n)
		}
		close(s.hold)
		synctest.Wait()
		wantKey(t, r, "junk", verify.ErrUnknownKey)
		time.Sleep(lookPatience) // until no timer is left in the bubble
	})
}

func TestLookOnAStoreWithoutATimeOutEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		s := &counted{Store: newStore(t, c)}
		r := start(t, s, c)
		s.hold = make(chan struct{})
		wantKey(t, r, "junk", verify.ErrUnavailable)
		time.Sleep(lookLimit)
		synctest.Wait()
		if !r.lookup.last.over() {
			t.Error("the look goes on")
		}
	})
}

func TestKnownKeyCostsNothing(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	kid := activeID(t, r)
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Key(t.Context(), kid, "ES256") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
