package server

import (
	"context"
	"net/netip"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// compareAPIToken compares an imported API token with its salted hash, when it is the turn of the
// address that it comes from.
func (s *Server) compareAPIToken(ctx context.Context, from netip.Addr, hash, token []byte) (bool, error) {
	proven := &s.Config.Memory.proven
	pair := proven.Pair(hash, token)
	if proven.Has(pair) {
		return true, nil
	}
	turns := s.Config.Memory.Turns
	if turns == nil {
		turns = tokenep.ProcessTurns
	}
	release, err := turns.Take(ctx, tokenep.Network(from))
	if err != nil {
		return false, err
	}
	defer release()
	if proven.Has(pair) { // another request has just paid for it
		return true, nil
	}
	right, err := s.Config.CompareHash(hash, token)
	if right && err == nil {
		proven.Add(pair)
	}
	return right && err == nil, err
}

// followImportsEvery is how soon a node finds tokens that were imported at another one.
const followImportsEvery = 2 * time.Second

// loadImports learns what was imported until now.
func (s *Server) loadImports(ctx context.Context) error {
	if tokens := s.apiTokens(); tokens != nil {
		return tokens.FollowImports(ctx)
	}
	return nil
}

// followAPITokens begins what goes on in the background for API tokens.
func (s *Server) followAPITokens(ctx context.Context) {
	go s.watchAPITokens(ctx)
	go s.followImports(ctx)
	go s.revokeLeaked(ctx)
}

// followImports learns of tokens that are imported at other nodes, until ctx is done.
func (s *Server) followImports(ctx context.Context) {
	tokens := s.apiTokens()
	if tokens == nil {
		return
	}
	ticker := time.NewTicker(followImportsEvery)
	defer ticker.Stop()
	for {
		// While the store is away, what is known stays so.
		_ = verify.Contain(func() error { return tokens.FollowImports(ctx) })
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
