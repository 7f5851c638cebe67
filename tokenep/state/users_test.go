package state_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

const userLife = 100 * time.Hour

func newUsers(s store.Store, c *clock) state.Users {
	return state.Users{Store: s, Life: always(userLife), Now: c.Now}
}

func claimsOf(email string) map[string]any { return map[string]any{"email": email} }

func TestUsers(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		ctx, users := t.Context(), newUsers(s, c)
		status := func() state.UserStatus {
			t.Helper()
			got, err := users.Status(ctx, "ann")
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		if status() != (state.UserStatus{}) {
			t.Error("somebody of whom nothing is kept has a status")
		}
		must(users.Enable(ctx, "ann")) // nothing to write
		if _, err := s.Load(ctx, "user", record.HashID("ann")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("to enable one who is not disabled: %v, want no record", err)
		}

		// Disabled since the first time, whatever is saved of the user, until Enable.
		since := c.Now()
		must(users.Disable(ctx, "ann"))
		c.Advance(time.Hour)
		must(users.Disable(ctx, "ann"))
		must(users.Save(ctx, "ann", claimsOf("a@example.com")))
		if got := status(); got.Disabled.IsZero() || since.Sub(got.Disabled) >= time.Millisecond {
			t.Errorf("disabled since %s, want %s", got.Disabled, since)
		}
		c.Advance(10 * userLife)
		if got := status(); got.Disabled.IsZero() {
			t.Error("enabled by time")
		}
		if claims, err := users.Claims(ctx, "ann"); err != nil || claims["email"] != "a@example.com" {
			t.Errorf("claims %v, %v", claims, err)
		}
		must(users.Enable(ctx, "ann"))
		if got := status(); got != (state.UserStatus{}) {
			t.Errorf("%+v after Enable", got)
		}

		// What was void stays so, whatever else is decided or saved.
		must(users.Revoke(ctx, "ann"))
		void := status().Revoked
		c.Advance(time.Minute)
		must(errors.Join(users.Disable(ctx, "ann"), users.Save(ctx, "ann", claimsOf("b@example.com")), users.Enable(ctx, "ann")))
		if got := status(); got.Revoked != void || void.IsZero() || !got.Disabled.IsZero() {
			t.Errorf("%+v, want revoked at %s", got, void)
		}
		must(users.Revoke(ctx, "ann"))
		if got := status().Revoked; !got.After(void) {
			t.Errorf("revoked at %s, and again a minute later: %s", void, got)
		}
	})
}

// A clock that was ahead and is set right makes nothing good again.
func TestUserRevokedByAClockThatWasAhead(t *testing.T) {
	c := newClock()
	users := newUsers(newMemory(t, c.Now), c)
	c.Advance(time.Hour)
	if err := users.Revoke(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	ahead, _ := users.Status(t.Context(), "ann")
	c.Advance(-time.Hour)
	if err := users.Revoke(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if got, err := users.Status(t.Context(), "ann"); err != nil || got.Revoked.Before(ahead.Revoked) {
		t.Errorf("void until %s, %v; and before until %s", got.Revoked, err, ahead.Revoked)
	}
}

// The record ends some time after the last sign-in, but never while the user is disabled.
func TestUserRecordEnds(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	users := newUsers(s, c)
	end := func() time.Time {
		t.Helper()
		r, err := s.Load(t.Context(), "user", record.HashID("ann"))
		if err != nil {
			t.Fatal(err)
		}
		return r.Expires
	}
	for _, step := range []struct {
		name  string
		do    func() error
		never bool
	}{
		{"saved", func() error { return users.Save(t.Context(), "ann", claimsOf("a")) }, false},
		{"disabled", func() error { return users.Disable(t.Context(), "ann") }, true},
		{"saved while disabled", func() error { return users.Save(t.Context(), "ann", claimsOf("b")) }, true},
		{"revoked while disabled", func() error { return users.Revoke(t.Context(), "ann") }, true},
		{"enabled", func() error { return users.Enable(t.Context(), "ann") }, false},
		{"revoked", func() error { return users.Revoke(t.Context(), "ann") }, false},
	} {
		c.Advance(time.Minute)
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		at := end()
		if at.IsZero() != step.never || !step.never && at.Before(c.Now().Add(userLife).Truncate(time.Millisecond)) {
			t.Errorf("%s: kept until %s; never: %v", step.name, at, step.never)
		}
	}
	c.Advance(2 * userLife)
	if claims, err := users.Claims(t.Context(), "ann"); err != nil || claims != nil {
		t.Errorf("claims %v, %v of a record that has ended", claims, err)
	}
	if page, _, err := users.List(t.Context(), "", 10); err != nil || len(page) != 0 {
		t.Errorf("listed: %v, %v", page, err)
	}
	if err := users.Save(t.Context(), "ann", claimsOf("c")); err != nil {
		t.Fatal(err)
	}
	if claims, err := users.Claims(t.Context(), "ann"); err != nil || claims["email"] != "c" {
		t.Errorf("claims %v, %v after another sign-in", claims, err)
	}
}

// However many sign in and are decided about at once, no decision is lost.
func TestUserDecisionsAmongSignIns(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		users := newUsers(s, c)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := users.Save(t.Context(), "ann", claimsOf(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		for _, decide := range []func() error{
			func() error { return users.Disable(t.Context(), "ann") },
			func() error { return users.Revoke(t.Context(), "ann") },
		} {
			wg.Go(func() {
				if err := decide(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := users.Status(t.Context(), "ann")
		if err != nil || got.Disabled.IsZero() || got.Revoked.IsZero() {
			t.Errorf("%+v, %v; want disabled and revoked", got, err)
		}
		if claims, err := users.Claims(t.Context(), "ann"); err != nil || claims["email"] == nil {
			t.Errorf("claims %v, %v", claims, err)
		}
	})
}

// The list has everybody once, in pages, with what was decided.
func TestUsersList(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		users := newUsers(s, c)
		want := map[string]bool{} // disabled
		for i := range 13 {
			name := fmt.Sprint("user ", i)
			want[name] = i%3 == 0
			err := users.Save(t.Context(), name, claimsOf("x"))
			if want[name] {
				err = errors.Join(err, users.Disable(t.Context(), name))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for limit := 1; limit <= 14; limit++ {
			got := map[string]bool{}
			for after, more := "", true; more; more = after != "" {
				page, next, err := users.List(t.Context(), after, limit)
				if err != nil || len(page) > limit || next == "" && len(page) > 0 {
					t.Fatalf("%v, next %q, %v", page, next, err)
				}
				for _, u := range page {
					if _, twice := got[u.Subject]; twice {
						t.Errorf("limit %d: %s twice", limit, u.Subject)
					}
					got[u.Subject] = !u.Disabled.IsZero()
				}
				after = next
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("limit %d: %v, want %v", limit, got, want)
			}
		}
	})
}

// Nothing is decided about what cannot be a user, or while the store is away; and what is away is
// not unknown.
func TestUsersRefused(t *testing.T) {
	c := newClock()
	faulty := storetest.NewFaulty(newMemory(t, c.Now))
	users := newUsers(faulty, c)
	decisions := map[string]func(string) error{
		"disable": func(sub string) error { return users.Disable(t.Context(), sub) },
		"enable":  func(sub string) error { return users.Enable(t.Context(), sub) },
		"revoke":  func(sub string) error { return users.Revoke(t.Context(), sub) },
	}
	for name, decide := range decisions {
		for _, bad := range []string{"", "ann\nbob", "ann\x00", "\xff", strings.Repeat("a", 2000)} {
			if err := decide(bad); !errors.Is(err, state.ErrInvalid) {
				t.Errorf("%s %q: %v, want state.ErrInvalid", name, bad, err)
			}
		}
	}
	faulty.Fail(away())
	for name, decide := range decisions {
		if err := decide("ann"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, want store.ErrUnavailable", name, err)
		}
	}
	_, status := users.Status(t.Context(), "ann")
	_, _, list := users.List(t.Context(), "", 10)
	_, claims := users.Claims(t.Context(), "ann")
	for name, err := range map[string]error{"status": status, "list": list, "claims": claims} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, want store.ErrUnavailable", name, err)
		}
	}
}

// A model: whatever is done in whatever order, what was decided last holds.
func TestUsersModel(t *testing.T) {
	c := newClock()
	users := newUsers(newMemory(t, c.Now), c)
	names := []string{"ann", "bob", "eve"}
	disabled, revoked := map[string]bool{}, map[string]time.Time{}
	var done []string
	for range 3000 {
		name := names[rand.IntN(len(names))]
		var err error
		verb := []string{"save", "disable", "enable", "revoke", "wait", "wait longer"}[rand.IntN(6)]
		switch verb {
		case "save":
			err = users.Save(t.Context(), name, claimsOf(fmt.Sprint(rand.IntN(3))))
		case "disable":
			err, disabled[name] = users.Disable(t.Context(), name), true
		case "enable":
			err, disabled[name] = users.Enable(t.Context(), name), false
		case "revoke":
			err, revoked[name] = users.Revoke(t.Context(), name), c.Now().UTC().Truncate(time.Millisecond)
		case "wait":
			c.Advance(time.Duration(rand.IntN(1000)) * time.Millisecond)
		case "wait longer":
			c.Advance(time.Duration(rand.IntN(10)) * time.Minute)
		}
		done = append(done, verb+" "+name)
		if err != nil {
			t.Fatal(verb, err)
		}
		for _, name := range names {
			got, err := users.Status(t.Context(), name)
			// The time of a revocation may be forgotten once nothing of before it can be good.
			forgotten := got.Revoked.IsZero() && c.Now().Sub(revoked[name]) >= userLife
			if err != nil || got.Disabled.IsZero() == disabled[name] || !got.Revoked.Equal(revoked[name]) && !forgotten {
				t.Fatalf("%s: %+v, %v; want disabled %v, revoked %s; after %q", name, got, err, disabled[name], revoked[name], done[max(0, len(done)-8):])
			}
		}
	}
	if !slices.Contains(done, "revoke eve") {
		t.Error("nobody was revoked")
	}
}
