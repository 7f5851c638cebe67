package state_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// betweenLoads is a store in which something happens after a record was read.
type betweenLoads struct {
	store.Store
	then func()
}

func (s *betweenLoads) Load(ctx context.Context, kind, id string) (store.Record, error) {
	r, err := s.Store.Load(ctx, kind, id)
	if then := s.then; then != nil && kind == "api_token_imports" {
		s.then = nil
		then()
	}
	return r, err
}

// What was imported while a node looked for imports stays known to it.
func TestFollowingImportsForgetsNone(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		between := &betweenLoads{Store: s}
		tokens := newImporting(t, between, c)
		take := func(i state.ImportedAPIToken) {
			i.APIToken = ask("ann")
			_, _, err := tokens.Import(t.Context(), i)
			must(t, err)
		}
		take(state.ImportedAPIToken{Token: "in clear"})
		between.then = func() { take(state.ImportedAPIToken{Name: "k1", Hash: bcryptOf("key-k1-secret")}) }
		must(t, tokens.FollowImports(t.Context()))
		_, _, err := tokens.Check(t.Context(), "key-k1-secret", netip.Addr{})
		must(t, err)
	})
}

// An import that was interrupted is made again, for somebody else: only its owner is shown it.
func TestImportedForSomebodyElse(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens := newImporting(t, f, c)
	i := state.ImportedAPIToken{Token: "in clear", APIToken: ask("ann")}
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Insert" && call.Kind == "api_token" {
			return storetest.Away
		}
		return storetest.None
	})
	if _, _, err := tokens.Import(t.Context(), i); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	f.Fail(nil)
	i.APIToken = ask("bob")
	made, isNew, err := tokens.Import(t.Context(), i)
	must(t, err)
	for owner, want := range map[string]int{"ann": 0, "bob": 1} {
		list, err := tokens.List(t.Context(), owner, "", 10)
		if err != nil || len(list) != want || !isNew {
			t.Errorf("%s is shown %v, %v", owner, list, err)
		}
	}
	if n, err := tokens.RevokeAll(t.Context(), "ann", ""); n != 0 || err != nil {
		t.Errorf("%d revoked of ann, who has none; %v", n, err)
	}
	if got, err := tokens.Load(t.Context(), made.ID); err != nil || !got.Revoked.IsZero() {
		t.Errorf("that of bob: %+v, %v", got, err)
	}
}
