package keys

import (
	"slices"
	"time"
)

// lost returns the held keys, retired, if the store has lost their ring and a process that was
// started since has made another one; else nil. Without them all tokens in use would be refused.
//
// A stored ring that has no key in common with the held one can also come of withdrawing all of its
// keys, and those must not return. But a withdrawal is a Swap, which raises the version of the
// record, whereas a new record begins with version 1. So a version that is not higher than the held
// one proves the loss. If the new ring overtakes the old one's version within the minute since the
// last Refresh, the loss goes unnoticed and the tokens are refused.
func (s schedule) lost(held, stored *Set, now time.Time) []entry {
	if stored.record.Version > held.record.Version {
		return nil
	}
	for _, e := range stored.entries {
		if held.byID[e.key.ID] != nil {
			return nil // an older version of the held ring, as from a backup
		}
	}
	out := slices.Clone(held.entries)
	for i := range out {
		// The next one too: another process may have been signing with it.
		if e := &out[i]; e.state() != Retired {
			e.retired, e.retain = now, max(e.retain, s.retain)
		}
	}
	return out
}
