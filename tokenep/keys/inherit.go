package keys

import (
	"bytes"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// inherit takes over the keys that an earlier configuration has in memory. Signing and verifying
// need nothing else, so a new configuration can serve requests before Start has read the store, and
// can be loaded while the store is unavailable. Only whether a changed encryption key is the right
// one cannot be known without the store: then Start fails.
func (r *Ring) inherit(before *Ring) error {
	if before == nil || before.Current().active == nil {
		return nil
	}
	set, err := r.source.adopt(before.Current())
	if err != nil || set == nil {
		return err
	}
	r.current.set.Store(set)
	r.inherited = true
	r.unproven = !slices.EqualFunc(r.options.EncryptionKeys, before.options.EncryptionKeys, bytes.Equal)
	return nil
}

// Inherited reports whether there were keys before Start, taken over from the ring Before.
func (r *Ring) Inherited() bool { return r.inherited }

// adopt takes over the held keys as they are. After given keys there is nothing to take over: the
// ring's own are only in the store.
func (o *own) adopt(held *Set) (*Set, error) {
	if held.entries[0].given != "" {
		return nil, nil
	}
	same := *held
	same.record = store.Record{} // unlike any stored version, so that Start reads that
	return &same, nil
}

// adopt treats the ring's own keys among the held ones as if they had been read from the store.
func (g *given) adopt(held *Set) (*Set, error) {
	return g.set(slices.DeleteFunc(slices.Clone(held.entries), func(e entry) bool { return e.given != "" }))
}
