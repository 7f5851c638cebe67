package state_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
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
