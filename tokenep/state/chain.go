package state

import (
	"context"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// kindChain has one record, which never expires.
const (
	kindChain = "chain"
	chainID   = "longest"
)

// Chain is how long a chain of token exchanges (RFC 8693) may last, and since when. Revocations are
// kept for that long from then on, so that one from before may be forgotten.
type Chain struct {
	Longest time.Duration `json:"longest"` // 0: chains end with their first token
	Since   time.Time     `json:"since,omitzero"`
}

// Next returns the chain of a configuration that follows at a time: one that lets chains last
// longer begins then.
func (c Chain) Next(longest time.Duration, now time.Time) Chain {
	if longest > c.Longest {
		c.Since = now
	}
	c.Longest = longest
	return c
}

// NextChain is Chain.Next, from and to the store.
func NextChain(ctx context.Context, s store.Store, longest time.Duration, now func() time.Time) (Chain, error) {
	stored, err := record.Upsert(ctx, s, kindChain, chainID, func(c *Chain, _ *time.Time) (bool, error) {
		before := *c
		*c = c.Next(longest, moment(now))
		return *c != before, nil
	})
	return stored.Value, err
}
