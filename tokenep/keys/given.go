package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// ErrGiven says that the keys are given by configuration, and turn over by changing it.
var ErrGiven = errors.New("keys: the signing keys are given by the configuration; rotate by giving others")

func checkGiven(given []*Key) error {
	seen := make(map[string]bool, len(given))
	for _, k := range given {
		if k == nil {
			return errors.New("keys: a given key is nil")
		}
		if seen[k.ID] {
			return fmt.Errorf("keys: the key %s is given twice", k.ID)
		}
		seen[k.ID] = true
	}
	return nil
}

// give publishes the given keys, and what an earlier configuration has left in the store, which is only read:
// another process of a cluster may still be on that configuration and go on turning the ring.
func (r *Ring) give(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[string]*Key{}
	if held := r.now.Load(); held != nil {
		known = held.byID
	}
	stored, err := r.leftovers(ctx, known)
	if err != nil {
		return err
	}
	return r.publish(store.Record{}, true, r.givenBefore(stored))
}

// givenBefore puts the given keys before others.
func (r *Ring) givenBefore(others []entry) []entry {
	var keys []entry
	given := make(map[string]bool, len(r.o.Given))
	for _, k := range r.o.Given {
		keys = append(keys, entry{key: k, given: Standby, retain: r.o.Retain})
		given[k.ID] = true
	}
	keys[0].given = Active
	for _, e := range others {
		if !given[e.key.ID] {
			keys = append(keys, e)
		}
	}
	return keys
}

// leftovers gives those keys of the stored ring that may have signed tokens which are still good.
func (r *Ring) leftovers(ctx context.Context, known map[string]*Key) ([]entry, error) {
	rec, err := r.o.Store.Load(ctx, recordKind, recordID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keys: load the ring: %w", err)
	}
	keys, _, err := r.open(rec, known)
	if err != nil {
		return nil, err
	}
	return r.o.outlive(keys, r.clock()), nil
}

// outlive gives the keys of a ring that was left to itself. Nobody wrote down when its active key stopped; but had
// anybody turned the ring since, the key would have stopped by the end of its term at the latest.
func (o *Options) outlive(keys []entry, now time.Time) []entry {
	var out []entry
	for _, e := range keys {
		if e.state() == Active {
			e.retired = e.activated.Add(o.Active)
		}
		if e.state() == Retired && now.Before(e.gone()) {
			out = append(out, e)
		}
	}
	return out
}
