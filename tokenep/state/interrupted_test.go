package state_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// interrupt ends the access tokens of a grant, as a process does that dies before it ends the rest.
func interrupt(t *testing.T, r *state.Revocations, c *clock, grantID string, before time.Time) {
	t.Helper()
	must(t, r.Add(t.Context(), verify.Revocation{Claim: "grant_id", Value: grantID, Before: before, Expires: c.Now().Add(time.Hour)}))
}

// A family whose end was interrupted is not good, and the first who presents a token of it ends it:
// for good, whatever becomes of the log.
func TestInterruptedEndOfAFamily(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		for name, step := range map[string]func(families state.Families, token string) error{
			"rotated": func(families state.Families, token string) error {
				_, _, err := refresh(t.Context(), families, token, anyone)
				return err
			},
			"used": func(families state.Families, token string) error {
				_, err := use(t.Context(), families, token)
				return err
			},
		} {
			families, set := newFamilies(s, c)
			token, f := mustStart(t, families)
			_, version, err := families.Check(t.Context(), token, anyone)
			must(t, err)
			interrupt(t, families.Revocations, c, f.ID, time.Time{})
			if _, err := families.Inspect(t.Context(), token); !errors.Is(err, state.ErrRevoked) {
				t.Errorf("%s: Inspect: %v, want ErrRevoked", name, err)
			}
			if err := step(families, token); !errors.Is(err, state.ErrRevoked) {
				t.Errorf("%s: %v, want ErrRevoked", name, err)
			}
			if _, _, err := families.Rotate(t.Context(), version); err == nil {
				t.Errorf("%s: what was checked before is good", name)
			}
			// Another node, and later: the log has forgotten it.
			later, _ := newFamilies(s, c)
			if err := step(later, token); !errors.Is(err, state.ErrRevoked) {
				t.Errorf("%s: when the log has forgotten it: %v", name, err)
			}
			if !set.Revoked(accessToken(f.ID)) {
				t.Errorf("%s: its access tokens live on", name)
			}

			// An entry that is about tokens of the past ends no family.
			token, f = mustStart(t, families)
			interrupt(t, families.Revocations, c, f.ID, c.Now())
			if err := step(families, token); err != nil {
				t.Errorf("%s: tokens of the past are revoked: %v", name, err)
			}
		}
	})
}

// Finish ends for good what was interrupted, before the log forgets it.
func TestFinish(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, f := mustStart(t, families)
		spared, other := mustStart(t, families)
		tokens, _ := newAPITokens(s, c)
		text, made, err := tokens.Create(t.Context(), ask("ann"))
		must(t, err)
		kept, keptToken, err := tokens.Create(t.Context(), ask("bob"))
		must(t, err)
		for _, id := range []string{f.ID, made.ID, "F" + f.ID[1:], "no id at all"} {
			interrupt(t, families.Revocations, c, id, time.Time{})
		}
		for _, id := range []string{other.ID, keptToken.ID} {
			interrupt(t, families.Revocations, c, id, c.Now())
		}
		must(t, families.Finish(t.Context()))
		tokens.Revocations = families.Revocations
		must(t, tokens.Finish(t.Context()))

		// With a log that knows nothing of it.
		families, _ = newFamilies(s, c)
		tokens, _ = newAPITokens(s, c)
		wantRotate(t, families, token, state.ErrRevoked)
		wantRotate(t, families, spared, nil)
		if _, err := exchange(t.Context(), tokens, text); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("the API token: %v", err)
		}
		if _, err := exchange(t.Context(), tokens, kept); err != nil {
			t.Errorf("another API token: %v", err)
		}
	})
}

// A code whose replay was interrupted starts no family.
func TestInterruptedEndBeforeTheFamilyStarts(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		f := aFamily()
		_, made := mustStart(t, families)
		f.ID = made.ID[:len(made.ID)-1] + "0"
		interrupt(t, families.Revocations, c, f.ID, time.Time{})
		if _, _, err := families.Start(t.Context(), f); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("%v, want ErrRevoked", err)
		}
	})
}

// An API token whose revocation was interrupted is not good.
func TestInterruptedRevocationOfAnAPIToken(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		text, made, err := tokens.Create(t.Context(), ask("ann"))
		must(t, err)
		interrupt(t, tokens.Revocations, c, made.ID, c.Now()) // as a rotation does
		if _, err := exchange(t.Context(), tokens, text); err != nil {
			t.Errorf("access tokens of the past are revoked: %v", err)
		}
		interrupt(t, tokens.Revocations, c, made.ID, time.Time{})
		if _, err := exchange(t.Context(), tokens, text); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("%v, want ErrRevokedAPIToken", err)
		}
		must(t, tokens.Revoke(t.Context(), made.ID, ""))
	})
}
