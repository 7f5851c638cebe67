package state_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// A token that is no token costs no store access; a forged one that has the key's MAC costs one,
// and no more.
func TestJunkCostsNoStoreAccess(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	families, _ := newFamilies(f, c)
	token, _ := mustStart(t, families)
	f.Fail(none(t))
	for name, junk := range map[string]string{
		"empty": "", "a prefix": "rt_", "cut short": token[:len(token)-1], "too long": token + "A", "another prefix": "at_" + token[3:],
		"another character": token[:50] + string(token[50]^1) + token[51:], "a line end": token[:60] + "\n" + token[61:],
		"zeros": "rt_" + strings.Repeat("A", len(token)-3), "an API token": state.FormatAPIToken("demo", "0123456789AB", strings.Repeat("s", 43)),
	} {
		if _, _, err := refresh(t.Context(), families, junk, anyone); !errors.Is(err, state.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
		if err := families.RevokeToken(t.Context(), junk, anyone); !errors.Is(err, state.ErrMalformed) {
			t.Errorf("%s: RevokeToken: %v, want ErrMalformed", name, err)
		}
	}
	f.Fail(none(t, "Load"))
	forged := state.ForgeSecret(testKey(), token)
	wantRotate(t, families, forged, state.ErrUnknown)
	if err := families.RevokeToken(t.Context(), forged, anyone); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("RevokeToken: %v, want ErrUnknown", err)
	}
}

func TestNoRefreshTokenIsStored(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, f := mustStart(t, families)
		next := mustRotate(t, families, token)
		record, err := s.Load(t.Context(), "family", f.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{token, next, token[3+24+12 : 3+24+44]} {
			if strings.Contains(string(record.Data), secret) {
				t.Errorf("the record has a secret: %s", record.Data)
			}
		}
	})
}

// A store that is away is never an answer about the token: the client keeps it, and comes again.
func TestOutageIsNoRefusal(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	families, _ := newFamilies(f, c)
	var made state.Family
	rotate := func(token string) error { _, _, err := refresh(t.Context(), families, token, anyone); return err }
	revoke := func(string) error { return families.Revoke(t.Context(), made.ID) }
	start := func(string) error { _, _, err := families.Start(t.Context(), aFamily()); return err }
	for _, test := range []struct {
		name, away string
		call       func(token string) error
		ended      error // what the newest token is after it
	}{
		{"rotate", "Load", rotate, nil},
		{"rotate", "Swap", rotate, nil},
		{"reuse", "Load", rotate, nil},
		{"reuse", "Swap", rotate, state.ErrRevoked}, // the log has it, the family has not
		{"reuse", "Insert", rotate, nil},
		{"revoke", "Load", revoke, nil},
		{"revoke", "Swap", revoke, state.ErrRevoked},
		{"revoke", "Insert", revoke, nil},
		{"start", "Insert", start, nil},
	} {
		var old string
		old, made = mustStart(t, families)
		newest := mustRotate(t, families, mustRotate(t, families, old))
		token := newest
		if test.name == "reuse" {
			token = old
		}
		f.Fail(away(test.away))
		if err := test.call(token); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
			t.Errorf("%s while %s fails: %v, want store.ErrUnavailable alone", test.name, test.away, err)
		}
		f.Fail(nil)
		wantRotate(t, families, newest, test.ended)
		if test.ended == nil {
			wantRotate(t, families, old, state.ErrReused)
		}
	}
}

// RFC 9700 §4.14.2 asks for rotation, networks lose answers: who comes again within the grace gets
// what was lost.
func TestRotationWhoseAnswerIsLostIsRepeated(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		lossy := storetest.NewFaulty(s)
		families, _ := newFamilies(lossy, c)
		token, _ := mustStart(t, families)
		lossy.FailNext(1, "Swap", storetest.Lost)
		wantRotate(t, families, token, store.ErrUnavailable)
		c.Advance(state.DefaultGrace)
		mustRotate(t, families, mustRotate(t, families, token))
	})
}

// A request that cannot wait any longer is told so, and not that its token is no good.
func TestRotationEndsWithItsContext(t *testing.T) {
	c := newClock()
	hanging := storetest.NewFaulty(newMemory(t, c.Now))
	families, _ := newFamilies(hanging, c)
	token, _ := mustStart(t, families)
	for _, fault := range []storetest.Fault{storetest.Hang, storetest.LateHang} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		hanging.FailNext(1, "Swap", fault)
		_, _, err := refresh(ctx, families, token, anyone)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, state.ErrRefused) {
			t.Errorf("%v, want the context's error alone", err)
		}
		cancel()
	}
	mustRotate(t, families, mustRotate(t, families, token))
}
