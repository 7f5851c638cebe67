package keys

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrTooEarly is the error of Ring.Rotate while the next key has not been published for long
	// enough: verifiers that cached the key set would refuse its tokens.
	ErrTooEarly = errors.New("keys: the next key has not been published long enough")

	// ErrFull is the error of Ring.Rotate while the ring is as large as a record of a store can be.
	// That takes many forced rotations within the life of a token.
	ErrFull = errors.New("keys: there is no room for another key")

	// ErrUnknown is the error of Ring.Withdraw for a kid that the ring does not have.
	ErrUnknown = errors.New("keys: there is no such key")
)

// schedule has the terms by which the ring's own keys come and go. What becomes of the keys is a
// function of them, of the terms and of the time.
type schedule struct {
	algorithm string        // of new keys
	publish   time.Duration // how long a key is published before it signs
	active    time.Duration // how long a key signs
	retain    time.Duration // how long a key is published afterwards
}

// A decision returns what becomes of the keys, in a slice of its own, or nil if they stay as they
// are. It is taken again when another process has changed the ring meanwhile.
type decision func(keys []entry, now time.Time) ([]entry, error)

// first returns a new ring. No verifier can have cached an older key set, so its first key signs at
// once.
func (s schedule) first(now time.Time) ([]entry, error) {
	key, err := generate(s.algorithm)
	if err != nil {
		return nil, err
	}
	return s.addNext([]entry{{key: key, created: now, activated: now, retain: s.retain}}, now)
}

// due returns the keys as they should be at this time.
func (s schedule) due(keys []entry, now time.Time) ([]entry, error) {
	out := slices.DeleteFunc(withoutGone(keys, now), func(e entry) bool {
		// A next key of another algorithm has signed nothing, so no token needs it.
		return e.state() == Next && e.key.Algorithm != s.algorithm
	})
	changed := len(out) != len(keys)

	// A key is retained for the longest life of tokens that was in force while it signed, even if a
	// later configuration shortens it.
	if a := &out[find(out, Active)]; a.retain < s.retain {
		a.retain, changed = s.retain, true
	}
	if s.promotionDue(out, now) {
		s.promote(out, now)
		changed = true
	}
	if find(out, Next) < 0 {
		changed = true
		var err error
		if out, err = s.addNext(out, now); err != nil {
			return nil, err
		}
	}
	if !changed {
		return nil, nil
	}
	return out, nil
}

// withoutGone returns the keys, in a slice of its own, but for the retired ones whose last token
// has expired.
func withoutGone(keys []entry, now time.Time) []entry {
	return slices.DeleteFunc(slices.Clone(keys), func(e entry) bool { return e.state() == Retired && !now.Before(e.gone()) })
}

// rotate promotes the next key, whatever the age of the active one. If another process rotates
// between the load and the swap of this one, the two rotations are one.
func (s schedule) rotate(force bool) decision {
	replaced := ""
	return func(keys []entry, now time.Time) ([]entry, error) {
		active := keys[find(keys, Active)].key.ID
		if replaced == "" {
			replaced = active
		}
		if active != replaced {
			return nil, nil
		}
		next := find(keys, Next)
		if next < 0 {
			return nil, fmt.Errorf("%w: there is none", ErrTooEarly)
		}
		if at := s.usable(keys[next]); now.Before(at) && !force {
			return nil, fmt.Errorf("%w: it may sign from %s on", ErrTooEarly, at.Format(time.RFC3339))
		}
		out := withoutGone(keys, now)
		s.promote(out, now)
		return s.addNext(out, now)
	}
}

// withdraw drops the key with this id.
func (s schedule) withdraw(kid string) decision {
	return func(keys []entry, now time.Time) ([]entry, error) {
		at := slices.IndexFunc(keys, func(e entry) bool { return e.key.ID == kid })
		if at < 0 {
			return nil, fmt.Errorf("%w: %.64q", ErrUnknown, kid)
		}
		out := slices.Clone(keys)
		if out[at].state() == Active {
			if find(out, Next) < 0 { // due never leaves it so, but the record may have been edited
				var err error
				if out, err = s.addNext(out, now); err != nil {
					return nil, err
				}
			}
			s.promote(out, now)
		}
		out = slices.Delete(out, at, at+1)
		if find(out, Next) < 0 {
			return s.addNext(out, now)
		}
		return out, nil
	}
}

// addNext appends a new key to the keys.
func (s schedule) addNext(keys []entry, now time.Time) ([]entry, error) {
	key, err := generate(s.algorithm)
	if err != nil {
		return nil, err
	}
	return append(keys, entry{key: key, created: now}), nil
}

// promotionDue reports whether the active key has signed for long enough, or has an algorithm that
// is no longer wanted, and its successor has been published for long enough.
func (s schedule) promotionDue(keys []entry, now time.Time) bool {
	active, next := keys[find(keys, Active)], find(keys, Next)
	if next < 0 || now.Before(s.usable(keys[next])) {
		return false
	}
	return active.key.Algorithm != s.algorithm || !now.Before(active.activated.Add(s.active))
}

// usable returns when every cached key set has this key.
func (s schedule) usable(next entry) time.Time { return next.created.Add(s.publish) }

// promote retires the active key and puts the next one in its place, within keys.
func (s schedule) promote(keys []entry, now time.Time) {
	active, next := &keys[find(keys, Active)], &keys[find(keys, Next)]
	active.retired = now
	next.activated, next.retain = now, s.retain
}
