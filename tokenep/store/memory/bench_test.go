package memory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

// BenchmarkLoad measures a load of a random record among a million (ns/op).
// of-thousand is its time as a multiple of the same among a thousand. Either is
// one look in a map: what the million costs more is memory that no cache of the
// processor holds, five times in turn.
func BenchmarkLoad(b *testing.B) {
	const turn = 1000
	ids := make([]string, 1_000_000)
	for i := range ids {
		ids[i] = id(i)
	}
	few, many := filled(b, ids[:1000]), filled(b, ids)
	load := func(s *memory.Store, among int) time.Duration {
		batch := make([]string, turn) // as a request brings its id along
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
	for b.Loop() { // turn by turn, so that both see the same machine
		large += load(many, len(ids))
		small += load(few, 1000)
		turns++
	}
	b.ReportMetric(float64(large.Nanoseconds())/float64(turns*turn), "ns/op")
	b.ReportMetric(float64(small.Nanoseconds())/float64(turns*turn), "ns-of-thousand")
	b.ReportMetric(float64(large)/float64(small), "of-thousand")
}

// BenchmarkInsert measures an insert into a store of a million records.
func BenchmarkInsert(b *testing.B) {
	ids := make([]string, 1_000_000)
	for i := range ids {
		ids[i] = id(i)
	}
	s := filled(b, ids)
	for i := len(ids); b.Loop(); i++ {
		r := store.Record{Kind: "thing", ID: id(i), Expires: time.Now()} // garbage: the next insert drops it
		if err := s.Insert(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// id spreads numbers over all ids, as random ids are.
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
