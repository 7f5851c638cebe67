package state_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// soakedDay is a server on a day on which much happens, and until when each of its records is to be
// there, by kind.
type soakedDay struct {
	*issuer
	t      *testing.T
	clock  *clock
	began  time.Time
	writes *counted
	ring   *keys.Ring

	mu       sync.Mutex
	live     map[string]map[string]time.Time // kind and name of a record → until when
	sessions map[string]string               // family → its newest refresh token
}

// counted is a store that counts what is written.
type counted struct {
	store.Store
	n atomic.Int64
}

func (s *counted) Insert(ctx context.Context, r store.Record) error {
	s.n.Add(1)
	return s.Store.Insert(ctx, r)
}

func (s *counted) Swap(ctx context.Context, old, next store.Record) error {
	s.n.Add(1)
	return s.Store.Swap(ctx, old, next)
}

func newDay(t *testing.T, s store.Store, c *clock) *soakedDay {
	t.Helper()
	writes := &counted{Store: s}
	d := &soakedDay{
		issuer: newIssuer(writes, c.Now), t: t, clock: c, began: c.Now(), writes: writes,
		live: make(map[string]map[string]time.Time), sessions: make(map[string]string),
	}
	d.families.Idle, d.families.Absolute = soakIdle, soakEnds
	d.codes.Families = d.families
	for _, kind := range []string{
		"family", "device", "seen", "api_token", "api_token_owner", "revocation", "revocation_head", "client", "secret", "signing_keys",
	} {
		d.live[kind] = make(map[string]time.Time)
	}
	var err error
	d.ring, err = keys.New(keys.Options{
		Store: writes, Now: c.Now, Logger: slog.New(slog.DiscardHandler), MaxAge: time.Hour, Active: 6 * time.Hour, Retain: 2 * time.Hour,
	})
	must(t, err)
	must(t, d.ring.Start(t.Context()))
	must(t, d.log.Start(t.Context()))
	_, err = state.RefreshKey(t.Context(), writes, seal.Seals{})
	must(t, err)
	_, err = d.clients.Add(t.Context(), billing())
	must(t, err)
	must(t, d.revoke(t.Context(), "the first")) // so that there is a head
	d.revokedUntil("the first", accessLife)
	return d
}

// lives notes until when a record is to be there.
func (d *soakedDay) lives(kind, name string, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live[kind][name] = until
}

// familyLives notes when a family expires. Its record is kept for a little longer, so that it need
// not be moved each time.
func (d *soakedDay) familyLives(id string, expires, ends time.Time) {
	d.mu.Lock()
	kept := d.live["family"][id]
	d.mu.Unlock()
	if !kept.Before(expires) {
		return
	}
	if expires = expires.Add(soakIdle / 10); expires.After(ends) {
		expires = ends
	}
	d.lives("family", id, expires)
}

// revokedUntil notes an entry in the log: it is kept until the tokens are dead, for an hour at
// least, and for one more.
func (d *soakedDay) revokedUntil(name string, life time.Duration) {
	d.lives("revocation", name, d.clock.Now().Add(max(life, time.Hour)+time.Hour))
}

// traffic is what happens in one step, all of it at once.
func (d *soakedDay) traffic(step int) {
	d.t.Helper()
	var wg sync.WaitGroup
	do := func(times int, what func(name string) error) {
		for i := range times {
			wg.Go(func() {
				if err := what(fmt.Sprint(step, "-", i)); err != nil {
					d.t.Errorf("step %d: %v", step, err)
				}
			})
		}
	}
	do(4, d.signInAndStay)
	do(2, d.abandonCode)
	do(1, d.replayCode)
	do(2, d.abandonDevice)
	do(1, d.signInDevice)
	do(6, d.see)
	do(2, d.revokeOne)
	do(2, d.useAPIToken)
	do(1, d.comeAndGo)
	do(1, func(string) error { return d.ring.Refresh(d.t.Context()) })
	wg.Wait()
	if step%3 == 0 {
		d.refreshAll(step)
	}
}

// signInAndStay is a user who signs in, at a client that will refresh.
func (d *soakedDay) signInAndStay(name string) error {
	code, made, err := d.signIn(d.t.Context(), "ann "+name)
	if err != nil {
		return err
	}
	d.lives("family", made.Family, d.clock.Now().Add(state.DefaultCodeLife+state.MaxCodeLife))
	token, err := d.redeem(d.t.Context(), code)
	d.familyLives(made.Family, d.clock.Now().Add(soakIdle), d.clock.Now().Add(soakEnds))
	d.stays(made.Family, token)
	return err
}

// abandonCode is one who closes the window.
func (d *soakedDay) abandonCode(name string) error {
	_, made, err := d.signIn(d.t.Context(), "bob "+name)
	d.lives("family", made.Family, d.clock.Now().Add(state.DefaultCodeLife+state.MaxCodeLife))
	return err
}

// replayCode is one whose code somebody else has, too: the family ends before it starts, and stays
// ended for a day.
func (d *soakedDay) replayCode(name string) error {
	code, made, err := d.signIn(d.t.Context(), "eve "+name)
	if err != nil {
		return err
	}
	d.lives("family", made.Family, d.clock.Now().Add(state.DefaultCodeLife+state.MaxCodeLife))
	if _, err := redeem(d.t.Context(), d.codes, code, anyCode); err != nil {
		return err
	}
	if _, err := redeem(d.t.Context(), d.codes, code, anyCode); !errors.Is(err, state.ErrSpent) {
		return fmt.Errorf("a replay: %w", err)
	}
	d.lives("family", made.Family, d.clock.Now().Add(day(1)))
	d.revokedUntil(made.Family, accessLife+verify.MaxLeeway)
	return nil
}

func (d *soakedDay) abandonDevice(string) error {
	_, made, err := d.devices.Start(d.t.Context(), state.Device{ClientID: "tv"})
	d.lives("device", made.UserCode, d.clock.Now().Add(state.DefaultDeviceLife+5*time.Minute))
	return err
}

func (d *soakedDay) signInDevice(name string) error {
	code, err := d.allowedDevice(d.t.Context(), name)
	if err != nil {
		return err
	}
	made, err := poll(d.t.Context(), d.devices, code, anyDevice)
	d.lives("device", made.UserCode, d.clock.Now().Add(state.DefaultDeviceLife+5*time.Minute))
	d.lives("family", made.Family, d.clock.Now().Add(state.DefaultDeviceLife+5*time.Minute))
	return err
}

func (d *soakedDay) see(name string) error {
	exp := d.clock.Now().Add(time.Minute)
	d.lives("seen", name, exp.Add(verify.MaxLeeway+time.Hour))
	return d.seen.Add(d.t.Context(), "soak", name, exp)
}

func (d *soakedDay) revokeOne(name string) error {
	d.revokedUntil("jti "+name, accessLife)
	return d.revoke(d.t.Context(), name)
}

// useAPIToken is one of twenty users, whose programs exchange an API token of six hours, and rotate
// or revoke it.
func (d *soakedDay) useAPIToken(name string) error {
	var step, i int
	if _, err := fmt.Sscanf(name, "%d-%d", &step, &i); err != nil {
		return err
	}
	until := d.clock.Now().Add(6 * time.Hour)
	wish := ask(fmt.Sprint("user ", (2*step+i)%20))
	wish.Expires = until
	token, made, err := d.tokens.Create(d.t.Context(), wish)
	if err != nil {
		return err
	}
	d.lives("api_token", made.ID, until.Add(time.Hour)) // it is listed a little longer
	d.lives("api_token_owner", made.Owner, until)
	if _, err := exchange(d.t.Context(), d.tokens, token); err != nil {
		return err
	}
	switch step % 3 {
	case 0:
		_, _, err := d.tokens.Roll(d.t.Context(), made.ID, 0)
		d.revokedUntil("rolled "+made.ID, accessLife+verify.MaxLeeway)
		return err
	case 1:
		d.revokedUntil("revoked "+made.ID, accessLife+verify.MaxLeeway)
		return d.tokens.Revoke(d.t.Context(), made.ID, "")
	}
	return nil
}

// comeAndGo is a client that is added, and removed.
func (d *soakedDay) comeAndGo(name string) error {
	c := billing()
	c.ID = name
	if _, err := d.clients.Add(d.t.Context(), c); err != nil {
		return err
	}
	// What it has got before it is removed, and meanwhile.
	for _, when := range []string{"before ", "after "} {
		d.revokedUntil(when+name, time.Duration(c.AccessTokenTTL)+verify.MaxLeeway)
	}
	return d.clients.Remove(d.t.Context(), name)
}

// refreshAll refreshes all sessions. Of five one goes away, and is not heard of again; of the rest
// some are signed out.
func (d *soakedDay) refreshAll(step int) {
	var wg sync.WaitGroup
	n := 0
	for family, token := range maps.Clone(d.sessions) {
		if n++; n%5 == 0 {
			d.stays(family, "")
			continue
		}
		signOut := n%7 == 0
		wg.Go(func() {
			next, err := d.refreshOne(family, token, signOut)
			if err != nil {
				d.t.Errorf("step %d: %v", step, err)
			}
			d.stays(family, next)
		})
	}
	wg.Wait()
}

// stays notes the newest token of a session; "" means that it has ended.
func (d *soakedDay) stays(family, token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[family] = token; token == "" {
		delete(d.sessions, family)
	}
}

// refreshOne returns the newest token of a session, or "" when its time is over, or the user has
// signed out.
func (d *soakedDay) refreshOne(family, token string, signOut bool) (next string, err error) {
	next, f, err := refresh(d.t.Context(), d.families, token, anyone)
	if errors.Is(err, state.ErrExpired) || errors.Is(err, state.ErrUnknown) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	until := d.clock.Now().Add(soakIdle)
	if until.After(f.Ends) {
		until = f.Ends
	}
	d.familyLives(family, until, f.Ends)
	if !signOut {
		return next, nil
	}
	d.revokedUntil(family, accessLife+verify.MaxLeeway)
	return "", d.families.Revoke(d.t.Context(), family)
}
