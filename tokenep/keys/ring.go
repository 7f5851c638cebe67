package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
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

	// refreshEvery bounds how long a process goes on signing with a key that
	// another one has retired; Options.Retain must leave room for it.
	refreshEvery = time.Minute
	// maxConflicts is far more than a handful of processes can cause.
	maxConflicts = 10
)

// Options configures a Ring. Store and Retain are required.
type Options struct {
	Store store.Store

	// Given keys, read by ReadFile, sign and verify instead of keys that the ring
	// makes: the first one signs, and all are published. They turn over when the
	// next configuration gives others. Keys that an earlier configuration left in
	// the store are published beside them until their tokens are dead.
	Given []*Key

	// EncryptionKeys, of EncryptionKeySize random bytes each, protect the stored
	// ring (package seal): the first encrypts, all decrypt, so that one can be
	// replaced by another. Without any, private keys are stored in clear.
	EncryptionKeys [][]byte

	// Server is the name of the server that the ring belongs to, if there are
	// several. An encrypted ring can be read under the same name alone.
	Server string

	// Algorithm of the keys made from now on; one of Algorithms, ES256 by default.
	// When it is not that of the active key, a key of this algorithm becomes next
	// and takes over as soon as it has been published for Publish.
	Algorithm string

	MaxAge  time.Duration // for which verifiers may cache the key set; 300 s by default
	Publish time.Duration // before the first use of a key; max(1 h, 2 × MaxAge) by default, and at least
	Active  time.Duration // for which a key signs; 30 days by default, at least Publish

	// Retain is for how long a key stays published once it signs no more: the
	// longest life of a token, plus MaxAge, plus 5 minutes for clocks that differ
	// and for processes that learn late of a rotation. A key is kept for the
	// longest Retain that was in force while it signed.
	Retain time.Duration

	// Before is the ring of an earlier configuration of this process, on the same
	// records. Its keys are in use until Start has read them, and after that
	// where the store is away; see inherit. nil: there was none.
	Before *Ring

	Now    func() time.Time // time.Now by default
	Logger *slog.Logger     // slog.Default by default
}

// Ring is the set of signing keys. Its methods may be called concurrently.
type Ring struct {
	o   Options
	s   seal.Seals
	mu  sync.Mutex // one turn at a time; readers never take it
	now atomic.Pointer[snapshot]

	looks looks // for kids that are not in the snapshot

	inherited bool // there are keys before Start
	unproven  bool // and encryption keys that the ring before has not used
}

// New checks the options. It does no I/O: a ring is empty until Start, unless it has one Before.
func New(o Options) (*Ring, error) {
	if o.Store == nil {
		return nil, errors.New("keys: a store is required")
	}
	if o.Algorithm == "" {
		o.Algorithm = "ES256"
	}
	if _, ok := algorithms[o.Algorithm]; !ok {
		return nil, fmt.Errorf("keys: unknown algorithm %q; known are %s", o.Algorithm, strings.Join(Algorithms(), ", "))
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
		return nil, errors.New("keys: MaxAge is negative")
	case o.Publish < atLeast:
		return nil, fmt.Errorf("keys: Publish is %s, but verifiers may not know a key before %s", o.Publish, atLeast)
	case o.Active < o.Publish:
		return nil, fmt.Errorf("keys: Active is %s, but its successor must be published for %s", o.Active, o.Publish)
	case o.Retain <= 0:
		return nil, errors.New("keys: Retain is required: the longest life of a token + MaxAge + 5 minutes")
	}
	if err := checkGiven(o.Given); err != nil {
		return nil, err
	}
	s, err := seal.New(o.EncryptionKeys, o.Server)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	r := &Ring{o: o, s: s}
	r.o.Before = nil // or no ring would ever be let go
	return r, r.inherit(o.Before)
}

// Start loads the ring, or makes the first one, and keeps it fresh in a goroutine
// until ctx is done. Without a ring nothing can be signed or verified, so it
// fails when the store does, unless there is one Before. A ring that is stored in clear, or under an older
// encryption key, is written anew: not on each Refresh, or two processes that do
// not agree on the newest key yet would undo each other's work for ever. Call it
// once.
func (r *Ring) Start(ctx context.Context) error {
	err := r.refresh(ctx, func(keys []entry, now time.Time) ([]entry, error) {
		turned, err := r.o.due(keys, now)
		if turned == nil && !r.now.Load().sealed {
			turned = keys
		}
		return turned, err
	})
	switch {
	case r.inherited && !r.unproven && errors.Is(err, store.ErrUnavailable):
		r.o.Logger.Error("signing keys not read; those of the configuration before stay in use", "error", err)
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
		if err := r.refreshWithin(ctx, refreshEvery/2); err != nil && ctx.Err() == nil {
			r.o.Logger.Error("signing keys not refreshed; the ones in memory stay in use", "error", err)
		}
	}
}

func (r *Ring) refreshWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return r.Refresh(ctx)
}

// Refresh takes one step: it loads the ring, rotates what is due by the clock and
// drops what is dead. Whatever fails, the ring in memory stays in use.
func (r *Ring) Refresh(ctx context.Context) error {
	return r.refresh(ctx, r.o.due)
}

func (r *Ring) refresh(ctx context.Context, step func([]entry, time.Time) ([]entry, error)) error {
	if len(r.o.Given) > 0 {
		return r.give(ctx)
	}
	return r.turn(ctx, step)
}

// Rotate makes the next key the active one now, and publishes a new next key.
// It fails with ErrTooEarly while the next key has been published for less than
// Options.Publish, unless force is set: then verifiers that cached an older key
// set refuse new tokens until they fetch it again. The retired key stays
// published, for its tokens are still good. Given keys it cannot turn: ErrGiven.
func (r *Ring) Rotate(ctx context.Context, force bool) error {
	if len(r.o.Given) > 0 {
		return ErrGiven
	}
	replaced := ""
	return r.turn(ctx, func(keys []entry, now time.Time) ([]entry, error) {
		active := keys[find(keys, Active)].key.ID
		if replaced == "" {
			replaced = active
		}
		if active != replaced {
			return nil, nil // somebody else rotated between our load and our swap
		}
		return r.o.turnNow(keys, now, force)
	})
}

// turn loads the ring, lets step decide what becomes of it (nil: nothing) and
// swaps that in. A conflict means that another process took a turn: look again.
func (r *Ring) turn(ctx context.Context, step func([]entry, time.Time) ([]entry, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range maxConflicts {
		if err := r.load(ctx); errors.Is(err, store.ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		before := r.now.Load()
		keys, err := step(before.keys, r.clock())
		if err != nil || keys == nil {
			return err
		}
		err = r.write(ctx, keys, func(next store.Record) error {
			return r.o.Store.Swap(ctx, before.record, next)
		}, before.record.Version+1)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errors.New("keys: the stored ring changes faster than it can be read")
}

// load brings the snapshot up to the stored ring. Where the store has none it is
// made: from what is in memory, should the store have lost it, so that tokens in
// use stay good.
func (r *Ring) load(ctx context.Context) error {
	held := r.now.Load()
	rec, err := r.o.Store.Load(ctx, recordKind, recordID)
	if errors.Is(err, store.ErrNotFound) {
		if err = r.insert(ctx, held); !errors.Is(err, store.ErrExists) {
			return err
		}
		rec, err = r.o.Store.Load(ctx, recordKind, recordID)
	}
	if err != nil {
		return fmt.Errorf("keys: load the ring: %w", err)
	}
	if held != nil && held.record.Version == rec.Version && bytes.Equal(held.record.Data, rec.Data) {
		return nil
	}
	var known map[string]*Key
	if held != nil {
		known = held.byID
	}
	keys, sealed, err := r.open(rec, known)
	if err != nil {
		return err
	}
	if lost := r.o.lost(held, rec, keys, r.clock()); lost != nil {
		r.o.Logger.Error("the store has lost the signing keys and was given others; those in memory are put beside them, retired", "kid", held.active.ID)
		return r.write(ctx, append(keys, lost...), func(next store.Record) error {
			return r.o.Store.Swap(ctx, rec, next)
		}, rec.Version+1)
	}
	return r.publish(rec, sealed, keys)
}

func (r *Ring) insert(ctx context.Context, held *snapshot) error {
	var keys []entry
	if held != nil {
		r.o.Logger.Warn("the store has lost the signing keys; putting back the ones in memory")
		keys = held.keys
	} else {
		var err error
		if keys, err = r.o.first(r.clock()); err != nil {
			return err
		}
	}
	return r.write(ctx, keys, func(first store.Record) error {
		return r.o.Store.Insert(ctx, first)
	}, 1)
}

// write stores a ring by put, which gives it that version, and publishes it.
// Nothing signs with a key that is not stored.
func (r *Ring) write(ctx context.Context, keys []entry, put func(store.Record) error, version uint64) error {
	data, err := encodeRing(keys)
	if err != nil {
		return err
	}
	rec := store.Record{Kind: recordKind, ID: recordID, Data: r.s.Seal(recordKind, recordID, data)}
	if err := put(rec); err != nil {
		return fmt.Errorf("keys: store the ring: %w", err)
	}
	rec.Version = version
	return r.publish(rec, true, keys)
}

// publish hands the ring to readers.
func (r *Ring) publish(rec store.Record, sealed bool, keys []entry) error {
	s, err := newSnapshot(rec, sealed, keys)
	if err != nil {
		return err
	}
	before := r.now.Swap(s)
	if before == nil || before.active != s.active {
		r.o.Logger.Info("signing key active", "kid", s.active.ID, "alg", s.active.Algorithm)
	}
	return nil
}

// clock reads the time in the precision that is stored.
func (r *Ring) clock() time.Time { return r.o.Now().UTC().Truncate(time.Second) }
