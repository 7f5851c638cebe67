package state_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What it means for what is remembered that a store is set back to a backup.

// setBack returns a store as it was after before: what since did is undone by a restore.
func setBack(t *testing.T, c *clock, before, since func(store.Store)) store.Store {
	t.Helper()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "store.db"), filepath.Join(dir, "backup.db")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	options := bolt.Options{Now: c.Now, SweepInterval: -1}
	s, err := bolt.Open(path, options)
	must(err)
	before(s)
	copied, err := s.Backup(t.Context(), "default", "https://id.example.com")
	must(err)
	file, err := os.Create(backup)
	must(err)
	_, err = io.Copy(file, copied)
	must(errors.Join(err, copied.Close(), file.Close()))
	since(s)
	must(s.Close())
	_, err = bolt.Restore(backup, path, c.Now(), func(bolt.Origin) error { return nil })
	must(err)
	s, err = bolt.Open(path, options)
	must(err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A client goes on with the newest token that it has, whatever the record takes for the newest. An
// older one that was stolen may be taken once; but of two who have tokens of one family, the one
// who is behind is found out, and ends it.
func TestRestoredFamily(t *testing.T) {
	type step struct {
		// generation is that of the token that is presented, from 0. The backup was taken at 2, and
		// the client has 5.
		generation int
		want       error
	}
	for name, steps := range map[string][]step{
		"the client comes":                      {{5, nil}, {6, nil}, {7, nil}},
		"a stolen one comes after the client":   {{5, nil}, {2, state.ErrReused}, {6, state.ErrRevoked}},
		"a spent one comes after the client":    {{5, nil}, {4, state.ErrReused}, {6, state.ErrRevoked}},
		"a stolen one comes first":              {{2, nil}, {5, nil}, {3, state.ErrReused}, {6, state.ErrRevoked}},
		"and is used more often":                {{2, nil}, {3, nil}, {4, nil}, {5, nil}, {6, nil}, {5, state.ErrReused}, {7, state.ErrRevoked}},
		"one of before the backup comes":        {{0, state.ErrReused}, {5, state.ErrRevoked}},
		"the client comes, and repeats in time": {{5, nil}, {5, nil}, {6, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			var tokens []string
			s := setBack(t, c, func(s store.Store) {
				families, _ := newFamilies(s, c)
				first, _ := mustStart(t, families)
				tokens = append(tokens, first)
				for range 2 {
					c.Advance(minutes(1))
					tokens = append(tokens, mustRotate(t, families, tokens[len(tokens)-1]))
				}
			}, func(s store.Store) {
				families, _ := newFamilies(s, c)
				for range 3 {
					c.Advance(minutes(1))
					tokens = append(tokens, mustRotate(t, families, tokens[len(tokens)-1]))
				}
			})
			families, _ := newFamilies(s, c)
			for _, step := range steps {
				if name != "the client comes, and repeats in time" {
					c.Advance(minutes(1)) // beyond the grace
				}
				next := wantRotate(t, families, tokens[step.generation], step.want)
				if next != "" && step.generation+1 == len(tokens) {
					tokens = append(tokens, next)
				} else if next != "" && next != tokens[step.generation+1] {
					t.Errorf("token %d has two successors", step.generation)
				}
			}
		})
	}
}

func TestRestoredFamilies(t *testing.T) {
	c := newClock()
	var revoked, idle, lost string
	s := setBack(t, c, func(s store.Store) {
		families, _ := newFamilies(s, c)
		revoked, _ = mustStart(t, families)
		idle, _ = mustStart(t, families)
	}, func(s store.Store) {
		families, _ := newFamilies(s, c)
		if err := families.RevokeToken(t.Context(), revoked, anyone); err != nil {
			t.Fatal(err)
		}
		wantRotate(t, families, revoked, state.ErrRevoked)
		lost, _ = mustStart(t, families)
		c.Advance(minutes(50))
		idle = mustRotate(t, families, idle)
	})
	families, set := newFamilies(s, c)
	if err := families.Revocations.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if set.Len() != 0 {
		t.Error("a revocation since the backup is remembered")
	}
	wantRotate(t, families, revoked, nil)
	wantRotate(t, families, lost, state.ErrUnknown)
	// Idle since the backup, for all that the record says.
	c.Advance(minutes(10))
	wantRotate(t, families, idle, state.ErrExpired)
}

// What is good once may be used once more, for as long as it lives.
func TestRestoredCodesAndIDs(t *testing.T) {
	c := newClock()
	var code string
	s := setBack(t, c, func(s store.Store) {
		codes, _ := newCodes(s, c)
		code, _ = mustIssue(t, codes)
	}, func(s store.Store) {
		codes, _ := newCodes(s, c)
		if _, err := redeem(t.Context(), codes, code, anyCode); err != nil {
			t.Fatal(err)
		}
	})
	codes, _ := newCodes(s, c)
	if _, err := redeem(t.Context(), codes, code, anyCode); err != nil {
		t.Errorf("within the minute: %v", err)
	}
	if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, state.ErrSpent) {
		t.Errorf("after that: %v", err)
	}
}

func TestRestoredAPITokensAndClients(t *testing.T) {
	c := newClock()
	var revoked, rolled, successor, lost, secret string
	s := setBack(t, c, func(s store.Store) {
		tokens, _ := newAPITokens(s, c)
		revoked, _ = mustCreate(t, tokens, "ann")
		rolled, _ = mustCreate(t, tokens, "ann")
		var err error
		clients := registry.Registry{Store: s, Now: c.Now, Revocations: tokens.Revocations, TokenLife: always(time.Hour)}
		if secret, err = clients.Add(t.Context(), tokenep.Client{ID: "nightly", GrantTypes: []string{"client_credentials"}}); err != nil {
			t.Fatal(err)
		}
	}, func(s store.Store) {
		tokens, _ := newAPITokens(s, c)
		if err := tokens.Revoke(t.Context(), strings.Split(revoked, "_")[1], ""); err != nil {
			t.Fatal(err)
		}
		var err error
		if successor, _, err = tokens.Roll(t.Context(), strings.Split(rolled, "_")[1], 0); err != nil {
			t.Fatal(err)
		}
		lost, _ = mustCreate(t, tokens, "ann")
		clients := registry.Registry{Store: s, Now: c.Now, Revocations: tokens.Revocations, TokenLife: always(time.Hour)}
		if err := clients.Remove(t.Context(), "nightly"); err != nil {
			t.Fatal(err)
		}
	})
	tokens, _ := newAPITokens(s, c)
	for token, want := range map[string]error{revoked: nil, rolled: nil, successor: state.ErrUnknownAPIToken, lost: state.ErrUnknownAPIToken} {
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	back, err := registry.Registry{Store: s, Now: c.Now}.Load(t.Context(), "nightly")
	if err != nil || len(back.Secrets) != 1 || back.Secrets[0].Hash != tokenep.HashSecret(secret) {
		t.Errorf("the client that was removed: %+v, %v", back, err)
	}
	// They count as ever, and can be revoked again.
	if err := tokens.Revoke(t.Context(), strings.Split(revoked, "_")[1], ""); err != nil {
		t.Error(err)
	}
	if listed, err := tokens.List(t.Context(), "ann", "", 10); err != nil || len(listed) != 2 {
		t.Errorf("%d tokens, %v", len(listed), err)
	}
}

// One rotation is no loss: the key that took over had been made before. What is signed by the one
// after it is refused. A key that was withdrawn is back.
func TestRestoredKeys(t *testing.T) {
	c := newClock()
	ring := func(s store.Store) *keys.Ring {
		r, err := keys.New(keys.Options{Store: s, Retain: time.Hour, Now: c.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	active := func(r *keys.Ring) string {
		k, err := r.Active()
		if err != nil {
			t.Fatal(err)
		}
		return k.ID
	}
	var first, second, third string
	s := setBack(t, c, func(s store.Store) { first = active(ring(s)) }, func(s store.Store) {
		r := ring(s)
		for _, kid := range []*string{&second, &third} {
			if err := r.Rotate(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			*kid = active(r)
		}
		if err := r.Withdraw(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	})
	r := ring(s)
	for kid, want := range map[string]error{first: nil, second: nil, third: verify.ErrUnknownKey} {
		if _, err := r.Key(t.Context(), kid, "ES256"); !errors.Is(err, want) {
			t.Errorf("key %s: %v, want %v", kid, err, want)
		}
	}
	if active(r) != first {
		t.Error("the key that was active then is not active again")
	}
}
