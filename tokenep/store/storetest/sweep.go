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

// RunSweep tests that verbs are served during a large sweep: it compares their rate with the rate
// without one. fill stores n expired records, and sweep deletes them.
func RunSweep(t *testing.T, s store.Store, fill func(t *testing.T, n int), sweep func(context.Context) (int, error)) {
	n := 10_000
	if onCI() {
		n = 100_000
	}
	done := busy(t, s)
	fill(t, n)
	time.Sleep(100 * time.Millisecond) // until connections are open and pages are in memory
	start, before := time.Now(), done.Load()
	time.Sleep(400 * time.Millisecond)
	alone := float64(done.Load()-before) / time.Since(start).Seconds()

	start, before = time.Now(), done.Load()
	removed, err := sweep(t.Context())
	must(t, err)
	took := time.Since(start).Seconds()
	beside := float64(done.Load()-before) / took
	t.Logf("%d swept in %.2f s; verbs a second: %.0f without, %.0f meanwhile", removed, took, alone, beside)
	if removed != n {
		t.Errorf("a sweep removed %d, want %d", removed, n)
	}
	if alone == 0 || took > 0.05 && beside < alone/8 {
		t.Errorf("%.0f verbs a second during a sweep, and %.0f without: they wait for the sweep", beside, alone)
	}
}

// RunSweepsItself tests that expired records are deleted without any verb being called. The store
// must sweep at a short interval; left counts its records.
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

// busy runs Swaps from four goroutines until the test ends, and counts them.
func busy(t *testing.T, s store.Store) *atomic.Int64 {
	t.Helper()
	var done atomic.Int64
	var busy sync.WaitGroup
	ctx := t.Context() // ends just before the cleanup
	t.Cleanup(busy.Wait)
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
