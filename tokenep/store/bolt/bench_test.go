package bolt

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func BenchmarkInsert(b *testing.B) { bench(b).Insert(b) }
func BenchmarkLoad(b *testing.B)   { bench(b).Load(b) }
func BenchmarkSwap(b *testing.B)   { bench(b).Swap(b) }

// bench compares with one writer that waits for an fsync each time, on the disk of the store, and
// with a bare Get.
func bench(b *testing.B) storetest.Bench {
	b.Helper()
	s := open(b, file(b), Options{})
	bare, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	must(b, err)
	b.Cleanup(func() { must(b, bare.Close()) })
	page := make([]byte, os.Getpagesize())
	must(b, s.Insert(b.Context(), store.Record{Kind: "bare", ID: "a", Data: page[:200]}))
	return storetest.Bench{Store: s, Alone: true, Write: func(int) error {
		if _, err := bare.WriteAt(page, 0); err != nil {
			return err
		}
		return bare.Sync()
	}, Read: func(int) error {
		return s.db.View(func(tx *bbolt.Tx) error {
			_ = bytes.Clone(tx.Bucket([]byte("bare")).Get([]byte("a")))
			return nil
		})
	}}
}

// BenchmarkWriters measures an insert among 64 writers (ns/op). of-one-writer is the ratio of their
// rate to that of one writer alone, each insert being durable.
func BenchmarkWriters(b *testing.B) {
	s := open(b, file(b), Options{})
	next := uint64(0)
	insert := func(writers, each int) time.Duration {
		start := time.Now()
		var wait sync.WaitGroup
		for range writers {
			first := next
			next += uint64(each)
			wait.Go(func() {
				for i := range each {
					r := store.Record{Kind: kind, ID: id(first + uint64(i)), Data: make([]byte, 200), Expires: time.Now().Add(time.Hour)}
					if err := s.Insert(context.Background(), r); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wait.Wait()
		return time.Since(start) / time.Duration(writers*each)
	}
	const writers, turn = 64, 50
	insert(writers, turn) // the file grows to its first size
	var alone, shared time.Duration
	turns := 0
	for b.Loop() {
		shared += insert(writers, turn)
		alone += insert(1, turn)
		turns++
	}
	b.ReportMetric(float64(shared.Nanoseconds())/float64(turns), "ns/op")
	b.ReportMetric(float64(alone)/float64(shared), "of-one-writer")
}

// BenchmarkLoadMillion measures a load of a random record among a million (ns/op). of-thousand is
// the ratio of its time to that among a thousand: a million cost two more levels of the tree, and
// pages that do not fit into the caches of the processor. ms-open is how long Open takes with the
// million.
func BenchmarkLoadMillion(b *testing.B) {
	const thousand, million, turn = 1000, 1_000_000, 1000
	few := open(b, file(b), Options{SweepInterval: -1})
	path := file(b)
	many := open(b, path, Options{SweepInterval: -1})
	fill(b, few, thousand, time.Now().Add(time.Hour))
	fill(b, many, million, time.Now().Add(time.Hour))
	load := func(s *Store, among uint64) time.Duration {
		ids := make([]string, turn) // as the id is in a request
		for i := range ids {
			ids[i] = id(rand.Uint64N(among))
		}
		start := time.Now()
		for _, id := range ids {
			if _, err := s.Load(context.Background(), kind, id); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
	for range 100 { // the pages are mapped when they are first read
		load(many, million)
	}
	var small, large time.Duration
	turns := 0
	for b.Loop() { // in turns, so that both run on the same machine
		large += load(many, million)
		small += load(few, thousand)
		turns++
	}
	b.ReportMetric(float64(large.Nanoseconds())/float64(turns*turn), "ns/op")
	b.ReportMetric(float64(small.Nanoseconds())/float64(turns*turn), "ns-of-thousand")
	b.ReportMetric(float64(large)/float64(small), "of-thousand")

	must(b, many.Close())
	start := time.Now()
	s, err := Open(path, Options{SweepInterval: -1})
	must(b, err)
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms-open")
	must(b, s.Close())
}

// id spreads numbers over all ids, like random ids.
func id(i uint64) string { return fmt.Sprintf("%016x", i*0x9e3779b97f4a7c15) }

// fill inserts n records in the order of their ids and in large transactions, as it would take
// minutes otherwise. Pages are as full as random inserts leave them.
func fill(b testing.TB, s *Store, n int, expires time.Time) {
	b.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = id(uint64(i))
	}
	slices.Sort(ids)
	value := encode(store.Record{Data: make([]byte, 200), Expires: expires}, 1)
	for some := range slices.Chunk(ids, 50_000) {
		must(b, s.db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte(kind))
			if err != nil {
				return err
			}
			bucket.FillPercent = 0.7
			for _, id := range some {
				if err := put(tx, bucket, kind, id, nil, value); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}
