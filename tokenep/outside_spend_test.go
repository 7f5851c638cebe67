package tokenep_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// A token enters the cache after the credential was spent, and never before. If the credential has
// changed meanwhile, the request starts again with what it says now.
func TestOutsideGrantSpends(t *testing.T) {
	changed := fmt.Errorf("somebody was faster: %w", state.ErrChanged)
	for _, row := range []struct {
		name   string
		spend  func(attempt int) error
		tries  int
		status int // of a refusal; 0: a token
		code   tokenep.Code
	}{
		{"at once", func(int) error { return nil }, 1, 0, ""},
		{"after it changed", func(n int) error {
			if n < 3 {
				return changed
			}
			return nil
		}, 3, 0, ""},
		{"at the last attempt", func(n int) error {
			if n < state.Attempts {
				return changed
			}
			return nil
		}, state.Attempts, 0, ""},
		{"never, since it keeps changing", func(int) error { return changed }, state.Attempts, 503, tokenep.TemporarilyUnavailable},
		{"not, since it was spent by another", func(int) error { return tokenep.InvalidGrant.Describe("spent") }, 1, 400, tokenep.InvalidGrant},
		{"not, since it was spent after it changed", func(n int) error {
			if n == 1 {
				return changed
			}
			return tokenep.InvalidGrant
		}, 2, 400, tokenep.InvalidGrant},
		{"not, since the store is away", func(int) error { return store.ErrUnavailable }, 1, 503, tokenep.TemporarilyUnavailable},
		{"not, since a record keeps changing", func(int) error { return store.ErrConflict }, 1, 503, tokenep.TemporarilyUnavailable},
		{"not, for whatever reason", func(int) error { return errors.New("the disk is full") }, 1, 500, tokenep.ServerError},
	} {
		t.Run(row.name, func(t *testing.T) {
			checks, spends := 0, 0
			f := tokeneptest.New(t, withVoucher(func(*tokenep.Request) (*tokenep.Authorization, error) {
				checks++
				return &tokenep.Authorization{
					Subject: "alice", Extra: map[string]any{"check": checks},
					Spend: func(context.Context) (none tokenep.RefreshToken, err error) {
						spends++
						return none, row.spend(spends)
					},
				}, nil
			}))
			cache := f.Config.Memory.Cache
			if row.status == 0 {
				_, token := f.Granted(t, showVoucher)
				if !tokeneptest.EqualJSON(token.Claims["check"], row.tries) {
					t.Errorf("the token says what check %v found, want %d", token.Claims["check"], row.tries)
				}
				if cache.Len() != 1 {
					t.Errorf("%d tokens are in the cache, want that which was issued", cache.Len())
				}
			} else {
				f.Send(t, showVoucher).Refused(t, row.status, row.code)
				if cache.Len() != 0 {
					t.Errorf("%d tokens that were not issued are in the cache", cache.Len())
				}
			}
			if checks != row.tries || spends != row.tries {
				t.Errorf("%d checks and %d spends, want %d of each", checks, spends, row.tries)
			}
		})
	}
}

// A credential that changed is checked anew, and may be refused then.
func TestOutsideGrantChecksAgain(t *testing.T) {
	checks := 0
	f := tokeneptest.New(t, withVoucher(func(*tokenep.Request) (*tokenep.Authorization, error) {
		if checks++; checks > 1 {
			return nil, tokenep.InvalidGrant.Describe("the voucher was withdrawn")
		}
		return &tokenep.Authorization{Subject: "alice", Spend: func(context.Context) (none tokenep.RefreshToken, err error) {
			return none, state.ErrChanged
		}}, nil
	}))
	f.Run(t, []rule{refuses("withdrawn meanwhile", showVoucher, 400, tokenep.InvalidGrant)})
	if n := f.Config.Memory.Cache.Len(); n != 0 || checks != 2 {
		t.Errorf("%d checks, %d tokens in the cache", checks, n)
	}
}
