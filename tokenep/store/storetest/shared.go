package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

var sharedRules = []struct {
	name string
	says string
	test func(t *testing.T, a, b store.Store)
}{
	{"a write is seen", "when a write through one handle has returned, the next verb of the other sees it", testSeen},
	{"one insert wins", "of concurrent Inserts of one id through two handles exactly one succeeds", testSharedInsert},
	{"one swap wins", "of concurrent Swaps of one version through two handles exactly one succeeds", testSharedSwap},
	{"chain of versions", "versions increase by one, whichever handle writes, and no handle sees an older one again", testSharedChain},
	{"once after delete", "of concurrent Inserts after a Delete exactly one succeeds, and its versions start at 1", testSharedAgain},
	{"list", "the pages of one handle hold what the other has written", testSharedList},
}

// RunShared tests what two machines on one database can rely on. It calls newStores for each rule;
// newStores opens the same records twice, like two processes, and closes both with t.Cleanup.
func RunShared(t *testing.T, newStores func(t *testing.T) (a, b store.Store)) {
	for _, rule := range sharedRules {
		t.Run(rule.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("rule broken: %s", rule.says)
				}
			})
			a, b := newStores(t)
			rule.test(t, a, b)
		})
	}
}

func testSeen(t *testing.T, a, b store.Store) {
	r := store.Record{Kind: kind, ID: "a", Data: []byte("1")}
	for range 20 {
		must(t, a.Insert(t.Context(), r))
		has(t, b, "a", 1, "1")
		want(t, "Insert through the other handle", b.Insert(t.Context(), r), store.ErrExists)
		for version := uint64(1); version < 5; version++ {
			old, next := r, r
			old.Version, next.Data = version, []byte(strconv.FormatUint(version+1, 10))
			must(t, b.Swap(t.Context(), old, next))
			has(t, a, "a", version+1, string(next.Data))
			want(t, "Swap of what the other handle replaced", a.Swap(t.Context(), old, next), store.ErrConflict)
			a, b = b, a
		}
		must(t, a.Delete(t.Context(), kind, "a"))
		_, err := b.Load(t.Context(), kind, "a")
		want(t, "Load of what the other handle deleted", err, store.ErrNotFound)
	}
}

func testSharedInsert(t *testing.T, a, b store.Store) {
	both := [2]store.Store{a, b}
	for round := range 5 {
		id := strconv.Itoa(round)
		errs := make([]error, 50)
		together(len(errs), func(i int) {
			errs[i] = both[i%2].Insert(t.Context(), store.Record{Kind: kind, ID: id, Data: []byte(strconv.Itoa(i))})
		})
		winner := strconv.Itoa(oneOf(t, "Insert", errs, store.ErrExists))
		has(t, a, id, 1, winner)
		has(t, b, id, 1, winner)
	}
}

func testSharedSwap(t *testing.T, a, b store.Store) {
	both := [2]store.Store{a, b}
	old := store.Record{Kind: kind, ID: "a"}
	must(t, a.Insert(t.Context(), old))
	for range 10 {
		old.Version++
		errs := make([]error, 50)
		together(len(errs), func(i int) {
			errs[i] = both[i%2].Swap(t.Context(), old, store.Record{Kind: kind, ID: "a", Data: []byte(strconv.Itoa(i))})
		})
		winner := strconv.Itoa(oneOf(t, "Swap", errs, store.ErrConflict))
		has(t, a, "a", old.Version+1, winner)
		has(t, b, "a", old.Version+1, winner)
	}
}

func testSharedChain(t *testing.T, a, b store.Store) {
	const last = 60
	both := [2]store.Store{a, b}
	must(t, a.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	var seen atomic.Uint64 // the version of a Swap that has returned
	wins := make([]atomic.Int32, last+1)
	together(8, func(i int) {
		for n := i; ; n++ {
			before := seen.Load()
			old, err := both[n%2].Load(t.Context(), kind, "a")
			switch {
			case err != nil:
				t.Errorf("Load: %v", err)
				return
			case old.Version < before:
				t.Errorf("Load returned version %d after the Swap to %d had returned", old.Version, before)
			case old.Version >= last:
				return
			}
			switch err := both[(n+i)%2].Swap(t.Context(), old, old); {
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

func testSharedAgain(t *testing.T, a, b store.Store) {
	both := [2]store.Store{a, b}
	for round := range 10 {
		r := store.Record{Kind: kind, ID: "a", Version: 1}
		errs := make([]error, 10)
		together(len(errs), func(i int) {
			r := r
			r.Data = []byte(strconv.Itoa(i))
			errs[i] = both[i%2].Insert(t.Context(), r)
		})
		has(t, both[round%2], "a", 1, strconv.Itoa(oneOf(t, "Insert", errs, store.ErrExists)))
		must(t, both[round%2].Swap(t.Context(), r, r))
		must(t, both[1-round%2].Delete(t.Context(), kind, "a"))
	}
}

func testSharedList(t *testing.T, a, b store.Store) {
	both := [2]store.Store{a, b}
	for i := range 30 {
		must(t, both[i%2].Insert(t.Context(), store.Record{Kind: kind, ID: fmt.Sprintf("%02d", i)}))
		for _, s := range both {
			page, err := s.List(t.Context(), kind, "", "", store.MaxPage)
			must(t, err)
			if len(page) != i+1 || page[i].ID != fmt.Sprintf("%02d", i) {
				t.Fatalf("List returned %d records after %d were inserted", len(page), i+1)
			}
		}
	}
}
