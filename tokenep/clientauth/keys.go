package clientauth

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// maxParsed bounds the key sets that are kept parsed.
const maxParsed = 4096

// Keys finds the public keys of clients (RFC 7591 §2: jwks and jwks_uri; RFC 7517 §5). A set is
// parsed once, and not on each request.
type Keys struct {
	Fetcher   *verify.Fetcher
	Addresses []netip.Prefix // special-use addresses from which may be fetched
	Logger    *slog.Logger
	Now       func() time.Time

	mu     sync.RWMutex
	parsed map[string]verify.KeySet // by the text of jwks, and the path of a file
}

// Of returns the keys of a client that has some.
func (k *Keys) Of(c *tokenep.Client) (verify.KeySet, error) {
	if c.JWKSURI != "" {
		keys, err := k.Fetcher.Keys(c.JWKSURI, k.Addresses, k.Logger)
		if err != nil { // it was checked when the client was registered
			return nil, fmt.Errorf("client %q: %w", c.ID, err)
		}
		return keys, nil
	}
	name := string(c.JWKS) // is no path, since it begins with a brace
	if c.JWKSFile != "" {
		name = c.JWKSFile
	}
	k.mu.RLock()
	keys := k.parsed[name]
	k.mu.RUnlock()
	if keys != nil {
		return keys, nil
	}
	if c.JWKSFile != "" {
		keys = verify.NewFileKeys(name, verify.FileKeysOptions{Now: k.Now, Logger: k.Logger})
	} else {
		static, _, err := verify.ParseKeySet(c.JWKS)
		if err != nil {
			return nil, fmt.Errorf("client %q: jwks: %w", c.ID, err)
		}
		keys = static
	}
	return k.keep(name, keys), nil
}

// keep remembers a key set, and returns it, or the one that somebody else was faster to keep.
func (k *Keys) keep(name string, keys verify.KeySet) verify.KeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	if faster := k.parsed[name]; faster != nil {
		return faster
	}
	if k.parsed == nil {
		k.parsed = make(map[string]verify.KeySet)
	}
	if len(k.parsed) >= maxParsed {
		for any := range k.parsed {
			delete(k.parsed, any)
			break
		}
	}
	k.parsed[name] = keys
	return keys
}
