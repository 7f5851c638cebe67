package redis

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// A sweep removes from the indexes what Redis has dropped, whichever process inserted it, and keeps
// the rest.
func TestSweep(t *testing.T) {
	o := Options{Namespace: servertest.Namespace(), SweepInterval: -1, slack: time.Millisecond}
	before := open(t, shared.URL(t), o)
	soon := time.Now().Add(200 * time.Millisecond)
	for id, expires := range map[string]time.Time{"never": {}, "later": time.Now().Add(time.Hour), "renewed": soon} {
		r := store.Record{Kind: kind, ID: id, Version: 1, Expires: expires}
		must(t, before.Insert(t.Context(), r))
		if id == "renewed" {
			r.Expires = time.Now().Add(time.Hour)
			must(t, before.Swap(t.Context(), r, r))
		}
	}
	const gone = 20 * shards
	for i := range gone {
		must(t, before.Insert(t.Context(), store.Record{Kind: kind, ID: fmt.Sprint("gone-", i), Expires: time.Now().Add(-time.Hour)}))
	}
	time.Sleep(time.Until(soon) + 10*time.Millisecond)

	s := open(t, shared.URL(t), o) // it has not used the kind
	n, err := s.Sweep(t.Context())
	must(t, err)
	ids, err := s.ids(t.Context(), kind, "", "", store.MaxPage)
	must(t, err)
	if n != gone || len(ids) != 3 {
		t.Errorf("a sweep took out %d, and left %q, want %d and 3", n, ids, gone)
	}
	sound(t, s)
}

// If the database was emptied, its kinds are swept again once they have records again.
func TestSweepAfterTheDatabaseWasEmptied(t *testing.T) {
	s := open(t, shared.URL(t), Options{Namespace: servertest.Namespace(), SweepInterval: -1, slack: time.Millisecond})
	gone := store.Record{Kind: kind, ID: "gone", Expires: time.Now().Add(-time.Hour)}
	must(t, s.Insert(t.Context(), gone))
	must(t, s.client.Del(t.Context(), s.kinds(), s.place(kind, "gone").ids(), s.place(kind, "gone").expiry()).Err())
	must(t, s.Insert(t.Context(), gone))
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("a sweep took out %d, %v, want 1", n, err)
	}
}

func TestSweepMuch(t *testing.T) {
	s := open(t, shared.URL(t), Options{Namespace: servertest.Namespace(), SweepInterval: -1})
	storetest.RunSweep(t, s, func(t *testing.T, n int) {
		t.Helper()
		must(t, s.know(t.Context(), kind))
		// In turns, so that a busy machine writes and answers each within the time-out of a verb.
		const turn = 1000
		for first := 0; first < n; first += turn {
			_, err := s.client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
				for i := first; i < min(first+turn, n); i++ {
					id := fmt.Sprint("gone-", i)
					p.ZAdd(t.Context(), s.place(kind, id).ids(), redis.Z{Member: id})
					p.ZAdd(t.Context(), s.place(kind, id).expiry(), redis.Z{Member: id, Score: 1})
				}
				return nil
			})
			must(t, err)
		}
	}, s.Sweep)
}

func TestSweepsItself(t *testing.T) {
	o := Options{Namespace: servertest.Namespace(), SweepInterval: 10 * time.Millisecond, slack: time.Millisecond}
	s := open(t, shared.URL(t), o)
	storetest.RunSweepsItself(t, s, func() (int, error) {
		ids, err := s.ids(t.Context(), kind, "", "", store.MaxPage)
		return len(ids), err
	})
}
