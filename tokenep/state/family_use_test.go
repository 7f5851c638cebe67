package state_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func mustUse(t testing.TB, s state.Families, token string) string {
	t.Helper()
	next, err := use(t.Context(), s, token)
	if err != nil {
		t.Fatalf("Use: %v", err)
	}
	return next
}

// A token that is used remains the same. The family is written when its end moves by a tenth of the
// idle time, and never between.
func TestUseWritesOncePerTenthOfTheIdleTime(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c) // an hour idle, a day in all
		token, made := mustStart(t, families)
		record := func() store.Record {
			t.Helper()
			r, err := s.Load(t.Context(), "family", made.ID)
			must(t, err)
			return r
		}
		for _, step := range []struct {
			after  time.Duration
			writes bool
		}{
			{0, false}, {time.Minute, false}, {5*time.Minute - time.Millisecond, false}, {time.Millisecond, true},
			{0, false}, {6 * time.Minute, true}, {time.Hour - time.Millisecond, true}, {time.Minute, false},
		} {
			was := record()
			c.Advance(step.after)
			if got := mustUse(t, families, token); got != token {
				t.Fatal("the token is another")
			}
			is := record()
			if (is.Version != was.Version) != step.writes {
				t.Fatalf("after %s more: version %d became %d; want a write: %v", step.after, was.Version, is.Version, step.writes)
			}
			if step.writes && !isKept(is, c.Now().Add(time.Hour)) {
				t.Errorf("it expires at %v, want an hour from now, or a little later", is.Expires)
			}
		}
	})
}

// The last end of a family is reached by use, and never moved.
func TestUseDoesNotMoveTheLastEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, made := mustStart(t, families)
		for c.Now().Before(made.Ends) {
			mustUse(t, families, token)
			c.Advance(7 * time.Minute)
		}
		if _, err := use(t.Context(), families, token); !errors.Is(err, state.ErrRefused) {
			t.Errorf("after its end: %v, want a refusal", err)
		}
		if late := c.Now().Sub(made.Ends); late >= 7*time.Minute {
			t.Errorf("the family was good until %s after its end", late)
		}
	})
}

// Whether tokens are rotated is a setting, and a family that has seen both is one family.
func TestUseAndRotateMix(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, set := newFamilies(s, c)
		first, made := mustStart(t, families)
		mustUse(t, families, first)
		second := mustRotate(t, families, first)
		if got := mustUse(t, families, first); got != second {
			t.Error("a token in its grace does not get its successor")
		}
		if got := mustUse(t, families, second); got != second {
			t.Error("the newest token is another")
		}
		c.Advance(state.DefaultGrace + time.Millisecond)
		if _, err := use(t.Context(), families, first); !errors.Is(err, state.ErrReused) {
			t.Errorf("a token that was rotated: %v, want ErrReused", err)
		}
		if _, err := use(t.Context(), families, second); !errors.Is(err, state.ErrRevoked) || !set.Revoked(accessToken(made.ID)) {
			t.Errorf("after the reuse: %v, want ErrRevoked", err)
		}
	})
}

// A backup that was restored can know less than the newest token, which goes on all the same, and
// is the newest from then on.
func TestUseOfATokenNewerThanItsFamily(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		first, _ := mustStart(t, families)
		third := state.ForgeRefreshToken(testKey(), first, 3)
		if got := mustUse(t, families, third); got != third {
			t.Error("the token is another")
		}
		if _, err := use(t.Context(), families, first); !errors.Is(err, state.ErrReused) {
			t.Errorf("an older token: %v, want ErrReused", err)
		}
	})
}

// Fifty uses at once write once where the end is due to move, and all of them pass.
func TestFiftyConcurrentUses(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, made := mustStart(t, families)
		c.Advance(30 * time.Minute)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got, err := use(t.Context(), families, token); err != nil || got != token {
					t.Errorf("the same token: %v, %v", got == token, err)
				}
			})
		}
		wg.Wait()
		if r, err := s.Load(t.Context(), "family", made.ID); err != nil || r.Version != 2 {
			t.Errorf("version %d, %v; want one write", r.Version, err)
		}
	})
}
