package keys

import (
	"bytes"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// inherit takes over the keys that an earlier configuration has in memory. So a
// new one can serve requests before Start has read the store, and may be loaded
// while the store is away: signing and verifying need no more than keys. What
// the store holds is looked at as soon as it can be. Only whether another
// encryption key is the right one cannot be known without the store: then Start
// fails.
//
// From given keys to a ring of its own there is nothing to inherit: that is in
// the store alone.
func (r *Ring) inherit(before *Ring) error {
	if before == nil {
		return nil
	}
	held := before.now.Load()
	switch {
	case held == nil, len(r.o.Given) == 0 && len(before.o.Given) > 0:
		return nil
	case len(r.o.Given) == 0:
		same := *held
		same.record = store.Record{} // no version of the stored one is this, so that Start opens it
		r.now.Store(&same)
	default:
		own := slices.DeleteFunc(slices.Clone(held.keys), func(e entry) bool { return e.given != "" })
		taken, err := newSnapshot(store.Record{}, true, r.givenBefore(r.o.outlive(own, r.clock())))
		if err != nil {
			return err
		}
		r.now.Store(taken)
	}
	r.inherited, r.unproven = true, !slices.EqualFunc(r.o.EncryptionKeys, before.o.EncryptionKeys, bytes.Equal)
	return nil
}

// Inherited reports whether there were keys before Start, taken from the ring Before.
func (r *Ring) Inherited() bool { return r.inherited }
