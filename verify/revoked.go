package verify

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Revocation takes back tokens before they expire.
type Revocation struct {
	// Claim is "jti", "grant_id", "client_id" or "sub", and Value what that
	// claim of a token must be for the token to be revoked.
	Claim, Value string

	// Before, unless zero, spares tokens that were issued after it. A token
	// without iat is not spared. iat has whole seconds: a token issued in the
	// same second, but later, is revoked too.
	Before time.Time

	// Expires is when every token that is meant has expired, leeway included,
	// so that the entry can be forgotten; never, if zero.
	Expires time.Time
}

// Revocations is a set of revocations, of one issuer: a jti means nothing
// elsewhere. The zero value is empty and ready for concurrent use.
type Revocations struct {
	mu      sync.RWMutex
	size    atomic.Int64 // the number of entries, so that nobody locks while there are none
	entries map[revocable][]Revocation

	followed atomic.Pointer[time.Time] // when the set was complete last; nil: never
}

// revocable is a structure and not a joined string: no value can pose as
// another claim.
type revocable struct{ claim, value string }

// Add takes e into the set.
func (r *Revocations) Add(e Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := revocable{e.Claim, e.Value}
	if slices.ContainsFunc(r.entries[key], e.within) {
		return
	}
	if r.entries == nil {
		r.entries = make(map[revocable][]Revocation)
	}
	kept := slices.DeleteFunc(r.entries[key], func(old Revocation) bool { return old.within(e) })
	r.size.Add(int64(len(kept) + 1 - len(r.entries[key])))
	r.entries[key] = append(kept, e)
}

// within reports whether other revokes all that e does, for as long.
func (e Revocation) within(other Revocation) bool {
	covers := other.Before.IsZero() || !e.Before.IsZero() && !e.Before.After(other.Before)
	lasts := other.Expires.IsZero() || !e.Expires.IsZero() && !e.Expires.After(other.Expires)
	return covers && lasts
}

// Followed says that the set had every revocation there was at that time. Whoever
// fills the set from elsewhere calls it each time that is done, with a time of a
// monotonic clock if there is one, so that a clock that jumps changes no age.
func (r *Revocations) Followed(at time.Time) { r.followed.Store(&at) }

// ErrStale is the cause of a 503: the revocations of the issuer have not been
// followed for longer than its RevocationMaxAge.
var ErrStale = errors.New("revocations have not been followed for too long")

// stale reports whether the set may lack revocations that are older than maxAge:
// never, if that is zero. A nil set lacks nothing.
func (r *Revocations) stale(now time.Time, maxAge time.Duration) bool {
	if r == nil || maxAge == 0 {
		return false
	}
	followed := r.followed.Load()
	return followed == nil || now.Sub(*followed) > maxAge
}

// Len is the number of entries.
func (r *Revocations) Len() int { return int(r.size.Load()) }

// Revoked reports whether an entry takes t back. A nil set has no entries.
func (r *Revocations) Revoked(t *Token) bool {
	if r == nil || r.size.Load() == 0 {
		return false
	}
	grant, _ := t.Claims["grant_id"].(string)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.revoked("jti", t.ID, t) || r.revoked("grant_id", grant, t) ||
		r.revoked("client_id", t.ClientID, t) || r.revoked("sub", t.Subject, t)
}

func (r *Revocations) revoked(claim, value string, t *Token) bool {
	if value == "" {
		return false
	}
	for _, e := range r.entries[revocable{claim, value}] {
		if e.Before.IsZero() || !t.IssuedAt.After(e.Before) {
			return true
		}
	}
	return false
}

// sweepStep is how many values are looked at before readers have their turn: that
// is a wait of some tens of microseconds.
const sweepStep = 256

// Sweep forgets what has expired. It looks at every entry, in steps: between two
// of them whoever waits to read or to add does so. What is added meanwhile may
// have to wait for the next Sweep.
func (r *Revocations) Sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := 0
	// The lock is held whenever the map is looked at, and so when the loop goes
	// on. That others change the map in between is no more to it than a change
	// made in the loop.
	for key, entries := range r.entries {
		kept := slices.DeleteFunc(entries, func(e Revocation) bool {
			return !e.Expires.IsZero() && !now.Before(e.Expires)
		})
		r.size.Add(int64(len(kept) - len(entries)))
		if len(kept) == 0 {
			delete(r.entries, key)
		} else {
			r.entries[key] = kept
		}
		if seen++; seen%sweepStep == 0 {
			r.mu.Unlock()
			r.mu.Lock()
		}
	}
}
