package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// together calls f from n goroutines that start at the same time.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// oneOf reports an error unless one error is nil and all others are the expected one.
func oneOf(t *testing.T, verb string, errs []error, expected error) (winner int) {
	t.Helper()
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("%s succeeded for goroutine %d and for %d", verb, winner, i)
		case err == nil:
			winner = i
		default:
			want(t, verb, err, expected)
		}
	}
	if winner < 0 {
		t.Fatalf("%s succeeded for none of %d", verb, len(errs))
	}
	return winner
}

func testOneInsert(t *testing.T, s store.Store) {
	for round := range 5 {
		id := strconv.Itoa(round)
		errs := make([]error, 100)
		together(len(errs), func(i int) {
			errs[i] = s.Insert(t.Context(), store.Record{Kind: kind, ID: id, Data: []byte(strconv.Itoa(i))})
		})
		has(t, s, id, 1, strconv.Itoa(oneOf(t, "Insert", errs, store.ErrExists)))
	}
}

func testOneSwap(t *testing.T, s store.Store) {
	old := store.Record{Kind: kind, ID: "a"}
	must(t, s.Insert(t.Context(), old))
	for range 10 {
		old.Version++
		errs := make([]error, 100)
		together(len(errs), func(i int) {
			next := store.Record{Kind: kind, ID: "a", Data: []byte(strconv.Itoa(i))}
			errs[i] = s.Swap(t.Context(), old, next)
		})
		has(t, s, "a", old.Version+1, strconv.Itoa(oneOf(t, "Swap", errs, store.ErrConflict)))
	}
}

func testIndependent(t *testing.T, s store.Store) {
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "taken"}))
	errs := make([]error, 100)
	together(len(errs), func(i int) {
		switch {
		case i%3 == 0:
			errs[i] = s.Insert(t.Context(), store.Record{Kind: kind, ID: "taken"})
		case i%3 == 1:
			stale := store.Record{Kind: kind, ID: "taken", Version: 9}
			errs[i] = s.Swap(t.Context(), stale, stale)
		default:
			errs[i] = s.Insert(t.Context(), store.Record{Kind: kind, ID: strconv.Itoa(i)})
		}
	})
	for i, err := range errs {
		switch i % 3 {
		case 0:
			want(t, "Insert of a taken id", err, store.ErrExists)
		case 1:
			want(t, "Swap of a stale version", err, store.ErrConflict)
		default:
			want(t, "Insert of an id of its own", err, nil)
			has(t, s, strconv.Itoa(i), 1, "")
		}
	}
	has(t, s, "taken", 1, "")
}

func testChain(t *testing.T, s store.Store) {
	const last = 60
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a", Data: []byte("1")}))
	var seen atomic.Uint64 // the version of a Swap that has returned
	wins := make([]atomic.Int32, last+1)
	together(8, func(int) {
		for {
			before := seen.Load()
			old, err := s.Load(t.Context(), kind, "a")
			switch {
			case err != nil:
				t.Errorf("Load: %v", err)
				return
			case old.Version < before:
				t.Errorf("Load returned version %d after the Swap to %d had returned", old.Version, before)
			case string(old.Data) != strconv.FormatUint(old.Version, 10):
				t.Errorf("version %d has the data of version %q", old.Version, old.Data)
			}
			if old.Version >= last {
				return
			}
			next := old
			next.Data = []byte(strconv.FormatUint(old.Version+1, 10))
			switch err := s.Swap(t.Context(), old, next); {
			case err == nil:
				wins[old.Version+1].Add(1)
				for v := seen.Load(); v <= old.Version && !seen.CompareAndSwap(v, old.Version+1); v = seen.Load() {
				}
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("Swap: %v", err)
				return
			}
		}
	})
	for v := 2; v <= last; v++ {
		if n := wins[v].Load(); n != 1 {
			t.Errorf("version %d was written %d times", v, n)
		}
	}
}

func testListPages(t *testing.T, s store.Store) {
	const stay = 100
	together(stay, func(i int) {
		if err := s.Insert(t.Context(), store.Record{Kind: kind, ID: fmt.Sprintf("%03d", i)}); err != nil {
			t.Errorf("Insert: %v", err)
		}
	})
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%03d-%d", (i*37)%stay, w)
				err := s.Insert(t.Context(), store.Record{Kind: kind, ID: id})
				if err == nil {
					err = s.Delete(t.Context(), kind, id)
				}
				if err != nil {
					t.Errorf("writing %q: %v", id, err)
				}
			}
		})
	}
	for range 5 {
		counted, after := 0, ""
		for {
			page, err := s.List(t.Context(), kind, "", after, 7)
			if err != nil || len(page) == 0 {
				want(t, "List", err, nil)
				break
			}
			for _, r := range page {
				if r.ID <= after {
					t.Errorf("List returned %q after %q", r.ID, after)
				}
				if after = r.ID; len(after) == 3 {
					counted++
				}
			}
		}
		if counted != stay {
			t.Errorf("pages held %d records that existed all the time, want %d", counted, stay)
		}
	}
	close(stop)
	writers.Wait()
}

func testEndingContext(t *testing.T, s store.Store) {
	errs := make([]error, 100)
	together(len(errs), func(i int) {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		errs[i] = s.Insert(ctx, store.Record{Kind: kind, ID: strconv.Itoa(i), Data: []byte("whole")})
	})
	for i, err := range errs {
		if err == nil {
			has(t, s, strconv.Itoa(i), 1, "whole")
			continue
		}
		want(t, "Insert", err, context.Canceled)
		switch r, err := s.Load(t.Context(), kind, strconv.Itoa(i)); {
		case err == nil && string(r.Data) != "whole":
			t.Errorf("an Insert whose context ended stored %q", r.Data)
		case err != nil:
			want(t, "Load", err, store.ErrNotFound)
		}
	}
}
