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

func mustRoll(t *testing.T, s state.APITokens, id string, overlap time.Duration) (string, state.APIToken) {
	t.Helper()
	token, rolled, err := s.Roll(t.Context(), id, overlap)
	must(t, err)
	return token, rolled
}

func TestRollChangesTheSecretAndNothingElse(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, set := newAPITokens(s, c)
		oldText, old := mustCreate(t, tokens, "ann")
		c.Advance(24 * time.Hour)
		text, rolled := mustRoll(t, tokens, old.ID, 0)
		got, err := exchange(t.Context(), tokens, text)
		if err != nil {
			t.Errorf("the new secret: %v", err)
		}
		if _, err := exchange(t.Context(), tokens, oldText); !errors.Is(err, state.ErrRolledAPIToken) || !errors.Is(err, state.ErrBadAPIToken) {
			t.Errorf("the old secret: %v, want ErrRolledAPIToken", err)
		}
		if !set.Revoked(accessToken(old.GrantID())) || set.Revoked(accessToken(got.GrantID())) {
			t.Error("want the access tokens of the old secret revoked, and only those")
		}
		if rolled.ID != old.ID || rolled.Name != old.Name || rolled.Owner != old.Owner || !rolled.Expires.Equal(old.Expires) ||
			!rolled.Created.Equal(old.Created) || !rolled.Rolled.Equal(c.Now()) || !rolled.OldUntil.IsZero() {
			t.Errorf("rolled %+v of %+v", rolled, old)
		}
		if list, err := tokens.List(t.Context(), "ann", "", 10); err != nil || len(list) != 1 {
			t.Errorf("%d listed, %v, want one", len(list), err)
		}
		must(t, tokens.Finish(t.Context()))
		if _, err := exchange(t.Context(), tokens, text); err != nil {
			t.Errorf("after what was interrupted is finished: %v", err)
		}
		must(t, tokens.Revoke(t.Context(), old.ID, "gone"))
		if !set.Revoked(accessToken(got.GrantID())) {
			t.Error("revoked after a roll, and its access tokens live")
		}
		if _, _, err := tokens.Roll(t.Context(), old.ID, 0); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("rolling a revoked token: %v, want ErrRevokedAPIToken", err)
		}
		if _, _, err := tokens.Roll(t.Context(), "000000000000", 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("rolling an unknown token: %v, want store.ErrNotFound", err)
		}
	})
}

func TestOldSecretIsGoodForTheOverlap(t *testing.T) {
	c := newClock()
	tokens, set := newAPITokens(newMemory(t, c.Now), c)
	first, made := mustCreate(t, tokens, "ann")
	second, rolled := mustRoll(t, tokens, made.ID, 48*time.Hour)
	got, err := exchange(t.Context(), tokens, first)
	if err != nil || !got.Expires.Equal(c.Now().Add(48*time.Hour)) || !rolled.OldUntil.Equal(got.Expires) {
		t.Errorf("the old secret is good until %v, %v; the roll says %v; want two days", got.Expires, err, rolled.OldUntil)
	}
	if set.Revoked(accessToken(made.GrantID())) {
		t.Error("its access tokens are revoked although it is good")
	}
	c.Advance(24 * time.Hour)
	third, _ := mustRoll(t, tokens, made.ID, time.Hour) // shortens what was left
	for _, token := range []string{first, second, third} {
		if _, err := exchange(t.Context(), tokens, token); err != nil {
			t.Errorf("within the overlap: %v", err)
		}
	}
	c.Advance(time.Hour)
	for _, token := range []string{first, second} {
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrRolledAPIToken) {
			t.Errorf("after the overlap: %v, want ErrRolledAPIToken", err)
		}
	}
	fourth, _ := mustRoll(t, tokens, made.ID, 7*24*time.Hour)
	fifth, _ := mustRoll(t, tokens, made.ID, 0) // ends all of them
	for _, token := range []string{third, fourth} {
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrRolledAPIToken) {
			t.Errorf("after a roll without overlap: %v, want ErrRolledAPIToken", err)
		}
	}
	if _, err := exchange(t.Context(), tokens, fifth); err != nil {
		t.Errorf("the newest: %v", err)
	}
	for _, overlap := range []time.Duration{-1, state.MaxRollOverlap + 1} {
		if _, _, err := tokens.Roll(t.Context(), made.ID, overlap); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("an overlap of %v: %v, want ErrInvalid", overlap, err)
		}
	}
}

// There is room for a few old secrets. One that is good is never dropped for another.
func TestNoSecretThatIsGoodIsForgotten(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	text, made := mustCreate(t, tokens, "ann")
	shown := []string{text}
	for range 5 {
		text, _ = mustRoll(t, tokens, made.ID, time.Hour)
		shown = append(shown, text)
	}
	if _, _, err := tokens.Roll(t.Context(), made.ID, time.Hour); !errors.Is(err, state.ErrRolledOften) {
		t.Errorf("one more: %v, want ErrRolledOften", err)
	}
	for i, text := range shown {
		if _, err := exchange(t.Context(), tokens, text); err != nil {
			t.Errorf("secret %d: %v", i, err)
		}
	}
	text, _ = mustRoll(t, tokens, made.ID, 0) // needs no room
	for range 9 {
		text, _ = mustRoll(t, tokens, made.ID, 0)
	}
	if _, err := exchange(t.Context(), tokens, text); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

// Wherever a process dies while it rolls, what was shown works for the overlap that was asked for,
// and the roll can be repeated.
func TestRollThatDiesLosesNothingThatWasShown(t *testing.T) {
	for _, overlap := range []time.Duration{0, time.Hour} {
		for n := range 5 {
			t.Run(fmt.Sprintf("overlap %v, write %d", overlap, n), func(t *testing.T) {
				c := newClock()
				f := storetest.NewFaulty(newMemory(t, c.Now))
				tokens, set := newAPITokens(f, c)
				shown, made := mustCreate(t, tokens, "ann")
				dieAtWrite(f, n)
				next, _, err := tokens.Roll(t.Context(), made.ID, overlap)
				f.Fail(nil)
				must(t, tokens.Finish(t.Context()))
				if _, old := exchange(t.Context(), tokens, shown); overlap > 0 && old != nil {
					t.Errorf("the secret that was shown: %v", old)
				}
				if err != nil {
					if next, _, err = tokens.Roll(t.Context(), made.ID, overlap); err != nil {
						t.Fatalf("once more: %v", err)
					}
				}
				got, err := exchange(t.Context(), tokens, next)
				if err != nil {
					t.Errorf("the new secret: %v", err)
				}
				if _, err := exchange(t.Context(), tokens, shown); (err == nil) != (overlap > 0) {
					t.Errorf("the old secret, after the roll: %v", err)
				}
				if set.Revoked(accessToken(got.GrantID())) || overlap == 0 && !set.Revoked(accessToken(made.GrantID())) {
					t.Error("want the access tokens of the secret that has ended revoked, and only those")
				}
			})
		}
	}
}

func TestRevokeAllGoesOnWhereItEnded(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, set := newAPITokens(f, c)
	tokens.MaxPerUser = 0
	ids := map[string]string{}
	for range 10 {
		token, made := mustCreate(t, tokens, "ann")
		ids[token] = made.ID
	}
	kept, _ := mustCreate(t, tokens, "bob")
	dieAtWrite(f, 7)
	first, err := tokens.RevokeAll(t.Context(), "ann", "has left")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("%v, want store.ErrUnavailable", err)
	}
	f.Fail(nil)
	second, err := tokens.RevokeAll(t.Context(), "ann", "has left")
	if err != nil || first == 0 || first+second != 10 {
		t.Errorf("%d, then %d revoked, %v, want 10 in all", first, second, err)
	}
	for token, id := range ids {
		got, err := tokens.Load(t.Context(), id)
		if err != nil || got.Reason != "has left" || !set.Revoked(accessToken(id)) {
			t.Errorf("revoked for the reason %q, %v", got.Reason, err)
		}
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("%v, want ErrRevokedAPIToken", err)
		}
	}
	if _, err := exchange(t.Context(), tokens, kept); err != nil {
		t.Errorf("that of another owner: %v", err)
	}
	if n, err := tokens.RevokeAll(t.Context(), "nobody", ""); n != 0 || err != nil {
		t.Errorf("nobody's: %d, %v", n, err)
	}
}
