package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrUnknown says that the ring has no key of that id.
var ErrUnknown = errors.New("keys: there is no such key")

// Withdraw drops a key whose private half others may have, which a rotation does not: a retired key still verifies. All that
// it has signed is refused, here from the next request on, and on the other nodes when they have read the ring again, which they
// do each minute. Until then they sign with it too, if it was the active one, and what they sign is refused here.
// Verifiers elsewhere believe in the key for as long as they cache the key set.
//
// In the place of the active key the next one signs at once, however short it has been published, as after a forced Rotate;
// and there is a new next key. The error Is ErrUnknown for an id that is not on the ring, and ErrGiven for given keys, which
// are withdrawn from the configuration.
func (r *Ring) Withdraw(ctx context.Context, kid string) error {
	if len(r.o.Given) > 0 {
		return ErrGiven
	}
	err := r.turn(ctx, func(keys []entry, now time.Time) ([]entry, error) {
		return r.o.withdraw(keys, kid, now)
	})
	if err == nil {
		r.o.Logger.Warn("signing key withdrawn; what it signed is refused", "kid", kid)
	}
	return err
}

// withdraw returns the ring without the key.
func (o *Options) withdraw(keys []entry, kid string, now time.Time) ([]entry, error) {
	at := slices.IndexFunc(keys, func(e entry) bool { return e.key.ID == kid })
	if at < 0 {
		return nil, fmt.Errorf("%w: %.64q", ErrUnknown, kid)
	}
	out := slices.Clone(keys)
	if out[at].state() == Active {
		if find(out, Next) < 0 { // between two steps of the ring, after a change of the algorithm
			var err error
			if out, err = o.addNext(out, now); err != nil {
				return nil, err
			}
		}
		o.promote(out, now)
	}
	out = slices.Delete(out, at, at+1)
	if find(out, Next) < 0 {
		return o.addNext(out, now)
	}
	return out, nil
}
