package keys

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// EncryptionKeySize is the length in bytes of each of Options.EncryptionKeys: AES-256.
const EncryptionKeySize = seal.KeySize

const (
	defaultMaxAge = 300 * time.Second
	defaultActive = 30 * 24 * time.Hour
	minPublish    = time.Hour
)

// Options configures a Ring. Store and Retain are required.
type Options struct {
	Store store.Store

	// Given keys, read by ReadFile, are used instead of keys that the ring makes: the first one
	// signs, and all are published. They change when the next configuration gives others. Keys that
	// an earlier configuration left in the store are published beside them until the tokens that
	// they signed have expired.
	Given []*Key

	// EncryptionKeys, of EncryptionKeySize random bytes each, protect the stored ring (package
	// seal): the first encrypts and all decrypt, so that a key can be replaced. Without any,
	// private keys are stored in clear.
	EncryptionKeys [][]byte

	// Server is the name of the authorization server that the ring belongs to, if there are
	// several. An encrypted ring can only be read under the name that it was written under.
	Server string

	// Record is the id of the ring's record in the store; default: that of the ring that signs
	// access tokens. Two rings over one store have two records.
	Record string

	// Algorithm of the keys made from now on: one of Algorithms, ES256 by default. If the active
	// key has another one, a key of this algorithm becomes next, and takes over as soon as it has
	// been published for Publish.
	Algorithm string

	// MaxAge is how long verifiers may cache the key set: 300 s by default.
	MaxAge time.Duration

	// Publish is how long a key is published before it signs: by default, and at least, the longer
	// of 1 h and 2 × MaxAge.
	Publish time.Duration

	// Active is how long a key signs: 30 days by default, and at least Publish.
	Active time.Duration

	// Retain is how long a key stays published after it has stopped signing: the longest life of a
	// token, plus MaxAge, plus 5 minutes for clocks that differ and for processes that learn late
	// of a rotation. A key is kept for the longest Retain that was in force while it signed.
	Retain time.Duration

	// Before is the ring of an earlier configuration of this process, over the same record. Its
	// keys are used until Start has read the record, and afterwards if the store is unavailable
	// (inherit.go). nil: there was none.
	Before *Ring

	Now    func() time.Time // time.Now by default
	Logger *slog.Logger     // slog.Default by default
}

// complete fills in the defaults and checks the result.
func (o *Options) complete() error {
	if o.Store == nil {
		return errors.New("keys: a store is required")
	}
	if o.Record == "" {
		o.Record = recordID
	}
	if o.Algorithm == "" {
		o.Algorithm = "ES256"
	}
	if _, ok := algorithms[o.Algorithm]; !ok {
		return fmt.Errorf("keys: unknown algorithm %q: expected one of %s", o.Algorithm, strings.Join(Algorithms(), ", "))
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultMaxAge
	}
	atLeast := max(minPublish, 2*o.MaxAge)
	if o.Publish == 0 {
		o.Publish = atLeast
	}
	if o.Active == 0 {
		o.Active = max(defaultActive, o.Publish)
	}
	switch {
	case o.MaxAge < 0:
		return errors.New("keys: MaxAge must not be negative")
	case o.Publish < atLeast:
		return fmt.Errorf("keys: Publish is %s, but must be at least %s: verifiers may not know a key before", o.Publish, atLeast)
	case o.Active < o.Publish:
		return fmt.Errorf("keys: Active is %s, but must be at least Publish, which is %s", o.Active, o.Publish)
	case o.Retain <= 0:
		return errors.New("keys: Retain is required: the longest life of a token + MaxAge + 5 minutes")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return checkGiven(o.Given)
}

// schedule returns the terms by which keys of the ring come and go.
func (o *Options) schedule() schedule {
	return schedule{algorithm: o.Algorithm, publish: o.Publish, active: o.Active, retain: o.Retain}
}

// clock returns the time in the precision that is stored.
func (o *Options) clock() time.Time { return o.Now().UTC().Truncate(time.Second) }
