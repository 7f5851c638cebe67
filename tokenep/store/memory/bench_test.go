package memory_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func BenchmarkInsert(b *testing.B) { bench(b).Insert(b) }
func BenchmarkLoad(b *testing.B)   { bench(b).Load(b) }
func BenchmarkSwap(b *testing.B)   { bench(b).Swap(b) }

// bench compares with a map and a lock, and a copy in or out.
func bench(b *testing.B) storetest.Bench {
	b.Helper()
	var mu sync.RWMutex
	bare, data := map[int][]byte{}, make([]byte, 200)

	s := memory.New(memory.Options{Max: 1 << 30})
	b.Cleanup(func() { s.Close() })
	return storetest.Bench{Store: s, Write: func(caller int) error {
		value := bytes.Clone(data)
		mu.Lock()
		defer mu.Unlock()
		bare[caller] = value
		return nil
	}, Read: func(caller int) error {
		mu.RLock()
		value := bare[caller]
		mu.RUnlock()
		_ = bytes.Clone(value)
		return nil
	}}
}

// BenchmarkLoadMillion measures a load of a random record among a million (ns/op). of-thousand is
// the ratio of its time to that among a thousand. Both are one lookup in a map: a million cost five
// accesses, one after another, to memory that is in no cache of the processor.
func BenchmarkLoadMillion(b *testing.B) {
	const turn = 1000
	ids := make([]string, 1_000_000)
	for i := range ids {
		ids[i] = id(i)
	}
	few, many := filled(b, ids[:1000]), filled(b, ids)
	load := func(s *memory.Store, among int) time.Duration {
		batch := make([]string, turn) // as the id is in a request
		for i := range batch {
			batch[i] = id(rand.IntN(among))
		}
		start := time.Now()
		for _, id := range batch {
			if _, err := s.Load(context.Background(), "thing", id); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
	var small, large time.Duration
	turns := 0
	for b.Loop() { // in turns, so that both run on the same machine
		large += load(many, len(ids))
		small += load(few, 1000)
		turns++
	}
	b.ReportMetric(float64(large.Nanoseconds())/float64(turns*turn), "ns/op")
	b.ReportMetric(float64(small.Nanoseconds())/float64(turns*turn), "ns-of-thousand")
	b.ReportMetric(float64(large)/float64(small), "of-thousand")
}

// id spreads numbers over all ids, like random ids.
func id(i int) string { return fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15) }

func filled(b *testing.B, ids []string) *memory.Store {
	b.Helper()
	s := memory.New(memory.Options{})
	b.Cleanup(func() { s.Close() })
	for _, id := range ids {
		r := store.Record{Kind: "thing", ID: id, Data: make([]byte, 200), Expires: time.Now().Add(time.Hour)}
		if err := s.Insert(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
	return s
}
