package keys

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// lose deletes the ring from the store.
func lose(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Delete(t.Context(), recordKind, recordID); err != nil {
		t.Fatal(err)
	}
}

func TestKeysThatTheStoreLostVerifyBesideTheNewOnes(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	var log syncBuffer
	a := start(t, s, c, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	b := start(t, s, c)
	if err := a.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	signed := []string{activeID(t, a), activeID(t, b), only(t, a, Next).ID}
	lose(t, s)
	fresh := start(t, s, c)
	for range 2 { // the first one adds the keys, and no one does so again
		for _, r := range []*Ring{a, b, fresh} {
			refresh(t, r)
		}
	}
	if n := strings.Count(log.String(), "store has lost"); n != 1 {
		t.Errorf("%d lines about it: %s", n, log.String())
	}
	for _, r := range []*Ring{a, b, fresh, start(t, s, c)} {
		for _, kid := range signed {
			wantKey(t, r, kid, nil)
		}
		if activeID(t, r) != activeID(t, fresh) || len(r.Current().List()) != 5 {
			t.Errorf("the nodes are not of one ring: %+v", r.Current().List())
		}
		only(t, r, Next)
	}
	c.Advance(retain - time.Second)
	refresh(t, a)
	wantKey(t, a, signed[0], nil)
	c.Advance(time.Second)
	refresh(t, a)
	for _, kid := range signed {
		wantKey(t, a, kid, verify.ErrUnknownKey)
	}
}

// A node that was suspended while all its keys were withdrawn has no key in common with the stored
// ring, as if that were a new one.
func TestWithdrawnKeysAreNotTakenForLostOnes(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	a := start(t, s, c)
	for _, forced := range []bool{false, true} {
		if forced {
			if err := a.Rotate(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		b := start(t, s, c)
		before := a.Current().List()
		for _, k := range before {
			withdraw(t, a, k.ID)
		}
		refresh(t, b)
		for _, k := range before {
			wantKey(t, b, k.ID, verify.ErrUnknownKey)
		}
		if len(b.Current().List()) != 2 {
			t.Errorf("%+v, want the two new keys", b.Current().List())
		}
	}
}

func TestTwoNodesThatMissTheLostKeysPutThemBackOnce(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	o := &overtaken{Store: s}
	a, b := start(t, o, c), start(t, s, c)
	old := activeID(t, a)
	lose(t, s)
	fresh := start(t, s, c)
	o.first = func() { refresh(t, b) }
	refresh(t, a)
	refresh(t, fresh)
	for _, r := range []*Ring{a, b, fresh} {
		wantKey(t, r, old, nil)
		if len(r.Current().List()) != 4 {
			t.Errorf("%+v, want two new keys and two old ones", r.Current().List())
		}
	}
}
