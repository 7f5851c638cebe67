package keys

import (
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// lost gives the held keys, retired by now, if the stored ring was not made from the held one: the store has lost that, and a
// process that was started then has made its own. Without them all tokens in use would be refused. Else it gives nil.
//
// The other way to a ring that has no key in common with the held one is to withdraw them all, and those must not come back.
// But a withdrawal is a Swap, which makes a higher version of the record; one that is made anew begins with 1. So a version
// that is not higher is proof; should the new ring have overtaken the old one in the minute since the last Refresh, its tokens
// are lost.
func (o *Options) lost(held *snapshot, rec store.Record, stored []entry, now time.Time) []entry {
	if held == nil || rec.Version > held.record.Version {
		return nil
	}
	for _, e := range stored {
		if held.byID[e.key.ID] != nil {
			return nil // set back, not made anew
		}
	}
	out := slices.Clone(held.keys)
	for i := range out {
		if e := &out[i]; e.state() != Retired { // the next one too: another process may have been signing with it
			e.retired, e.retain = now, max(e.retain, o.Retain)
		}
	}
	return out
}
