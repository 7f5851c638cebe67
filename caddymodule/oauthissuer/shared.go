package oauthissuer

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/verify"
)

// pool holds what outlives a reload: the keys that were fetched.
var pool = caddy.NewUsagePool()

// fetcherKey is the key of the only value in it.
type fetcherKey struct{}

// sharedFetcher has the keys of all issuers that are at a URL.
type sharedFetcher struct{ *verify.Fetcher }

// Destruct does nothing: no connection is kept.
func (sharedFetcher) Destruct() error { return nil }

// Share is a module's share of what all of them fetch keys with.
type Share struct{ held bool }

// Fetcher returns what all modules fetch keys with, so that a URL is fetched once, and a new
// configuration goes on with the keys of the one before it.
func (s *Share) Fetcher() *verify.Fetcher {
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(fetcherKey{}, func() (caddy.Destructor, error) {
		return sharedFetcher{verify.NewFetcher(verify.URLKeysOptions{})}, nil
	})
	s.held = true
	return value.(sharedFetcher).Fetcher
}

// Cleanup gives the share back, once.
func (s *Share) Cleanup() error {
	if !s.held {
		return nil
	}
	s.held = false
	_, err := pool.Delete(fetcherKey{})
	return err
}
