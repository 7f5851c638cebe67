package verify

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Revocation revokes tokens before they expire.
type Revocation struct {
	// Claim is "jti", "grant_id", "client_id" or "sub". Tokens in which that claim is Value are
	// revoked, and so are those of which one of the ancestors has it.
	Claim, Value string

	// ClientID, if not empty, limits the revocation to tokens that were issued to this client.
	ClientID string

	// Before, if not zero, limits the revocation to tokens issued until then, and to those without
	// iat; what descends from one of these is revoked whenever it was issued itself. iat has whole
	// seconds: a token issued later in the same second is revoked too.
	Before time.Time

	// Expires is when all of these tokens have expired, leeway included, and the revocation can be
	// dropped. Zero: never.
	Expires time.Time
}

// Revocations is a set of revocations of one issuer, as a jti means nothing to another. The zero
// value is empty and ready for concurrent use.
type Revocations struct {
	mu      sync.RWMutex
	size    atomic.Int64 // the number of entries: while it is 0, readers don't lock
	entries map[revocable][]Revocation

	changed chan struct{} // closed when something is added; nil: nobody waits

	followed atomic.Pointer[time.Time] // when the set was last complete; nil: never
}

// revocable is a struct and not a joined string, so that no value can pass for another claim.
type revocable struct{ claim, value string }

// Add adds e to the set.
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
	r.notify()
}

// changes returns a channel that is closed when something is added to the set, or by wake.
func (r *Revocations) changes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// wake closes the channel of those who wait for changes.
func (r *Revocations) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify()
}

func (r *Revocations) notify() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Remove removes e, if it is in the set exactly so. What it revoked is then good again, unless
// another entry revokes it.
func (r *Revocations) Remove(e Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := revocable{e.Claim, e.Value}
	old := len(r.entries[key])
	kept := slices.DeleteFunc(r.entries[key], func(other Revocation) bool { return other == e })
	r.size.Add(int64(len(kept) - old))
	if len(kept) == 0 {
		delete(r.entries, key)
	} else {
		r.entries[key] = kept
	}
}

// within reports whether other revokes every token that e revokes, for as long.
func (e Revocation) within(other Revocation) bool {
	if other.ClientID != "" && other.ClientID != e.ClientID {
		return false
	}
	covers := other.Before.IsZero() || !e.Before.IsZero() && !e.Before.After(other.Before)
	lasts := other.Expires.IsZero() || !e.Expires.IsZero() && !e.Expires.After(other.Expires)
	return covers && lasts
}

// Followed records that the set was complete at that time. Call it each time that the set has
// caught up with the source of its revocations. A time with a monotonic reading keeps its age when
// the wall clock jumps.
func (r *Revocations) Followed(at time.Time) { r.followed.Store(&at) }

// LastFollowed returns when the set was last complete; the zero time: never.
func (r *Revocations) LastFollowed() time.Time {
	if at := r.followed.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// ErrStale is the cause of a 503: the revocations of the issuer were last complete longer ago than
// its RevocationMaxAge.
var ErrStale = errors.New("revocations have not been followed for too long")

// stale reports whether the set may lack revocations older than maxAge. Without a maxAge, and
// without a set, it is false.
func (r *Revocations) stale(now time.Time, maxAge time.Duration) bool {
	if r == nil || maxAge == 0 {
		return false
	}
	followed := r.followed.Load()
	return followed == nil || now.Sub(*followed) > maxAge
}

// Len returns the number of entries.
func (r *Revocations) Len() int { return int(r.size.Load()) }

// Revoked reports whether t, or one of its ancestors, is revoked. A nil set has no entries.
func (r *Revocations) Revoked(t *Token) bool {
	if r == nil || r.size.Load() == 0 {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	self := Ancestor{ID: t.ID, GrantID: t.GrantID, ClientID: t.ClientID, Subject: t.Subject, IssuedAt: t.IssuedAt}
	if r.revoked(&self) {
		return true
	}
	for _, a := range t.Ancestors {
		if a.IssuedAt.IsZero() {
			a.IssuedAt = t.IssuedAt
		}
		if r.revoked(&a) {
			return true
		}
	}
	return false
}

// Ends reports whether everything that has this value of a claim is revoked, whenever it is issued
// and to whom. A nil set has no entries.
func (r *Revocations) Ends(claim, value string) bool {
	if r == nil || r.size.Load() == 0 {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.entries[revocable{claim, value}], endsAll)
}

// Ended returns the values of a claim for which Ends is true.
func (r *Revocations) Ended(claim string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var values []string
	for key, entries := range r.entries {
		if key.claim == claim && slices.ContainsFunc(entries, endsAll) {
			values = append(values, key.value)
		}
	}
	return values
}

// Latest returns until when the tokens with this value of a claim were revoked last, whoever they
// were issued to; zero: never, or for ever. It changes when one who is barred is revoked.
func (r *Revocations) Latest(claim, value string) (latest time.Time) {
	if r == nil || r.size.Load() == 0 {
		return latest
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.entries[revocable{claim, value}] {
		if e.Before.After(latest) {
			latest = e.Before
		}
	}
	return latest
}

func endsAll(e Revocation) bool { return e.Before.IsZero() && e.ClientID == "" }

func (r *Revocations) revoked(a *Ancestor) bool {
	return r.has("jti", a.ID, a) || r.has(grantIDClaim, a.GrantID, a) ||
		r.has("client_id", a.ClientID, a) || r.has("sub", a.Subject, a)
}

// has reports whether an entry that names the value of a claim is about a.
func (r *Revocations) has(claim, value string, a *Ancestor) bool {
	if value == "" {
		return false
	}
	for _, e := range r.entries[revocable{claim, value}] {
		if (e.Before.IsZero() || !a.IssuedAt.After(e.Before)) && (e.ClientID == "" || e.ClientID == a.ClientID) {
			return true
		}
	}
	return false
}

// sweepStep is how many values Sweep looks at before it releases the lock: readers wait for some
// tens of microseconds.
const sweepStep = 256

// Sweep removes entries that have expired. It looks at every entry, in steps, between which the set
// can be read and added to. Entries added meanwhile may be left to the next Sweep.
func (r *Revocations) Sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := 0
	// The lock is held whenever the map is accessed, also when the loop advances. Changes while it
	// is released are like changes in the body of the loop, which range allows.
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
