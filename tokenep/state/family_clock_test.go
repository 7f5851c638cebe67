package state_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A clock that is set an hour ahead or back makes no family immortal, and no spent token good.
func TestFamilyWhenTheClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				families, _ := newFamilies(s, c)
				families.Idle = 2 * time.Hour
				spent, f := mustStart(t, families)
				token := mustRotate(t, families, mustRotate(t, families, spent))

				c.Advance(jump)
				token = mustRotate(t, families, token)
				c.Advance(-jump)
				token = mustRotate(t, families, token)
				for c.Now().Before(f.Ends) {
					token = mustRotate(t, families, token)
					c.Advance(time.Hour)
				}
				wantRotate(t, families, token, state.ErrExpired)

				spent, _ = mustStart(t, families)
				mustRotate(t, families, mustRotate(t, families, spent))
				c.Advance(jump)
				wantRotate(t, families, spent, state.ErrReused)
			})
		})
	}
}

// While the clock is behind, the grace is not as long as the jump; and nodes whose clocks differ a
// little do not take each other's answers for reuse.
func TestGraceWhenClocksDiffer(t *testing.T) {
	for name, test := range map[string]struct {
		jump time.Duration
		want error
	}{
		"another node is a second ahead": {-time.Second, nil},
		"by as much as the grace":        {-state.DefaultGrace, nil},
		"the clock was set back":         {-time.Hour, state.ErrReused},
		"the clock was set ahead":        {time.Hour - time.Minute, state.ErrReused},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				families, _ := newFamilies(s, c)
				token, _ := mustStart(t, families)
				mustRotate(t, families, token)
				c.Advance(test.jump)
				wantRotate(t, families, token, test.want)
			})
		})
	}
}

// A family that is revoked before it starts stays so although the clock jumps, and the engine
// collects garbage.
func TestTombstoneOutlivesAJump(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		f := aFamily()
		f.ID = "ffffffffffffffffffffffff"
		if err := families.Revoke(t.Context(), f.ID); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Hour)
		record, err := s.Load(t.Context(), "family", f.ID)
		if err != nil || !record.Expires.After(c.Now()) {
			t.Errorf("kept until %v, %v", record.Expires, err)
		}
		if _, _, err := families.Start(t.Context(), f); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("Start: %v, want ErrRevoked", err)
		}
	})
}
