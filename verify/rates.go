package verify

import (
	"hash/maphash"
	"sync"
	"time"
)

// Rates counts how often something was done, each thing by the issuer and the id that name it. It
// is kept in memory: every process counts for itself. It is safe for concurrent use.
//
// What may be done N times in a time can be done N times at once, and then as often as that time
// goes by: one each N-th part of it. A thing that has its whole rate again is forgotten. The memory
// is bounded: if so many things are below their rates at once that there is no room, one of those
// that have most left is forgotten early.
type Rates struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [rateShards]rateShard
}

const (
	rateShards  = 16
	rateEntries = 8192 // in a shard
)

// rated names what is counted.
type rated struct{ issuer, id string }

// rateShard has the times at which things will have their whole rates again.
type rateShard struct {
	mu    sync.Mutex
	whole map[rated]time.Time
}

// NewRates returns an empty memory. A nil now stands for time.Now.
func NewRates(now func() time.Time) *Rates {
	if now == nil {
		now = time.Now
	}
	r := &Rates{now: now, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].whole = make(map[rated]time.Time)
	}
	return r
}

// Take counts once, and returns 0; or, if the rate allows no more, counts nothing and returns the
// time after which it will.
func (r *Rates) Take(issuer, id string, rate Rate) (wait time.Duration) {
	return r.take(issuer, id, rate, 1)
}

// Wait returns what Take would return, and counts nothing.
func (r *Rates) Wait(issuer, id string, rate Rate) time.Duration { return r.take(issuer, id, rate, 0) }

// Return takes back one count, of what was not done after all.
func (r *Rates) Return(issuer, id string, rate Rate) { r.take(issuer, id, rate, -1) }

// take is the generic cell rate algorithm: all that is kept of a thing is when it will be whole.
func (r *Rates) take(issuer, id string, rate Rate, n int) time.Duration {
	if rate.Validate() != nil {
		return 0
	}
	key := rated{issuer, id}
	s := &r.shards[maphash.Comparable(r.seed, key)%rateShards]
	each := rate.Per / time.Duration(rate.N) // rounded down: never fewer than N
	s.mu.Lock()
	defer s.mu.Unlock()
	now := r.now()
	whole, known := s.whole[key]
	// One that lies further ahead is of before the clock was set back.
	if !known || whole.Before(now) || whole.Sub(now) > rate.Per {
		whole = now
	}
	if n < 0 {
		s.whole[key] = whole.Add(-each)
		return 0
	}
	if wait := whole.Add(each).Sub(now) - rate.Per; wait > 0 {
		return wait
	}
	if n > 0 {
		if !known {
			s.makeRoom(now)
		}
		s.whole[key] = whole.Add(each)
	}
	return 0
}

// makeRoom forgets a few that are whole again and, if there are none, the one of them that is
// nearest to it.
func (s *rateShard) makeRoom(now time.Time) {
	var nearest rated
	var at time.Time
	looked := 0
	for key, whole := range s.whole { // in random order
		if looked++; looked > 8 {
			break
		}
		if !whole.After(now) {
			delete(s.whole, key)
		} else if at.IsZero() || whole.Before(at) {
			nearest, at = key, whole
		}
	}
	if len(s.whole) >= rateEntries {
		delete(s.whole, nearest)
	}
}

// Len returns the number of things that are remembered.
func (r *Rates) Len() int {
	n := 0
	for i := range r.shards {
		r.shards[i].mu.Lock()
		n += len(r.shards[i].whole)
		r.shards[i].mu.Unlock()
	}
	return n
}
