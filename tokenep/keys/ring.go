package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// refreshEvery bounds how long a process goes on signing with a key that another one has retired;
// Options.Retain must leave room for it.
const refreshEvery = time.Minute

// Ring keeps the current Set of signing keys up to date. Its methods may be called concurrently.
type Ring struct {
	options  Options
	schedule schedule
	current  current
	source   source
	lookup   lookup

	inherited bool // there are keys before Start
	unproven  bool // and the encryption keys differ from those of the ring before
}

// A source is where the keys of a ring come from: own, which makes them, or given. Its methods
// bring the current set up to date; if one fails, the set stays in use as far as it has been read.
type source interface {
	// start is the first refresh. It also encrypts a record again if that is due.
	start(ctx context.Context) error
	// refresh reads the keys and takes the step that is due.
	refresh(ctx context.Context) error
	// read reads the keys and takes no step.
	read(ctx context.Context) error
	// change has an operator's decision stored, or returns ErrGiven.
	change(ctx context.Context, decide decision) error
	// adopt returns the set to start with, made of the one of an earlier configuration, or nil.
	adopt(held *Set) (*Set, error)
}

// current is the set in use. Readers load it without a lock. A source holds mu from before it reads
// the store until it has replaced the set.
type current struct {
	mu  sync.Mutex
	set atomic.Pointer[Set]
	log *slog.Logger
}

func (c *current) replace(s *Set) {
	if before := c.set.Swap(s); before.active != s.active {
		c.log.Info("signing key active", "kid", s.active.ID, "alg", s.active.Algorithm)
	}
}

// New checks the options. It does no I/O: the ring is empty until Start, unless it has one Before.
func New(o Options) (*Ring, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	seals, err := seal.New(o.EncryptionKeys, o.Server)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	before := o.Before
	o.Before = nil // so that the garbage collector can take it
	r := &Ring{options: o, schedule: o.schedule()}
	r.current.log = o.Logger
	r.current.set.Store(emptySet)
	rec := record{o.Store, seals, o.Record}
	if len(o.Given) > 0 {
		r.source = &given{o.Given, rec, r.schedule, &r.current, r.options.clock}
	} else {
		r.source = &own{rec, r.schedule, &r.current, r.options.clock, o.Logger}
	}
	r.lookup = lookup{now: o.Now, read: r.source.read}
	return r, r.inherit(before)
}

// Start loads the ring, or makes the first one, and refreshes it in a goroutine until ctx is done.
// Call it once. Without keys nothing can be signed or verified, so Start fails if the store does,
// unless keys were taken over from the ring Before.
//
// A ring that is stored in clear, or under an older encryption key, is encrypted again here and not
// in Refresh: two processes that disagree on the newest key would undo each other's work each
// minute.
func (r *Ring) Start(ctx context.Context) error {
	err := r.source.start(ctx)
	switch {
	case r.inherited && !r.unproven && errors.Is(err, store.ErrUnavailable):
		r.options.Logger.Error("signing keys not read; those of the previous configuration stay in use", "error", err)
	case err != nil:
		return fmt.Errorf("keys: start: %w", err)
	}
	go r.keepFresh(ctx)
	return nil
}

func (r *Ring) keepFresh(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, refreshEvery/2)
		err := verify.Contain(func() error { return r.Refresh(bounded) })
		cancel()
		if err != nil && ctx.Err() == nil {
			r.options.Logger.Error("signing keys not refreshed; the ones in memory stay in use", "error", err)
		}
	}
}

// Refresh loads the ring, rotates it if that is due, and drops keys whose tokens have all expired.
// If it fails, the keys in memory stay in use.
func (r *Ring) Refresh(ctx context.Context) error { return r.source.refresh(ctx) }

// Rotate makes the next key the active one now, and publishes a new next key. The retired key stays
// published, because its tokens are still valid.
//
// While the next key has been published for less than Options.Publish, Rotate fails with
// ErrTooEarly, unless force is set: then verifiers that cached an older key set refuse new tokens
// until they fetch it again. With given keys it fails with ErrGiven.
func (r *Ring) Rotate(ctx context.Context, force bool) error {
	return r.source.change(ctx, r.schedule.rotate(force))
}

// Withdraw drops a key whose private half may be in the wrong hands. A rotation does not suffice
// then, because a retired key still verifies. Tokens that the key signed are refused by this
// process from the next request on, and by others when they next refresh, within a minute. Until
// then the others may also sign with it, and what they sign is refused here. Verifiers elsewhere
// trust the key for as long as they cache the key set.
//
// If the active key is withdrawn, the next one signs at once, as after a forced Rotate, and there
// is a new next key. The error is ErrUnknown if there is no key with this id, and ErrGiven for
// given keys, which have to be withdrawn from the configuration.
func (r *Ring) Withdraw(ctx context.Context, kid string) error {
	err := r.source.change(ctx, r.schedule.withdraw(kid))
	if err == nil {
		r.options.Logger.Warn("signing key withdrawn; what it signed is refused", "kid", kid)
	}
	return err
}

// Current returns the keys as they are now. It is empty before Start, unless there is a ring
// Before.
func (r *Ring) Current() *Set { return r.current.set.Load() }

// overdueAfter is how late a rotation may be: the ring is refreshed each minute.
const overdueAfter = 10 * time.Minute

// Overdue reports whether the active key should have stopped to sign a while ago: the store cannot
// be read or written. It is false for given keys.
func (r *Ring) Overdue() bool {
	entries := r.Current().entries
	return len(r.options.Given) == 0 && len(entries) > 0 && entries[0].given == "" &&
		r.schedule.promotionDue(entries, r.options.clock().Add(-overdueAfter))
}

// Active returns the key that signs, or ErrNotStarted while there is none.
func (r *Ring) Active() (*Key, error) {
	if key := r.Current().active; key != nil {
		return key, nil
	}
	return nil, ErrNotStarted
}

// Key makes the ring a verify.KeySet of all published keys: next, active and retired. A key is
// found under its own algorithm only; EdDSA and Ed25519 are two names of one algorithm (RFC 9864
// §2.2). Every key has an id, so an empty kid is always unknown.
//
// A key in memory is returned without a wait. Another process may have put a key into use since the
// last Refresh, so for an unknown kid the stored ring is read, at most once a second (lookup.go),
// and ctx bounds the wait for that. The error is verify.ErrUnavailable while it cannot be read, and
// verify.ErrUnknownKey if it does not have the key either.
func (r *Ring) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	key, err := r.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	if key == nil || verify.CanonicalAlgorithm(key.Algorithm) != verify.CanonicalAlgorithm(alg) {
		return nil, verify.ErrUnknownKey
	}
	return key.public, nil
}

// HasKey reports whether there is a key with this kid: see verify.Ancestor.
func (r *Ring) HasKey(ctx context.Context, kid string) (bool, error) {
	key, err := r.find(ctx, kid)
	return key != nil, err
}

// find returns the key, or nil; it looks into the store for one that it does not know.
func (r *Ring) find(ctx context.Context, kid string) (*Key, error) {
	set := r.Current()
	if set.active == nil {
		return nil, fmt.Errorf("%w: %w", verify.ErrUnavailable, ErrNotStarted)
	}
	if set.byID[kid] == nil && kid != "" {
		if err := r.lookup.do(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", verify.ErrUnavailable, err)
		}
		set = r.Current()
	}
	return set.byID[kid], nil
}
