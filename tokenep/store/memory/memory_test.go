package memory_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := memory.New(memory.Options{})
		t.Cleanup(func() { s.Close() })
		return s
	})
}

// A store works within the calls of its verbs. The test ends only when every goroutine has.
func TestStoreHasNoGoroutineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Options{})
		if err := s.Insert(t.Context(), store.Record{Kind: "thing", ID: "a"}); err != nil {
			t.Fatal(err)
		}
	})
}

// A full store drops expired records, and no others.
func TestFull(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := memory.New(memory.Options{Max: 3, Now: func() time.Time { return now }})
	insert := func(id string, life time.Duration) error {
		r := store.Record{Kind: "thing", ID: id}
		if life > 0 {
			r.Expires = now.Add(life)
		}
		return s.Insert(t.Context(), r)
	}
	for _, step := range []struct {
		name  string
		later time.Duration
		id    string
		life  time.Duration
		full  bool
	}{
		{"room", 0, "for ever", 0, false},
		{"room", 0, "an hour", time.Hour, false},
		{"room", 0, "a minute", time.Minute, false},
		{"full", 0, "more", 0, true},
		{"full until the very moment", time.Minute - 1, "more", 0, true},
		{"one expired", 1, "more", 0, false},
		{"full again", 0, "yet more", 0, true},
		{"the next expired", time.Hour, "yet more", 0, false},
		{"what lives for ever", 1000 * time.Hour, "too much", 0, true},
	} {
		now = now.Add(step.later)
		if err := insert(step.id, step.life); errors.Is(err, store.ErrUnavailable) != step.full || !step.full && err != nil {
			t.Fatalf("%s: Insert %q: %v, want full %t", step.name, step.id, err, step.full)
		}
	}
	for _, id := range []string{"for ever", "more", "yet more"} {
		if _, err := s.Load(t.Context(), "thing", id); err != nil {
			t.Errorf("Load %q: %v", id, err)
		}
	}
}

// What is urgent has room that nothing else takes, and not without end.
func TestFullAndUrgent(t *testing.T) {
	s := memory.New(memory.Options{Max: 1000})
	insert := func(ctx context.Context) (n int) {
		for s.Insert(ctx, store.Record{Kind: "thing", ID: rand.Text()}) == nil {
			n++
		}
		return n
	}
	urgent := store.Urgent(t.Context())
	for i, want := range []int{1000, 200, 0, 0} {
		ctx := t.Context()
		if i%2 == 1 {
			ctx = urgent
		}
		if n := insert(ctx); n != want {
			t.Errorf("step %d: %d records, want %d", i, n, want)
		}
	}
}

// A record is garbage from the time that the last Swap has set, later or earlier than before.
func TestSwapMovesExpiry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := memory.New(memory.Options{Max: 2, Now: func() time.Time { return now }})
	for id, life := range map[string]time.Duration{"renewed": time.Minute, "shortened": time.Hour} {
		r := store.Record{Kind: "thing", ID: id, Version: 1, Expires: now.Add(life)}
		if err := s.Insert(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		next := r
		next.Expires = now.Add(time.Hour + time.Minute - life)
		if err := s.Swap(t.Context(), r, next); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Minute)
	if err := s.Insert(t.Context(), store.Record{Kind: "thing", ID: "new"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "thing", "renewed"); err != nil {
		t.Errorf("Load of the renewed record: %v", err)
	}
	if _, err := s.Load(t.Context(), "thing", "shortened"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load of the shortened record: %v, want %v", err, store.ErrNotFound)
	}
}

func TestClosed(t *testing.T) {
	s := memory.New(memory.Options{})
	r := store.Record{Kind: "thing", ID: "a", Version: 1}
	if err := s.Insert(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	_, load := s.Load(t.Context(), "thing", "a")
	_, list := s.List(t.Context(), "thing", "", "", 1)
	for verb, err := range map[string]error{
		"Insert": s.Insert(t.Context(), r), "Swap": s.Swap(t.Context(), r, r),
		"Delete": s.Delete(t.Context(), "thing", "a"), "Load": load, "List": list,
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s after Close: %v, want %v", verb, err, store.ErrUnavailable)
		}
	}
}

// Enough ids that blocks are split, emptied and removed.
func TestListManyIDs(t *testing.T) {
	const n = 5000
	s := memory.New(memory.Options{})
	id := func(i int) string { return fmt.Sprintf("%05d", i) }
	for i := range n {
		if err := s.Insert(t.Context(), store.Record{Kind: "thing", ID: id(i * 3571 % n)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if i%3 != 0 || i/1000 == 2 {
			if err := s.Delete(t.Context(), "thing", id(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	next, after := 0, ""
	for {
		page, err := s.List(t.Context(), "thing", "", after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			if next/1000 == 2 {
				next = 3000
			}
			if r.ID != id(next) {
				t.Fatalf("List returned %q, want %q", r.ID, id(next))
			}
			after = r.ID
			next += 3
		}
	}
	if next < n {
		t.Errorf("List ended before %q", id(next))
	}
}
