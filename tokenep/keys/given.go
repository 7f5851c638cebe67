package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// ErrGiven is the error of Ring.Rotate and Ring.Withdraw if the configuration gives the keys.
var ErrGiven = errors.New("keys: the signing keys are given by the configuration; rotate by giving others")

// given is the source of keys that the configuration gives. It publishes them, together with the
// keys that an earlier configuration has left in the store. The stored ring is only read: another
// process of a cluster may still have that configuration and rotate it.
type given struct {
	keys     []*Key // the first one signs
	record   record
	schedule schedule
	current  *current
	clock    func() time.Time
}

func checkGiven(keys []*Key) error {
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
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

func (g *given) start(ctx context.Context) error { return g.read(ctx) }

func (g *given) refresh(ctx context.Context) error { return g.read(ctx) }

func (g *given) change(context.Context, decision) error { return ErrGiven }

func (g *given) read(ctx context.Context) error {
	g.current.mu.Lock()
	defer g.current.mu.Unlock()
	var left []entry
	switch stored, err := g.record.load(ctx, g.current.set.Load()); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	default:
		left = stored.entries
	}
	next, err := g.set(left)
	if err != nil {
		return err
	}
	g.current.replace(next)
	return nil
}

// set returns the given keys, and those others of a stored ring that may still be needed.
func (g *given) set(stored []entry) (*Set, error) {
	var keys []entry
	mine := make(map[string]bool, len(g.keys))
	for _, k := range g.keys {
		keys = append(keys, entry{key: k, given: Standby, retain: g.schedule.retain})
		mine[k.ID] = true
	}
	keys[0].given = Active
	for _, e := range g.schedule.outlive(stored, g.clock()) {
		if !mine[e.key.ID] {
			keys = append(keys, e)
		}
	}
	return newSet(store.Record{}, keys)
}

// outlive returns those keys of an abandoned ring that may have signed tokens which are still
// valid. Its record does not say when its active key stopped signing: at the end of its term at the
// latest, if a process has gone on rotating the ring until then.
func (s schedule) outlive(keys []entry, now time.Time) []entry {
	var out []entry
	for _, e := range keys {
		if e.state() == Active {
			e.retired = e.activated.Add(s.active)
		}
		if e.state() == Retired && now.Before(e.gone()) {
			out = append(out, e)
		}
	}
	return out
}
