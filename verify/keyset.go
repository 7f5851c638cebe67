package verify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
)

// KeySet finds the public keys of one issuer.
type KeySet interface {
	// Key gives the key with this kid for this alg. alg is a name of RFC 7518
	// §3.1, and "EdDSA" for Ed25519 under both of its names (RFC 8037 §3.1,
	// RFC 9864 §2.2). A key serves exactly one alg: where kid fits and alg does
	// not, the key is unknown. An empty kid stands for the only key there is,
	// if there is exactly one. A kid is up to 256 bytes of whatever the sender
	// of a token likes: compare it, and make no path, query or URL of it.
	//
	// Errors: ErrUnknownKey when there is no such key; anything else, such as
	// ErrUnavailable, means that nobody can tell, and is answered with 503.
	//
	// Key is called on every request, also for a token whose signature is
	// known, so that a withdrawn key is dead at once. It must be fast, and safe
	// for concurrent use. Giving the same pointer for the same key helps.
	Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error)
}

// Errors of a KeySet.
var (
	ErrUnknownKey  = errors.New("unknown key")
	ErrUnavailable = errors.New("keys are not available")
)

// StaticKeys is a KeySet that never changes. The zero value has no keys.
type StaticKeys struct {
	keys []boundKey
	byID map[string]*boundKey
}

// boundKey is a key with the one algorithm that it serves (RFC 8725 §3.1).
type boundKey struct {
	id, alg string
	key     crypto.PublicKey
}

// Len is the number of keys.
func (s *StaticKeys) Len() int { return len(s.keys) }

// Key implements KeySet.
func (s *StaticKeys) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	var found *boundKey
	if kid != "" {
		found = s.byID[kid]
	} else if len(s.keys) == 1 {
		found = &s.keys[0]
	}
	if found == nil {
		return nil, fmt.Errorf("%w: kid %q", ErrUnknownKey, kid)
	}
	if found.alg != alg {
		return nil, fmt.Errorf("%w: kid %q is for %s", ErrUnknownKey, kid, found.alg)
	}
	return found.key, nil
}

// newStaticKeys refuses a kid that stands for two keys: which of them verifies
// would be a matter of order (RFC 7517 §4.5).
func newStaticKeys(keys []boundKey) (*StaticKeys, error) {
	s := &StaticKeys{keys: keys, byID: make(map[string]*boundKey, len(keys))}
	for i := range keys {
		key := &keys[i]
		if key.id == "" {
			continue
		}
		if s.byID[key.id] != nil {
			return nil, fmt.Errorf("two keys have the kid %q", key.id)
		}
		s.byID[key.id] = key
	}
	return s, nil
}
