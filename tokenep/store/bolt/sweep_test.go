package bolt

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func TestSweep(t *testing.T) {
	path := file(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, path, Options{Now: func() time.Time { return now }, SweepInterval: -1})
	const each = sweepBatch + 1
	lives := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "renewed": time.Minute, "shortened": time.Hour}
	var writers sync.WaitGroup
	for name, life := range lives {
		for i := range each {
			writers.Go(func() {
				r := store.Record{Kind: kind, ID: fmt.Sprint(name, "\x00", i), Version: 1, Expires: now.Add(life)}
				err := s.Insert(t.Context(), r)
				if next := r; err == nil && (name == "renewed" || name == "shortened") {
					next.Expires = now.Add(time.Hour + time.Minute - life)
					err = s.Swap(t.Context(), r, next)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	writers.Wait()
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "never"}))

	for _, step := range []struct {
		name    string
		later   time.Duration
		removed int
		left    []string
	}{
		{"nothing yet", time.Minute - 1, 0, []string{"hour", "minute", "never", "renewed", "shortened"}},
		{"those of a minute", 1, 2 * each, []string{"hour", "never", "renewed"}},
		{"again", 0, 0, []string{"hour", "never", "renewed"}},
		{"those of an hour", time.Hour, 2 * each, []string{"never"}},
	} {
		now = now.Add(step.later)
		removed, err := s.Sweep(t.Context())
		must(t, err)
		if removed != step.removed {
			t.Errorf("%s: removed %d, want %d", step.name, removed, step.removed)
		}
		page, err := s.List(t.Context(), kind, "", "", store.MaxPage)
		must(t, err)
		left := map[string]bool{}
		for _, r := range page {
			name, _, _ := strings.Cut(r.ID, "\x00")
			left[name] = true
		}
		for _, name := range step.left {
			if !left[name] {
				t.Errorf("%s: %q is gone", step.name, name)
			}
		}
		if len(left) != len(step.left) {
			t.Errorf("%s: left are %v, want %v", step.name, left, step.left)
		}
	}
	must(t, s.Close())
	sound(t, path)
}

// A Swap may renew an expired record after it was found and before it is deleted.
func TestSweepBesideSwap(t *testing.T) {
	path := file(t)
	s := open(t, path, Options{SweepInterval: -1})
	now := time.Now()
	r := store.Record{Kind: kind, ID: "a", Version: 1, Expires: now.Add(-time.Hour)}
	must(t, s.Insert(t.Context(), r))
	keys, err := s.expired()
	must(t, err)
	next := r
	next.Expires = now.Add(time.Hour)
	must(t, s.Swap(t.Context(), r, next))
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		removed, err := remove(tx, keys)
		if removed != 0 || len(keys) != 1 {
			t.Errorf("removed %d of %d keys, want 0 of 1", removed, len(keys))
		}
		return err
	}))
	_, err = s.Load(t.Context(), kind, "a")
	must(t, err)
	must(t, s.Close())
	sound(t, path)
}

func TestSweepMuch(t *testing.T) {
	s := open(t, file(t), Options{SweepInterval: -1})
	storetest.RunSweep(t, s, func(t *testing.T, n int) { fill(t, s, n, time.Now().Add(-time.Hour)) }, s.Sweep)
}

func TestSweepsItself(t *testing.T) {
	s := open(t, file(t), Options{SweepInterval: 10 * time.Millisecond})
	storetest.RunSweepsItself(t, s, func() (int, error) {
		page, err := s.List(t.Context(), kind, "", "", store.MaxPage)
		return len(page), err
	})
}
