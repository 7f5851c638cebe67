package oauthverify

import (
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
)

// pool holds what outlives a reload: the cache, the counters and the memory of proofs that guards
// share which trust no server of this process; and what was said elsewhere of tokens, and of the
// credentials of upstreams.
var pool = caddy.NewUsagePool()

// The keys of what is shared.
type (
	sharedCacheKey   struct{}
	sharedRatesKey   struct{}
	sharedReplaysKey struct{}
)

// maxReplays is how many proofs are remembered, for six minutes or so: ten thousand a second.
const maxReplays = 1 << 22

// sharedReplays remembers the proofs that were used.
type sharedReplays struct{ *verify.Replays }

// Destruct does nothing: a memory of proofs is only memory.
func (sharedReplays) Destruct() error { return nil }

// sharedCache is a cache of verified tokens.
type sharedCache struct {
	*verify.Cache
	forget func() // what is measured of it
}

// Destruct ends its measurement: a cache holds only memory.
func (c sharedCache) Destruct() error {
	c.forget()
	return nil
}

// sharedRates counts the uses of tokens.
type sharedRates struct{ *verify.Rates }

// Destruct does nothing: counters are only memory.
func (sharedRates) Destruct() error { return nil }

// configured returns a hash of how somebody elsewhere is asked: all that is configured, with its
// placeholders resolved, and what is in the file of the authorities, if there is one.
func configured(ca string, config ...any) (sum [sha256.Size]byte, err error) {
	var roots []byte
	if ca != "" {
		path, err := adapt.Resolve("ca", ca)
		if err == nil {
			roots, err = os.ReadFile(path)
		}
		if err != nil {
			return sum, err
		}
	}
	text, err := json.Marshal(append(config, roots))
	return sha256.Sum256(text), err
}

// credentialKey tells apart the credentials of upstreams that are shared in the pool, as configured
// has it.
type credentialKey [sha256.Size]byte

// sharedCredentials are those that somebody elsewhere has given.
type sharedCredentials struct {
	find  func(*slog.Logger) upstream.Finder
	close func()
}

// Destruct closes connections that wait for another request.
func (s sharedCredentials) Destruct() error {
	s.close()
	return nil
}

// credentials returns what finds the credentials of the handler's configuration, of which resolved
// is what had placeholders. open makes it, if no other handler has.
func (h *Handler) credentials(ca string, resolved any, open func() (sharedCredentials, error)) (upstream.Finder, error) {
	sum, err := configured(ca, h.Authorization, resolved)
	if err != nil {
		return nil, err
	}
	key := credentialKey(sum)
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return open() })
	if err != nil {
		return nil, err
	}
	h.held = append(h.held, key)
	return value.(sharedCredentials).find(h.obtained), nil
}

// cache returns the cache of verified tokens. It is that of the server of this process, which adds
// the tokens that it issues, or else the one that all other guards share.
func (h *Handler) cache() *verify.Cache {
	if h.server != nil {
		return h.server.Server().Config.Memory.Cache
	}
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(sharedCacheKey{}, func() (caddy.Destructor, error) {
		c := verify.NewCache(server.CachedTokens, time.Now)
		return sharedCache{c, oauthserver.MeasureCache(c)}, nil
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

// replays returns what remembers the proofs that were used in this process.
func (h *Handler) replays() *verify.Replays {
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(sharedReplaysKey{}, func() (caddy.Destructor, error) {
		return sharedReplays{verify.NewReplays(maxReplays, time.Now)}, nil
	})
	h.held = append(h.held, sharedReplaysKey{})
	return value.(sharedReplays).Replays
}

// release gives back what was taken from the pool, once, by the handler and its issuers.
func (h *Handler) release() error {
	var first error
	for _, t := range h.Issuers {
		if t == nil {
			continue
		}
		if err := t.Cleanup(); err != nil && first == nil {
			first = err
		}
	}
	for _, forget := range h.measured {
		forget()
	}
	h.measured = nil
	for _, key := range h.held {
		if _, err := pool.Delete(key); err != nil && first == nil {
			first = err
		}
	}
	h.held = nil
	return first
}
