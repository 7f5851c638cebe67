package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// RunSweep tests that verbs go on while very much is swept: how many come
// through meanwhile is compared with how many do in the same time without. fill
// puts n records into the store that have expired, and sweep deletes them.
func RunSweep(t *testing.T, s store.Store, fill func(t *testing.T, n int), sweep func(context.Context) (int, error)) {
	n := 10_000
	if onCI() {
		n = 100_000
	}
	done := busy(t, s)
	fill(t, n)
	time.Sleep(100 * time.Millisecond) // until connections are made, and pages are read
	start, before := time.Now(), done.Load()
	time.Sleep(400 * time.Millisecond)
	alone := float64(done.Load()-before) / time.Since(start).Seconds()

	start, before = time.Now(), done.Load()
	removed, err := sweep(t.Context())
	must(t, err)
	took := time.Since(start).Seconds()
	beside := float64(done.Load()-before) / took
	t.Logf("%d swept in %.2f s; verbs a second: %.0f alone, %.0f beside it", removed, took, alone, beside)
	if removed != n {
		t.Errorf("a sweep removed %d, want %d", removed, n)
	}
	if alone == 0 || took > 0.05 && beside < alone/8 {
		t.Errorf("%.0f verbs a second beside a sweep, and %.0f alone: the sweep keeps them waiting", beside, alone)
	}
}

// RunSweepsItself tests that what has expired goes while no verb asks for
// anything. The store sweeps at a short interval, and left counts what it has.
func RunSweepsItself(t *testing.T, s store.Store, left func() (int, error)) {
	for i := range 20 {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: fmt.Sprint(i), Expires: time.Now().Add(-time.Hour)}))
	}
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "stays"}))
	n := 0
	for range 500 {
		var err error
		n, err = left()
		if must(t, err); n == 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d are left, want 1", n)
}

// busy has four callers swap all the time until the test ends, and counts.
func busy(t *testing.T, s store.Store) *atomic.Int64 {
	t.Helper()
	var done atomic.Int64
	var busy sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() {
		stop()
		busy.Wait()
	})
	for caller := range 4 {
		r := store.Record{Kind: kind, ID: fmt.Sprint("busy-", caller)}
		must(t, s.Insert(t.Context(), r))
		busy.Go(func() {
			for ctx.Err() == nil {
				r.Version++
				if err := s.Swap(ctx, r, r); err != nil {
					if ctx.Err() != nil {
						return
					}
					t.Errorf("Swap beside a sweep: %v", err)
					return
				}
				done.Add(1)
			}
		})
	}
	return &done
}
