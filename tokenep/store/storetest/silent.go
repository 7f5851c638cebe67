package storetest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// RunSilent tests that few callers wait for a database that hangs: the first ones until their
// time-out, and after them one at a time. A caller's own deadline is kept. When the database
// continues all are served, and no goroutine is left.
func RunSilent(t *testing.T, d Database) {
	// A busy machine needs over a second for so many, before the pause.
	const timeout, callers = 2 * time.Second, 200
	s := d.Open(t, timeout)
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "kept"}))
	load := func(ctx context.Context) (time.Duration, error) {
		start := time.Now()
		_, err := s.Load(ctx, kind, "kept")
		return time.Since(start), err
	}
	wave := func(name string, expected error) {
		t.Helper()
		var took [callers]time.Duration
		var errs [callers]error
		together(callers, func(i int) { took[i], errs[i] = load(t.Context()) })
		for _, err := range errs {
			if !errors.Is(err, expected) {
				t.Fatalf("%s: error %v, want %v", name, err, expected)
			}
		}
		if longest := slices.Max(took[:]); longest > timeout*3/2 {
			t.Errorf("%s: took up to %v, with a time-out of %v", name, longest, timeout)
		}
	}
	wave("Load before", nil)
	before := runtime.NumGoroutine()

	d.Pause()
	leaving, leave := context.WithTimeout(t.Context(), timeout/10)
	defer leave()
	took, err := load(leaving)
	want(t, "Load whose caller has a deadline", err, context.DeadlineExceeded)
	if took > timeout/2 {
		t.Errorf("Load took %v, with a deadline of %v", took, timeout/10)
	}
	wave("Load of the first", store.ErrUnavailable)
	stop := askOn(t, s)
	waited := 0
	for range callers { // one after another, while another caller is the probe
		if waited > 2 {
			break
		}
		took, err := load(t.Context())
		want(t, "Load while the database hangs", err, store.ErrUnavailable)
		if took > timeout/2 {
			waited++
		}
	}
	if waited > 2 { // once or twice is possible, at the moment of the other's time-out
		t.Error("verbs waited for a database that was known to hang")
	}
	d.Resume()
	resumed := time.Now()
	for err != nil && time.Since(resumed) < 10*timeout {
		_, err = load(t.Context())
	}
	if back := time.Since(resumed); back > timeout {
		t.Errorf("verbs were served %v after the database continued, with a time-out of %v", back, timeout)
	}
	stop()
	wave("Load after", nil)
	for range 100 { // a verb that was given up ends when it is answered
		if runtime.NumGoroutine() < before+callers/20 { // a connection pool has some
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left, of %d before", runtime.NumGoroutine(), before)
}

// askOn calls verbs all the time, as a proxy does, until stop.
func askOn(t *testing.T, s store.Store) (stop func()) {
	stopped := make(chan struct{})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for {
				select {
				case <-stopped:
					return
				case <-time.After(time.Millisecond):
					_, _ = s.Load(t.Context(), kind, "kept")
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // one of them is the probe now
	return func() {
		close(stopped)
		asking.Wait()
	}
}
