package keys

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// State is where a key is in its life.
type State string

// The states of a key: those of the ring's own keys in the order they go through them, and Standby.
const (
	Next    State = "next"    // published, has signed nothing
	Active  State = "active"  // signs; there is exactly one
	Retired State = "retired" // published until every token it signed is dead
	Standby State = "standby" // given by the configuration: published for as long as it is, signs nothing
)

// entry is a key and its history. Times are UTC, in whole seconds.
type entry struct {
	key       *Key
	created   time.Time     // and published
	activated time.Time     // zero: it is next
	retired   time.Time     // zero: it is not retired yet
	retain    time.Duration // how long it stays after it retires
	given     State         // of a key that the configuration gives, and that has no times
}

func (e entry) state() State {
	switch {
	case e.given != "":
		return e.given
	case !e.retired.IsZero():
		return Retired
	case !e.activated.IsZero():
		return Active
	default:
		return Next
	}
}

// gone is when a retired key leaves the ring.
func (e entry) gone() time.Time { return e.retired.Add(e.retain) }

// find returns the index of the first key in that state, or -1.
func find(keys []entry, s State) int {
	return slices.IndexFunc(keys, func(e entry) bool { return e.state() == s })
}

// first makes a ring. Nobody can have cached an older key set, so its first key
// signs at once.
func (o *Options) first(now time.Time) ([]entry, error) {
	key, err := generate(o.Algorithm)
	if err != nil {
		return nil, err
	}
	return o.addNext([]entry{{key: key, created: now, activated: now, retain: o.Retain}}, now)
}

// addNext puts a fresh key on the ring.
func (o *Options) addNext(keys []entry, now time.Time) ([]entry, error) {
	key, err := generate(o.Algorithm)
	if err != nil {
		return nil, err
	}
	return append(keys, entry{key: key, created: now}), nil
}

// due returns the ring as it should be at now, or nil when it is so already.
func (o *Options) due(keys []entry, now time.Time) ([]entry, error) {
	out := slices.DeleteFunc(slices.Clone(keys), func(e entry) bool {
		// A next key of another algorithm has signed nothing, so nobody misses it.
		return e.state() == Retired && !now.Before(e.gone()) ||
			e.state() == Next && e.key.Algorithm != o.Algorithm
	})
	changed := len(out) != len(keys)

	// What is retained is the longest promise made while the key signed, even
	// when a later configuration shortens the life of tokens.
	if a := &out[find(out, Active)]; a.retain < o.Retain {
		a.retain, changed = o.Retain, true
	}
	if o.promotionDue(out, now) {
		o.promote(out, now)
		changed = true
	}
	if find(out, Next) < 0 {
		changed = true
		var err error
		if out, err = o.addNext(out, now); err != nil {
			return nil, err
		}
	}
	if !changed {
		return nil, nil
	}
	return out, nil
}

// promotionDue reports whether the active key has signed long enough, or is of
// an algorithm no longer wanted, and its successor is known well enough.
func (o *Options) promotionDue(keys []entry, now time.Time) bool {
	active, next := keys[find(keys, Active)], find(keys, Next)
	if next < 0 || now.Before(o.usable(keys[next])) {
		return false
	}
	return active.key.Algorithm != o.Algorithm || !now.Before(active.activated.Add(o.Active))
}

// usable is when a next key has been published for long enough that every cached
// key set holds it.
func (o *Options) usable(next entry) time.Time { return next.created.Add(o.Publish) }

// promote retires the active key and puts the next one in its place.
func (o *Options) promote(keys []entry, now time.Time) {
	active, next := &keys[find(keys, Active)], &keys[find(keys, Next)]
	active.retired = now
	next.activated, next.retain = now, o.Retain
}

// ErrTooEarly says that the next key has not been published long enough to sign:
// verifiers that cached the key set would refuse its tokens.
var ErrTooEarly = errors.New("keys: the next key has not been published long enough")

// turnNow promotes the next key whatever the age of the active one.
func (o *Options) turnNow(keys []entry, now time.Time, force bool) ([]entry, error) {
	next := find(keys, Next)
	if next < 0 {
		return nil, fmt.Errorf("%w: there is none", ErrTooEarly)
	}
	if at := o.usable(keys[next]); now.Before(at) && !force {
		return nil, fmt.Errorf("%w: it may sign from %s on", ErrTooEarly, at.Format(time.RFC3339))
	}
	out := slices.Clone(keys)
	o.promote(out, now)
	return o.addNext(out, now)
}
