package state_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 7523 §3: an id is good once, for as long as what it belongs to can be presented.
func TestSeenRules(t *testing.T) {
	type step struct {
		after     time.Duration
		space, id string
		life      time.Duration // exp, from the time of the step
		want      error
	}
	const gone = time.Minute + verify.MaxLeeway // exp and leeway are over
	for name, steps := range map[string][]step{
		"once":                       {{0, "a", "1", time.Minute, nil}, {0, "a", "1", time.Minute, state.ErrSpent}, {0, "a", "2", time.Minute, nil}},
		"in another space":           {{0, "a", "1", time.Minute, nil}, {0, "b", "1", time.Minute, nil}},
		"spaces do not run into ids": {{0, "a", "bc", time.Minute, nil}, {0, "ab", "c", time.Minute, nil}, {0, "", "abc", time.Minute, nil}},
		"within the leeway of exp":   {{0, "a", "1", time.Minute, nil}, {gone - 1e6, "a", "1", time.Minute, state.ErrSpent}},
		"after exp it is another":    {{0, "a", "1", time.Minute, nil}, {gone, "a", "1", time.Minute, nil}, {0, "a", "1", time.Minute, state.ErrSpent}},
		"expired":                    {{0, "a", "1", -verify.MaxLeeway, state.ErrExpired}},
		"never expiring":             {{0, "a", "1", state.MaxSeenLife + time.Second, state.ErrInvalid}},
		"empty":                      {{0, "a", "", time.Minute, state.ErrInvalid}},
		"the clock goes ahead, and back": {
			{0, "a", "1", time.Minute, nil}, {time.Hour, "a", "1", time.Minute - time.Hour, state.ErrExpired}, {-time.Hour, "a", "1", time.Minute, state.ErrSpent},
		},
		"the clock goes back": {{0, "a", "1", time.Minute, nil}, {-time.Hour, "a", "1", time.Hour, state.ErrSpent}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				seen := state.Seen{Store: s, Now: c.Now}
				for i, step := range steps {
					c.Advance(step.after)
					if err := seen.Add(t.Context(), step.space, step.id, c.Now().Add(step.life)); !errors.Is(err, step.want) {
						t.Errorf("step %d: %v, want %v", i, err, step.want)
					}
				}
			})
		})
	}
}

// An engine may drop what has expired by its clock. If that clock is an hour ahead, what was seen
// is still there.
func TestSeenIsKeptWhileTheClockIsAhead(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		seen := state.Seen{Store: s, Now: c.Now}
		exp := c.Now().Add(time.Minute)
		if err := seen.Add(t.Context(), "a", "1", exp); err != nil {
			t.Fatal(err)
		}
		records, err := s.List(t.Context(), "seen", "", "", 10)
		if err != nil || len(records) != 1 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		if lastUse := exp.Add(verify.MaxLeeway); records[0].Expires.Before(lastUse.Add(time.Hour)) {
			t.Errorf("dropped from %v, an hour after %v is too early", records[0].Expires, lastUse)
		}
	})
}

// An id whose time is over is another when it comes again, and the record of the first is kept for
// as long as that lives.
func TestSeenAgainIsKeptForAsLong(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		seen := state.Seen{Store: s, Now: c.Now}
		for range 2 {
			exp := c.Now().Add(time.Minute)
			must(t, seen.Add(t.Context(), "a", "1", exp))
			records, err := s.List(t.Context(), "seen", "", "", 10)
			if err != nil || len(records) != 1 {
				t.Fatalf("%d records, %v", len(records), err)
			}
			if want := exp.Add(verify.MaxLeeway + time.Hour); !records[0].Expires.Equal(want) {
				t.Errorf("kept until %v, want %v", records[0].Expires, want)
			}
			c.Advance(time.Minute + verify.MaxLeeway)
		}
	})
}

func TestOfEightThatAddAnIDOneSucceeds(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		nodes := []state.Seen{{Store: node(), Now: c.Now}, {Store: node(), Now: c.Now}}
		for round := range 20 { // from the second on the record is there, and has expired
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					err := nodes[i%2].Add(t.Context(), "a", "1", c.Now().Add(time.Minute))
					if err == nil {
						won.Add(1)
					} else if !errors.Is(err, state.ErrSpent) {
						t.Errorf("Add: %v", err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("round %d: %d succeeded", round, won.Load())
			}
			c.Advance(time.Minute + verify.MaxLeeway)
		}
	})
}

func TestSeenDuringAnOutageIsNotKnown(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	f.Fail(away())
	err := state.Seen{Store: f, Now: c.Now}.Add(t.Context(), "a", "1", c.Now().Add(time.Minute))
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
		t.Errorf("Add: %v, want store.ErrUnavailable", err)
	}
}
