package keys

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// lookEvery is how often at most the stored ring is read for unknown kids: who sends tokens with kids of his own making
	// costs the store one Load in that time.
	lookEvery = time.Second
	// lookPatience bounds how long requests wait for it, from its begin on. It is far more than a store needs, and so little
	// that few requests gather while it hangs.
	lookPatience = 250 * time.Millisecond
	// lookLimit is when a look is given up, should the store know no time-out of its own.
	lookLimit = refreshEvery / 2
)

var errSlowLook = errors.New("keys: the store takes long to give the ring")

// looks is the state of Ring.look.
type looks struct {
	mu   sync.Mutex // held for no I/O
	last *look
}

// look is one reading of the stored ring, for all who have met an unknown kid meanwhile.
type look struct {
	began time.Time
	done  chan struct{} // closed when it has ended; err is set then
	late  chan struct{} // closed when nobody is to wait for it any longer
	err   error
}

// look brings the ring up to the stored one, unless that was tried in the last second: what came out then holds. Its error
// says that the stored ring could not be read, or not yet.
//
// The reading goes on when the request ends that began it, or a sender who hangs up at once could have each fail for all.
func (r *Ring) look(ctx context.Context) error {
	l := r.lastLook(ctx)
	if l.over() {
		return l.err
	}
	select {
	case <-l.done:
		return l.err
	case <-l.late:
		return errSlowLook
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastLook gives the look to go by, and begins it where there is none.
func (r *Ring) lastLook(ctx context.Context) *look {
	r.looks.mu.Lock()
	defer r.looks.mu.Unlock()
	now := r.o.Now()
	if l := r.looks.last; l != nil && (!l.over() || now.Sub(l.began).Abs() < lookEvery) {
		return l
	}
	l := &look{began: now, done: make(chan struct{}), late: make(chan struct{})}
	r.looks.last = l
	go func() {
		patience := time.AfterFunc(lookPatience, func() { close(l.late) })
		defer patience.Stop()
		defer close(l.done)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
		defer cancel()
		l.err = r.reread(bounded)
	}()
	return l
}

func (l *look) over() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// reread is Refresh without a rotation that may be due.
func (r *Ring) reread(ctx context.Context) error {
	if len(r.o.Given) > 0 {
		return r.give(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.load(ctx)
}
