package keys

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	// lookEvery is how often at most the stored ring is read for unknown kids. A sender of tokens
	// with made-up kids costs the store one Load in that time.
	lookEvery = time.Second
	// lookPatience is how long after its start a reading is waited for. It is far more than a store
	// needs, and short enough that few requests gather while the store hangs.
	lookPatience = 250 * time.Millisecond
	// lookLimit is when a reading is given up, in case the store has no time-out of its own.
	lookLimit = refreshEvery / 2
)

var errSlowLook = errors.New("keys: the store is slow to return the ring")

// lookup reads the stored ring when a kid is unknown, at most once in lookEvery: one reading serves
// all requests that meet an unknown kid meanwhile.
type lookup struct {
	now  func() time.Time
	read func(context.Context) error

	mu   sync.Mutex // not held during I/O
	last *reading
}

// reading is one read of the stored ring.
type reading struct {
	began time.Time
	done  chan struct{} // closed when it has ended; err is set then
	late  chan struct{} // closed when requests should no longer wait for it
	err   error
}

// do brings the ring up to the stored one, unless that was tried within the last second: then the
// outcome of that try stands. Its error means that the stored ring could not be read, or not yet.
func (l *lookup) do(ctx context.Context) error {
	r := l.latest(ctx)
	if r.over() {
		return r.err
	}
	select {
	case <-r.done:
		return r.err
	case <-r.late:
		return errSlowLook
	case <-ctx.Done():
		return ctx.Err()
	}
}

// latest returns the reading that counts now, and begins one if there is none. It continues when
// the request ends that began it, or else a sender who hangs up at once could make it fail for all.
func (l *lookup) latest(ctx context.Context) *reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if r := l.last; r != nil && (!r.over() || now.Sub(r.began).Abs() < lookEvery) {
		return r
	}
	r := &reading{began: now, done: make(chan struct{}), late: make(chan struct{})}
	l.last = r
	go func() {
		patience := time.AfterFunc(lookPatience, func() { close(r.late) })
		defer patience.Stop()
		defer close(r.done)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
		defer cancel()
		r.err = verify.Contain(func() error { return l.read(bounded) })
	}()
	return r
}

func (r *reading) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
