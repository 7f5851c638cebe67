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
// Those that are forgotten in the same minute are together.
type Replays struct {
	mu      sync.Mutex
	now     func() time.Time
	limit   int
	size    int
	minutes map[int64]*replayMinute // by the minute in which they are forgotten
}

// replayMinute has the proofs that are forgotten in one minute, and how many each key has of them.
type replayMinute struct {
	proofs map[replayHash]struct{} // of a thumbprint and an id
	keys   map[replayHash]int      // by thumbprint
}

// replayHash is half of a SHA-256. Whoever finds two proofs with the same one has found two of his
// own: the thumbprint of his key is in it.
type replayHash [sha256.Size / 2]byte

func hashReplay(text string) replayHash {
	sum := sha256.Sum256([]byte(text))
	return replayHash(sum[:])
}

var errReplaysFull = errors.New("too many DPoP proofs were used lately")

// NewReplays returns a memory of at most limit proofs, each of which takes about 40 bytes, and 60
// more for each key. A key may have as many of them as there is room left: so one that sends proofs
// without end gets a half, and ten leave one part in eleven to all others. Beyond that proofs are
// answered with 503. A nil now stands for time.Now.
func NewReplays(limit int, now func() time.Time) *Replays {
	if now == nil {
		now = time.Now
	}
	return &Replays{now: now, limit: limit, minutes: make(map[int64]*replayMinute)}
}

// Remember is for DPoPOptions.Remember. It keeps a proof for MaxProofWindow longer than it was
// asked to, since the window may be a larger one on another route, or after a reload.
func (s *Replays) Remember(_ context.Context, thumbprint, id string, until time.Time) error {
	proof, key := hashReplay(thumbprint+" "+id), hashReplay(thumbprint) // a thumbprint has no space
	now, minute := s.now().Unix()/60, until.Add(MaxProofWindow).Unix()/60
	s.mu.Lock()
	defer s.mu.Unlock()
	share := 0
	for end, used := range s.minutes {
		if end < now {
			s.size -= len(used.proofs)
			delete(s.minutes, end)
			continue
		}
		if _, found := used.proofs[proof]; found {
			return ErrReplayed
		}
		share += used.keys[key]
	}
	if share >= s.limit-s.size {
		return errReplaysFull
	}
	used := s.minutes[minute]
	if used == nil {
		used = &replayMinute{proofs: make(map[replayHash]struct{}), keys: make(map[replayHash]int)}
		s.minutes[minute] = used
	}
	used.proofs[proof] = struct{}{}
	used.keys[key]++
	s.size++
	return nil
}
