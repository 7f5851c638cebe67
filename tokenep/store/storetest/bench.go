package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Bench measures Insert, Load and Swap in turns with the fastest equivalent that the engine can
// do: the floor. A verb is called by 16 callers at once, with records of their own.
//
// ns/op is the median of the verb's turns, and of-floor the median of the ratio of its rate to the
// floor's in the adjacent turn. So both run under the same conditions, and a turn that was
// disturbed does not dominate.
type Bench struct {
	Store store.Store

	// Write and Read are the floor: the least work that is as durable, or as current, as a verb,
	// with no abstraction on top. Each is called by the callers 0 to Callers-1, or only by caller 0
	// if Alone is set.
	Write, Read func(caller int) error

	// Alone means that the floor has one caller, because callers of the engine share what it does.
	Alone bool
}

// Callers is the number of concurrent callers of a Bench.
const Callers = 16

// Insert is BenchmarkInsert of an engine, compared with Write.
func (x Bench) Insert(b *testing.B) {
	count := [Callers]int{}
	x.against(b, x.Write, func(caller int) error {
		count[caller]++
		return x.insert(b.Context(), fmt.Sprint(caller, "-", count[caller]))
	})
}

// Load is BenchmarkLoad of an engine, compared with Read.
func (x Bench) Load(b *testing.B) {
	ids := x.each(b)
	x.against(b, x.Read, func(caller int) error {
		_, err := x.Store.Load(b.Context(), kind, ids[caller])
		return err
	})
}

// Swap is BenchmarkSwap of an engine, compared with Write.
func (x Bench) Swap(b *testing.B) {
	ids := x.each(b)
	versions := [Callers]uint64{}
	x.against(b, x.Write, func(caller int) error {
		versions[caller]++
		r := benchRecord(ids[caller])
		r.Version = versions[caller]
		r.Expires = r.Expires.Add(time.Duration(r.Version) * time.Second)
		return x.Store.Swap(b.Context(), r, r)
	})
}

// benchRecord has the size of a family of refresh tokens.
func benchRecord(id string) store.Record {
	return store.Record{Kind: kind, ID: id, Data: make([]byte, 200), Expires: time.Now().Add(time.Hour)}
}

func (x Bench) insert(ctx context.Context, id string) error {
	return x.Store.Insert(ctx, benchRecord(id))
}

// each inserts one record for each caller.
func (x Bench) each(b *testing.B) (ids [Callers]string) {
	b.Helper()
	for caller := range ids {
		ids[caller] = fmt.Sprint("of-", caller)
		must(b, x.insert(b.Context(), ids[caller]))
	}
	return ids
}

func (x Bench) against(b *testing.B, floor, verb func(caller int) error) {
	b.Helper()
	under := Callers
	if x.Alone {
		under = 1
	}
	// Turns are short, because the speed of a disk changes from second to second, but long compared
	// with the start of the callers. The first turns open connections, load scripts and statements,
	// and grow a file.
	calls := 50
	for turn(b, verb, Callers, calls)*time.Duration(Callers*calls) < 10*time.Millisecond {
		calls *= 2
	}
	turn(b, floor, under, calls)
	var took []time.Duration
	var ratio []float64
	for b.Loop() {
		ours, theirs := turn(b, verb, Callers, calls), turn(b, floor, under, calls)
		took, ratio = append(took, ours), append(ratio, float64(theirs)/float64(ours))
	}
	b.ReportMetric(float64(median(took).Nanoseconds()), "ns/op")
	b.ReportMetric(median(ratio), "of-floor")
}

// turn calls f from several callers at once, several times each, and returns the time of one call.
func turn(b *testing.B, f func(caller int) error, callers, calls int) time.Duration {
	start := time.Now()
	var wait sync.WaitGroup
	for c := range callers {
		wait.Go(func() {
			for range calls {
				if err := f(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	return max(1, time.Since(start)/time.Duration(callers*calls))
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
