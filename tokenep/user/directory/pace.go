package directory

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// pace remembers how long the last binds have taken, so that a name which nobody has can be refused
// after as long: else the time would tell who is in the directory. The hash is computed there, and
// no entry is at hand with which to have one computed for nothing.
type pace struct {
	mu   sync.Mutex
	last [32]time.Duration
	n    int
}

// note remembers how long a bind took.
func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[p.n%len(p.last)] = took
	p.n++
}

// wait takes as long as any one of the last binds; nothing, if there was none.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	took := time.Duration(0)
	if p.n > 0 {
		took = p.last[rand.IntN(min(p.n, len(p.last)))] //nolint:gosec // nobody could make use of it
	}
	p.mu.Unlock()
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
