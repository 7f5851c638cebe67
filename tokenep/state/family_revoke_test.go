package state_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A replay at one node that races with the legitimate refresh at another: whatever the order, the
// family ends.
func TestReplayRacingARefreshEndsTheFamily(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		families, set := newFamilies(node(), c)
		thief, thiefSet := newFamilies(node(), c)
		for range 20 {
			stolen, f := mustStart(t, families)
			token := mustRotate(t, families, mustRotate(t, families, stolen))
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					_, _, err := refresh(t.Context(), thief, stolen, anyone)
					if !errors.Is(err, state.ErrReused) && !errors.Is(err, state.ErrRevoked) {
						t.Errorf("replay: %v", err)
					}
				})
				wg.Go(func() {
					next, _, err := refresh(t.Context(), families, token, anyone)
					if err == nil {
						_, _, err = refresh(t.Context(), families, next, anyone)
					}
					if err != nil && !errors.Is(err, state.ErrRevoked) && !errors.Is(err, state.ErrReused) {
						t.Errorf("refresh: %v", err)
					}
				})
			}
			wg.Wait()
			for n := range 5 {
				wantRotate(t, families, state.ForgeRefreshToken(testKey(), stolen, uint64(n+1)), state.ErrRevoked)
			}
			if !set.Revoked(accessToken(f.ID)) && !thiefSet.Revoked(accessToken(f.ID)) {
				t.Error("its access tokens live on")
			}
		}
	})
}

// entries counts those in the log of revocations.
func entries(t *testing.T, s store.Store) int {
	t.Helper()
	records, err := s.List(t.Context(), "revocation", "", "", store.MaxPage)
	must(t, err)
	return len(records)
}

func TestRevokeEndsAFamilyAndItsAccessTokens(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, set := newFamilies(s, c)
		for name, how := range map[string]struct {
			revoke  func(token string, f state.Family) error
			entries int // in the log, after it was done twice
		}{
			// Whoever manages the server may want to repeat all of it; a client that repeats itself
			// costs nothing.
			"by id":              {func(_ string, f state.Family) error { return families.Revoke(t.Context(), f.ID) }, 2},
			"by token, RFC 7009": {func(token string, _ state.Family) error { return families.RevokeToken(t.Context(), token, anyone) }, 1},
		} {
			before := entries(t, s)
			old, f := mustStart(t, families)
			token := mustRotate(t, families, old)
			if _, err := families.Inspect(t.Context(), token); err != nil {
				t.Errorf("%s: Inspect: %v", name, err)
			}
			for range 2 { // the second changes nothing, and is no error
				if err := how.revoke(old, f); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if n := entries(t, s) - before; n != how.entries {
				t.Errorf("%s: %d entries in the log, want %d", name, n, how.entries)
			}
			wantRotate(t, families, token, state.ErrRevoked)
			if _, err := families.Inspect(t.Context(), token); !errors.Is(err, state.ErrRevoked) {
				t.Errorf("%s: Inspect: %v, want ErrRevoked", name, err)
			}
			if !set.Revoked(accessToken(f.ID)) {
				t.Errorf("%s: the access tokens live on", name)
			}
		}
	})
}

// A replay of a code can come before the winner has started the family.
func TestFamilyRevokedBeforeItStartsCannotStart(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, set := newFamilies(s, c)
		f := aFamily()
		f.ID = strings.Repeat("f", 24)
		if err := families.Revoke(t.Context(), f.ID); err != nil {
			t.Fatal(err)
		}
		if token, _, err := families.Start(t.Context(), f); !errors.Is(err, state.ErrRevoked) || token != "" {
			t.Errorf("Start: %v, want ErrRevoked", err)
		}
		if !set.Revoked(accessToken(f.ID)) {
			t.Error("access tokens that were made meanwhile live")
		}
		f.ID = strings.Repeat("g", 24)
		if _, _, err := families.Start(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if _, _, err := families.Start(t.Context(), f); !errors.Is(err, store.ErrExists) {
			t.Errorf("Start again: %v, want store.ErrExists", err)
		}
	})
}

func TestStartRacingRevokeLeavesNothingAlive(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		for i := range 50 {
			f := aFamily()
			f.ID = strings.Repeat("f", 22) + string(rune('a'+i/26)) + string(rune('a'+i%26))
			var token string
			var wg sync.WaitGroup
			wg.Go(func() { token, _, _ = families.Start(t.Context(), f) })
			wg.Go(func() {
				if err := families.Revoke(t.Context(), f.ID); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			})
			wg.Wait()
			if token != "" {
				wantRotate(t, families, token, state.ErrRevoked)
			}
		}
	})
}

// Whoever hangs up does not keep the family alive.
func TestReuseEndsTheFamilyAlthoughTheClientHasGone(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, set := newFamilies(s, c)
		old, f := mustStart(t, families)
		token := mustRotate(t, families, mustRotate(t, families, old))
		ctx, hangUp := context.WithCancel(t.Context())
		_, _, err := refresh(ctx, families, old, func(state.Family) error { hangUp(); return nil })
		if !errors.Is(err, state.ErrReused) || !set.Revoked(accessToken(f.ID)) {
			t.Errorf("%v, want ErrReused", err)
		}
		wantRotate(t, families, token, state.ErrRevoked)
	})
}
