package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// RunKilled kills the database of an engine at random moments while two handles spend codes, and
// checks what it has afterwards: no acknowledged write is lost, no code is spent twice, and a write
// that returned a conflict has written nothing. The handles stay open, and reach the database
// again.
func RunKilled(t *testing.T, d Database) {
	n := Rounds(t, 5, 20)
	handles := [2]store.Store{d.Open(t, timeout), d.Open(t, timeout)}
	var all []*spending
	for round := range n {
		codes := spendUntilKilled(t, d, handles, fmt.Sprint("round-", round))
		must(t, d.Start())
		answers(t, handles[:]...)
		all = append(all, codes...)
		for _, c := range all {
			c.check(t, handles[round%2])
		}
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, n)
		}
		t.Logf("round %d: %d codes, none lost or spent twice", round+1, len(codes))
	}
	if len(all) == 0 {
		t.Error("no round spent anything")
	}
}

// A spending is a code, and what its Insert and its Swaps returned.
type spending struct {
	id       string
	inserted error
	spent    [2]error
	settled  string // its data after the last check
}

// spendUntilKilled inserts codes from many goroutines, and spends each of them twice at once, until
// the database is killed.
func spendUntilKilled(t *testing.T, d Database, handles [2]store.Store, round string) []*spending {
	t.Helper()
	const workers = 16
	codes := make([][]*spending, workers)
	var first sync.Once
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			for i := 0; ; i++ {
				c := &spending{id: fmt.Sprint(round, "-", w, "-", i)}
				codes[w] = append(codes[w], c)
				c.inserted = handles[i%2].Insert(t.Context(), store.Record{
					Kind: kind, ID: c.id, Data: []byte("fresh"), Expires: time.Now().Add(time.Hour),
				})
				if c.inserted != nil {
					return
				}
				c.spend(t, handles)
				first.Do(func() { // the time runs from the first code
					working.Go(func() {
						time.Sleep(time.Duration(rand.IntN(100_000)) * time.Microsecond) //nolint:gosec // not a secret
						d.Kill()
					})
				})
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		working.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		d.Kill()
		t.Fatal("a verb has waited for a minute, for a database that was killed")
	}
	var flat []*spending
	for _, some := range codes {
		flat = append(flat, some...)
	}
	return flat
}

func (c *spending) spend(t *testing.T, handles [2]store.Store) {
	fresh := store.Record{Kind: kind, ID: c.id, Version: 1}
	together(2, func(i int) {
		next := fresh
		next.Data, next.Expires = fmt.Append(nil, "spent by ", i), time.Now().Add(time.Hour)
		c.spent[i] = handles[i].Swap(t.Context(), fresh, next)
	})
}

// check compares what is stored with what was returned. It spends a code that is still fresh, so
// that nothing else can.
func (c *spending) check(t *testing.T, s store.Store) {
	t.Helper()
	r, err := s.Load(t.Context(), kind, c.id)
	if c.inserted != nil && errors.Is(err, store.ErrNotFound) && c.settled == "" {
		want(t, "Insert when the database was killed", c.inserted, store.ErrUnavailable)
		return
	}
	if err != nil {
		t.Errorf("%s was acknowledged, and is lost: %v", c.id, err)
		return
	}
	found := string(r.Data)
	if c.settled != "" && found != c.settled {
		t.Errorf("%s was %q, and is %q", c.id, c.settled, found)
	}
	if c.settled == "" && c.inserted == nil {
		for i, err := range c.spent {
			mine := found == fmt.Sprint("spent by ", i)
			switch {
			case err == nil && !mine:
				t.Errorf("%s was spent by %d, and is %q", c.id, i, found)
			case errors.Is(err, store.ErrConflict) && mine:
				t.Errorf("%s: a conflict for %d, whose write happened", c.id, i)
			case err != nil && !errors.Is(err, store.ErrConflict):
				want(t, "Swap when the database was killed", err, store.ErrUnavailable)
			}
		}
	}
	again := r
	again.Data, again.Version = []byte("spent after all"), 1
	switch err := s.Swap(t.Context(), again, again); {
	case found == "fresh":
		want(t, "Swap of a fresh code", err, nil)
		found = string(again.Data)
	default:
		want(t, "Swap of a spent code", err, store.ErrConflict)
	}
	c.settled = found
}
