package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Replays remembers the DPoP proofs that were used in this process: for a resource server of one
// process. It is safe for concurrent use.
//
// Those that end in the same minute are together, and are forgotten together.
type Replays struct {
	mu      sync.Mutex
	now     func() time.Time
	limit   int
	size    int
	minutes map[int64]map[replayed256]struct{} // by the minute in which they end
}

// replayed256 is the hash of a thumbprint and an id.
type replayed256 [sha256.Size]byte

var errReplaysFull = errors.New("too many DPoP proofs were used lately")

// NewReplays returns a memory of at most limit proofs, each of which takes about 50 bytes. When it
// is full, proofs are answered with 503. A nil now stands for time.Now.
func NewReplays(limit int, now func() time.Time) *Replays {
	if now == nil {
		now = time.Now
	}
	return &Replays{now: now, limit: limit, minutes: make(map[int64]map[replayed256]struct{})}
}

// Remember is for DPoPOptions.Remember.
func (s *Replays) Remember(_ context.Context, thumbprint, id string, until time.Time) error {
	key := replayed256(sha256.Sum256([]byte(thumbprint + " " + id))) // a thumbprint has no space
	now, minute := s.now().Unix()/60, until.Unix()/60
	s.mu.Lock()
	defer s.mu.Unlock()
	for end, used := range s.minutes {
		if end < now {
			s.size -= len(used)
			delete(s.minutes, end)
		} else if _, found := used[key]; found {
			return ErrReplayed
		}
	}
	if s.size >= s.limit {
		return errReplaysFull
	}
	if s.minutes[minute] == nil {
		s.minutes[minute] = make(map[replayed256]struct{})
	}
	s.minutes[minute][key] = struct{}{}
	s.size++
	return nil
}
