package redis

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// against measures a verb in turns with the floor, each by 16 callers at once.
// ns/op is the verb's, and of-floor is its rate as a part of the floor's.
func against(b *testing.B, verb, floor func(caller int) error) {
	const callers, turn = 16, 50
	measure := func(f func(int) error) time.Duration {
		start := time.Now()
		var wait sync.WaitGroup
		for c := range callers {
			wait.Go(func() {
				for range turn {
					if err := f(c); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		return time.Since(start) / (callers * turn)
	}
	measure(verb) // connections, and the script
	measure(floor)
	var ours, theirs time.Duration
	turns := 0
	for b.Loop() {
		ours += measure(verb)
		theirs += measure(floor)
		turns++
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(turns), "ns/op")
	b.ReportMetric(float64(theirs)/float64(ours), "of-floor")
}

type bench struct {
	s     *Store
	bare  redis.UniversalClient
	count [16]int
}

func newBench(b *testing.B) *bench {
	b.Helper()
	// As in production: each write is on disk before it is answered.
	server := servertest.For(b, servertest.Redis)
	s := open(b, server.URL, Options{})
	return &bench{s: s, bare: s.client}
}

var record = store.Record{Kind: kind, Data: make([]byte, 200), Expires: time.Now().Add(time.Hour)}

func (x *bench) insert(caller int) error {
	x.count[caller]++
	r := record
	r.ID = fmt.Sprint(caller, "-", x.count[caller])
	return x.s.Insert(context.Background(), r)
}

func (x *bench) set(caller int) error {
	return x.bare.Set(context.Background(), fmt.Sprint("bare-", caller), make([]byte, 216), time.Hour).Err()
}

// BenchmarkInsert compares with a bare SET.
func BenchmarkInsert(b *testing.B) {
	x := newBench(b)
	against(b, x.insert, x.set)
}

// BenchmarkLoad compares with a bare GET.
func BenchmarkLoad(b *testing.B) {
	x := newBench(b)
	for c := range x.count {
		must(b, x.insert(c))
		must(b, x.set(c))
	}
	against(b, func(caller int) error {
		_, err := x.s.Load(context.Background(), kind, fmt.Sprint(caller, "-1"))
		return err
	}, func(caller int) error {
		return x.bare.Get(context.Background(), fmt.Sprint("bare-", caller)).Err()
	})
}

// BenchmarkSwap compares with a bare SET.
func BenchmarkSwap(b *testing.B) {
	x := newBench(b)
	versions := [16]uint64{}
	for c := range x.count {
		must(b, x.insert(c))
	}
	against(b, func(caller int) error {
		r := record
		r.ID = fmt.Sprint(caller, "-1")
		versions[caller]++
		r.Version = versions[caller]
		r.Expires = r.Expires.Add(time.Duration(r.Version) * time.Second) // as a rotation moves it
		return x.s.Swap(context.Background(), r, r)
	}, x.set)
}
