package state_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// A redemption is one write, which spends the code and starts its family.
func TestRedeemIsOneWrite(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		f := storetest.NewFaulty(s)
		codes, set := newCodes(f, c)
		code, made := mustIssue(t, codes)
		got, version, err := codes.Check(t.Context(), code, anyCode)
		must(t, err)
		writes := 0
		f.Fail(func(call storetest.Call) storetest.Fault {
			if call.Verb != "Load" && call.Verb != "List" {
				writes++
			}
			return storetest.None
		})
		token, family, err := codes.Redeem(t.Context(), version, fromCode(got))
		must(t, err)
		if writes != 1 {
			t.Errorf("%d writes", writes)
		}
		if family.ID != made.Family || family.Subject != made.Subject || family.Expires.Sub(c.Now()) != time.Hour {
			t.Errorf("%+v of %+v", family, made)
		}
		if _, _, err := codes.Redeem(t.Context(), version, fromCode(got)); !errors.Is(err, state.ErrSpent) {
			t.Errorf("the same version again: %v, want ErrSpent", err)
		}
		wantRotate(t, codes.Families, token, state.ErrRevoked) // that was a replay
		if !set.Revoked(accessToken(made.Family)) {
			t.Error("its access tokens are good")
		}
	})
}

// A replay ends the family also after it was refreshed, for as long as somebody may ask; then the
// record forgets the code, and the family goes on.
func TestCodeInTheRecordOfItsFamily(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		codes, _ := newCodes(s, c)
		redeem := func() (code, token string) {
			code, _ = mustIssue(t, codes)
			got, version, err := codes.Check(t.Context(), code, anyCode)
			must(t, err)
			token, _, err = codes.Redeem(t.Context(), version, fromCode(got))
			must(t, err)
			return code, mustRotate(t, codes.Families, token)
		}
		code, token := redeem()
		if _, _, err := codes.Check(t.Context(), code, anyCode); !errors.Is(err, state.ErrSpent) {
			t.Errorf("%v, want ErrSpent", err)
		}
		wantRotate(t, codes.Families, token, state.ErrRevoked)

		code, token = redeem()
		c.Advance(2*state.MaxCodeLife + time.Second)
		token = mustRotate(t, codes.Families, token)
		if _, _, err := codes.Check(t.Context(), code, anyCode); !errors.Is(err, state.ErrUnknown) {
			t.Errorf("long after: %v, want ErrUnknown", err)
		}
		mustRotate(t, codes.Families, token)
	})
}

// A code whose family was revoked is not good, also on a node that has not heard of that.
func TestCodeOfARevokedFamily(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		codes, _ := newCodes(s, c)
		code, made := mustIssue(t, codes)
		_, version, err := codes.Check(t.Context(), code, anyCode)
		must(t, err)
		must(t, codes.Families.Revoke(t.Context(), made.Family))
		other, _ := newCodes(s, c)
		if _, _, err := other.Check(t.Context(), code, anyCode); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("%v, want ErrRevoked", err)
		}
		if _, _, err := other.Redeem(t.Context(), version, fromCode(made)); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("one that was checked before: %v, want ErrRevoked", err)
		}
	})
}

// With the id of a family, which is in its access tokens, nobody has its code.
func TestCodeIsMoreThanTheIDOfItsFamily(t *testing.T) {
	c := newClock()
	codes, _ := newCodes(newMemory(t, c.Now), c)
	code, made := mustIssue(t, codes)
	id := code[:len(code)-43]
	for _, other := range []string{id + state.GenerateSecret(), id, made.Family + strings.Repeat("0", 43), strings.ToUpper(id) + code[len(id):]} {
		if got, _, err := codes.Check(t.Context(), other, anyCode); !errors.Is(err, state.ErrUnknown) && !errors.Is(err, state.ErrMalformed) || got.Subject != "" {
			t.Errorf("%q: %+v, %v", other, got, err)
		}
	}
	if _, _, err := codes.Check(t.Context(), code, anyCode); err != nil {
		t.Error(err)
	}
	f := aFamily()
	f.ID = made.Family
	if _, _, err := codes.Families.Start(t.Context(), f); !errors.Is(err, store.ErrExists) {
		t.Errorf("a family is started whose code is not spent: %v", err)
	}
}
