package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KeySet finds the public keys of one issuer.
type KeySet interface {
	// Key returns the key with this kid for this alg. alg is a name of RFC 7518 §3.1, or "EdDSA"
	// for Ed25519 under either of its names (see [CanonicalAlgorithm]). A key is for exactly one
	// alg: if kid matches and alg does not, the key is unknown. An empty kid stands for the only
	// key, if there is exactly one. A kid is up to 256 bytes that the sender of a token chooses:
	// compare it, and never make a path, query or URL of it.
	//
	// The error is ErrUnknownKey if there is no such key. Any other error, such as ErrUnavailable,
	// means that the answer is unknown, and leads to 503.
	//
	// Key is called on every request, also for a cached token, so that the withdrawal of a key
	// takes effect at once. It must be fast, and safe for concurrent use. It should return the same
	// pointer for the same key, which is compared faster.
	Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error)
}

// Errors of a KeySet.
var (
	ErrUnknownKey  = errors.New("unknown key")
	ErrUnavailable = errors.New("keys are not available")
)

// KeySetState is how well a key set is known.
type KeySetState string

// The states of a key set.
const (
	KeySetNotFetched  KeySetState = "not_fetched" // nobody has needed it yet
	KeySetFresh       KeySetState = "fresh"       // the last fetch was good
	KeySetStale       KeySetState = "stale"       // it was not, and the version before is in use
	KeySetUnavailable KeySetState = "unavailable" // likewise, and there is none that may be used
)

// KeySetStatus is what is known of a key set that is fetched.
type KeySetStatus struct {
	State   KeySetState
	Fetched bool          // there is a version of it
	Age     time.Duration // since that was the current one for certain
}

// Status returns what is known of the set. It fetches nothing.
func (u *URLKeys) Status() KeySetStatus {
	fetched := u.current.Load()
	s := KeySetStatus{State: KeySetFresh, Fetched: fetched.keys != nil}
	if s.Fetched {
		s.Age = u.age(fetched)
	}
	switch {
	case !s.Fetched && fetched.err == nil:
		s.State = KeySetNotFetched
	case fetched.err != nil && (!s.Fetched || s.Age >= u.maxStale):
		s.State = KeySetUnavailable
	case fetched.err != nil:
		s.State = KeySetStale
	}
	return s
}

// StaticKeys is a KeySet that never changes. The zero value has no keys.
type StaticKeys struct {
	keys []boundKey
	byID map[keyName]*boundKey
}

// keyName finds a key. One kid may be that of keys for several algorithms (RFC 7517 §4.5); an
// algorithm is for one type of key.
type keyName struct{ id, alg string }

// boundKey is a key with the one algorithm that it is for (RFC 8725 §3.1).
type boundKey struct {
	id, alg string
	key     crypto.PublicKey
	bare    bool // it is for RSA, and named no alg
}

// Len returns the number of keys.
func (s *StaticKeys) Len() int { return len(s.keys) }

// Key implements KeySet.
func (s *StaticKeys) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	var found *boundKey
	if kid != "" {
		found = s.byID[keyName{kid, alg}]
	} else if len(s.keys) == 1 && s.keys[0].alg == alg {
		found = &s.keys[0]
	}
	if found == nil {
		return nil, fmt.Errorf("%w: kid %q for %s", ErrUnknownKey, kid, alg)
	}
	return found.key, nil
}

// anyRSA is what the key sets of this package have: the key with this kid if it is for RSA and
// names no alg, so that its owner may sign by any that there is for RSA (RFC 7517 §4.4). It is for
// assertions alone, where the owner is one client, and for JWT-SVIDs, since bundles name no alg.
type anyRSA interface {
	anyRSA(ctx context.Context, kid string) (crypto.PublicKey, error)
}

// findKey returns the key for an algorithm: with loose also one for RSA that names no alg.
func findKey(ctx context.Context, keys KeySet, kid string, a *algorithm, loose bool) (crypto.PublicKey, error) {
	key, err := keys.Key(ctx, kid, a.name)
	if loose && a.isRSA() && errors.Is(err, ErrUnknownKey) {
		if all, ok := keys.(anyRSA); ok {
			return all.anyRSA(ctx, kid)
		}
	}
	return key, err
}

func (s *StaticKeys) anyRSA(_ context.Context, kid string) (crypto.PublicKey, error) {
	found := s.byID[keyName{kid, "RS256"}]
	if kid == "" && len(s.keys) == 1 {
		found = &s.keys[0]
	}
	if found == nil || !found.bare {
		return nil, fmt.Errorf("%w: kid %q", ErrUnknownKey, kid)
	}
	return found.key, nil
}

// Holds reports whether a public key is in a key set of this package, under whatever kid and alg
// (RFC 8705 §2.2.2). The error means that the answer is not known.
func Holds(ctx context.Context, set KeySet, key crypto.PublicKey) (bool, error) {
	if set, ok := set.(interface {
		holds(context.Context, crypto.PublicKey) (bool, error)
	}); ok {
		return set.holds(ctx, key)
	}
	return false, fmt.Errorf("%w: a key set of another package", ErrUnavailable)
}

func (s *StaticKeys) holds(_ context.Context, key crypto.PublicKey) (bool, error) {
	return s.has(key), nil
}

func (s *StaticKeys) has(key crypto.PublicKey) bool {
	return slices.ContainsFunc(s.keys, func(own boundKey) bool { return sameKey(own.key, key) })
}

// HasKey reports whether there is a key with this kid: see [Ancestor].
func (s *StaticKeys) HasKey(_ context.Context, kid string) (bool, error) { return s.hasID(kid), nil }

func (s *StaticKeys) hasID(kid string) bool {
	return slices.ContainsFunc(s.keys, func(own boundKey) bool { return own.id == kid })
}

// sameKey reports whether a and b are equal. Most key sets return the same pointer each time.
func sameKey(a, b crypto.PublicKey) bool {
	switch a.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey:
		if a == b {
			return true
		}
	}
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// newStaticKeys leaves out every key of a kid under which there are two for one algorithm: their
// order would decide which of them verifies. A key that is listed twice is one key.
func newStaticKeys(keys []boundKey) (s *StaticKeys, dropped []error) {
	s = &StaticKeys{byID: make(map[keyName]*boundKey, len(keys))}
	first := make(map[keyName]*boundKey, len(keys))
	ambiguous := make(map[string]bool)
	for i := range keys {
		key := &keys[i]
		name := keyName{key.id, key.alg}
		other := first[name]
		if key.id == "" || other == nil {
			first[name] = key
			continue
		}
		if !sameKey(key.key, other.key) && !ambiguous[key.id] {
			ambiguous[key.id] = true
			dropped = append(dropped, fmt.Errorf("kid %q: two different keys for %s", key.id, key.alg))
		}
	}
	for i := range keys {
		key := &keys[i]
		name := keyName{key.id, key.alg}
		if key.id != "" && (ambiguous[key.id] || first[name] != key) {
			continue
		}
		s.keys = append(s.keys, *key)
	}
	for i := range s.keys {
		if key := &s.keys[i]; key.id != "" {
			s.byID[keyName{key.id, key.alg}] = key
		}
	}
	return s, dropped
}
