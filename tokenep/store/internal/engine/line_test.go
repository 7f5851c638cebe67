package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

var errSent = errors.New("sent by the server")

// A server answers at once, and not at all while it hangs.
type server struct {
	hangs   atomic.Bool
	resumed chan struct{}
	asked   atomic.Int32
}

func newServer() (*server, *Line) {
	return &server{resumed: make(chan struct{})},
		&Line{Name: "test", Timeout: 3 * time.Second, Answer: func(err error) bool { return errors.Is(err, errSent) }}
}

func (s *server) verb(answer error) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		s.asked.Add(1)
		if s.hangs.Load() {
			select {
			case <-ctx.Done():
				return 0, os.ErrDeadlineExceeded
			case <-s.resumed:
			}
		}
		return 7, answer
	}
}

func fails(t *testing.T, name string, err, expected error, within time.Duration, since time.Time) {
	t.Helper()
	if !errors.Is(err, expected) || expected != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: %v, want %v", name, err, expected)
	}
	if took := time.Since(since); took > within {
		t.Errorf("%s: took %v, want at most %v", name, took, within)
	}
}

// The first callers wait for a silent server, and after them one at a time, whose answer closes the
// circuit.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, line := newServer()
		s.hangs.Store(true)
		began := time.Now()
		var first sync.WaitGroup
		for range 200 {
			first.Go(func() {
				_, err := Do(t.Context(), line, s.verb(nil))
				fails(t, "the first wave", err, store.ErrUnavailable, line.Timeout, began)
			})
		}
		first.Wait()
		synctest.Wait()
		s.asked.Store(0)
		probe := make(chan error)
		go func() {
			_, err := Do(t.Context(), line, s.verb(nil))
			probe <- err
		}()
		synctest.Wait()
		for range 200 {
			now := time.Now()
			_, err := Do(t.Context(), line, s.verb(nil))
			fails(t, "beside a probe", err, store.ErrUnavailable, 0, now)
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("the server was asked %d times, want by one probe", n)
		}
		s.hangs.Store(false)
		close(s.resumed)
		if err := <-probe; err != nil {
			t.Errorf("the probe: %v", err)
		}
		n, err := Do(t.Context(), line, s.verb(nil))
		if n != 7 || err != nil {
			t.Errorf("after the probe's answer: %d, %v", n, err)
		}
	})
}

// What closes the circuit, what does not, and what opens it.
func TestConclusions(t *testing.T) {
	for _, test := range []struct {
		name          string
		was, expected bool
		verb          error
		hangs, other  bool // another verb is answered meanwhile
	}{
		{"an answer", true, false, nil, false, false},
		{"a conflict", true, false, store.ErrConflict, false, false},
		{"an error of the server", true, false, errSent, false, false},
		{"a refused connection while silent", true, true, io.EOF, false, false},
		{"a refused connection", false, false, io.EOF, false, false},
		{"no answer", false, true, nil, true, false},
		{"no answer, but another has one", false, false, nil, true, true},
		{"no answer to the probe", true, true, nil, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, line := newServer()
			s.hangs.Store(test.hangs)
			line.silent.Store(test.was)
			if test.other {
				go func() {
					time.Sleep(time.Second)
					_, _ = Do(t.Context(), line, func(context.Context) (int, error) { return 0, nil })
				}()
			}
			_, _ = Do(t.Context(), line, s.verb(test.verb))
			synctest.Wait()
			if line.silent.Load() != test.expected || line.probing.Load() {
				t.Errorf("%s: silent is %t, want %t; probing is %t, want false", test.name, line.silent.Load(), test.expected, line.probing.Load())
			}
		})
	}
}

// A caller who leaves gets the error of its context, and does not count as a sign of silence.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, line := newServer()
		s.hangs.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		now := time.Now()
		_, err := Do(ctx, line, s.verb(nil))
		fails(t, "a deadline", err, context.DeadlineExceeded, time.Second, now)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		now = time.Now()
		_, err = Do(ctx, line, s.verb(nil))
		fails(t, "a cancel", err, context.Canceled, time.Second, now)
		now = time.Now()
		_, err = Do(ctx, line, s.verb(nil))
		fails(t, "a context that is done", err, context.Canceled, 0, now)
		if n := s.asked.Load(); n != 2 {
			t.Errorf("the server was asked %d times, want 2", n)
		}
		if line.silent.Load() {
			t.Error("callers who left are taken for a silent server")
		}
	})
}

// A connection has the caller's deadline too, and may report it before the context does.
func TestDeadlineOfTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, line := newServer()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		verb := func(ctx context.Context) (int, error) {
			deadline, _ := ctx.Deadline()
			for time.Now().Before(deadline) {
				time.Sleep(time.Until(deadline))
			}
			return 0, os.ErrDeadlineExceeded
		}
		_, err := Do(ctx, line, verb)
		fails(t, "the caller's", err, context.DeadlineExceeded, time.Second, time.Now())
		_, err = Do(t.Context(), line, verb)
		fails(t, "the line's", err, store.ErrUnavailable, line.Timeout, time.Now())
		if !line.silent.Load() {
			t.Error("the deadline of a connection is not taken for silence")
		}
	})
}
