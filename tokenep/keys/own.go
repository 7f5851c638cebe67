package keys

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// maxConflicts is far more than a handful of processes can cause.
const maxConflicts = 10

// own is the source of keys that the ring makes itself, and keeps in the store.
type own struct {
	record   record
	schedule schedule
	current  *current
	clock    func() time.Time
	log      *slog.Logger
}

func (o *own) start(ctx context.Context) error {
	return o.change(ctx, func(keys []entry, now time.Time) ([]entry, error) {
		out, err := o.schedule.due(keys, now)
		if out == nil && o.current.set.Load().stale {
			out = keys
		}
		return out, err
	})
}

func (o *own) refresh(ctx context.Context) error { return o.change(ctx, o.schedule.due) }

func (o *own) read(ctx context.Context) error {
	o.current.mu.Lock()
	defer o.current.mu.Unlock()
	return o.load(ctx)
}

// change loads the ring, takes the decision and swaps the outcome in. A conflict means that another
// process has changed the ring, so it begins again.
func (o *own) change(ctx context.Context, decide decision) error {
	o.current.mu.Lock()
	defer o.current.mu.Unlock()
	for range maxConflicts {
		if err := o.load(ctx); errors.Is(err, store.ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		held := o.current.set.Load()
		keys, err := decide(held.entries, o.clock())
		if err != nil || keys == nil {
			return err
		}
		next, err := o.record.swap(ctx, held, keys)
		if errors.Is(err, store.ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		o.current.replace(next) // a key signs only once it is stored
		return nil
	}
	return errors.New("keys: the stored ring changes faster than it can be read")
}

// load brings the current set up to the stored ring, and makes that if there is none.
func (o *own) load(ctx context.Context) error {
	held := o.current.set.Load()
	stored, err := o.record.load(ctx, held)
	if errors.Is(err, store.ErrNotFound) {
		stored, err = o.create(ctx, held)
		if errors.Is(err, store.ErrExists) { // another process was faster
			stored, err = o.record.load(ctx, held)
		}
	}
	if err != nil || stored == held {
		return err
	}
	if lost := o.schedule.lost(held, stored, o.clock()); lost != nil {
		o.log.Error("the store has lost the signing keys and has new ones; those in memory are added to them, retired", "kid", held.active.ID)
		if stored, err = o.record.swap(ctx, stored, slices.Concat(stored.entries, lost)); err != nil {
			return err
		}
	}
	o.current.replace(stored)
	return nil
}

// create stores the first ring. If there are keys in memory, the store has lost its record: then
// they are stored again, so that their tokens stay valid.
func (o *own) create(ctx context.Context, held *Set) (*Set, error) {
	keys := held.entries
	if len(keys) > 0 {
		o.log.Warn("the store has lost the signing keys; putting back the ones in memory")
	} else {
		var err error
		if keys, err = o.schedule.first(o.clock()); err != nil {
			return nil, err
		}
	}
	return o.record.insert(ctx, keys)
}
