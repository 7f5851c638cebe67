package oauthverify

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// pool holds what outlives a reload: the cache and the counters that guards share which trust no
// server of this process, and the keys that were fetched.
var pool = caddy.NewUsagePool()

// sharedCacheKey, sharedRatesKey and sharedFetcherKey are the keys of the three.
type (
	sharedCacheKey   struct{}
	sharedRatesKey   struct{}
	sharedFetcherKey struct{}
)

// sharedCache is a cache of verified tokens.
type sharedCache struct{ *verify.Cache }

// Destruct does nothing: a cache holds only memory.
func (sharedCache) Destruct() error { return nil }

// sharedRates counts the uses of tokens.
type sharedRates struct{ *verify.Rates }

// Destruct does nothing: counters are only memory.
func (sharedRates) Destruct() error { return nil }

// sharedFetcher has the keys of all issuers that are at a URL.
type sharedFetcher struct{ *verify.Fetcher }

// Destruct does nothing: no connection is kept.
func (sharedFetcher) Destruct() error { return nil }

// cache returns the cache of verified tokens. It is that of the server of this process, which adds
// the tokens that it issues, or else the one that all other guards share.
func (h *Handler) cache() *verify.Cache {
	if h.server != nil {
		return h.server.Server().Config.Memory.Cache
	}
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(sharedCacheKey{}, func() (caddy.Destructor, error) {
		return sharedCache{verify.NewCache(server.CachedTokens, time.Now)}, nil
	})
	h.held = append(h.held, sharedCacheKey{})
	return value.(sharedCache).Cache
}

// rates returns what counts the requests with tokens that are good for so many in a time: likewise
// that of the server of this process, or one for all other guards.
func (h *Handler) rates() *verify.Rates {
	if h.server != nil {
		return h.server.Server().Config.Memory.Rates
	}
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(sharedRatesKey{}, func() (caddy.Destructor, error) {
		return sharedRates{verify.NewRates(time.Now)}, nil
	})
	h.held = append(h.held, sharedRatesKey{})
	return value.(sharedRates).Rates
}

// fetcher returns what all handlers fetch keys with, so that a URL is fetched once, and a new
// configuration goes on with the keys of the one before it.
func (h *Handler) fetcher() *verify.Fetcher {
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(sharedFetcherKey{}, func() (caddy.Destructor, error) {
		return sharedFetcher{verify.NewFetcher(verify.URLKeysOptions{})}, nil
	})
	h.held = append(h.held, sharedFetcherKey{})
	return value.(sharedFetcher).Fetcher
}

// release gives back what was taken from the pool, once.
func (h *Handler) release() error {
	var first error
	for _, key := range h.held {
		if _, err := pool.Delete(key); err != nil && first == nil {
			first = err
		}
	}
	h.held = nil
	return first
}
