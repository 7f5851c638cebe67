package postgres

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// A sweep deletes what expired more than a minute ago, and nothing else.
func TestSweep(t *testing.T) {
	s := open(t, shared.URL(t), Options{Namespace: servertest.Namespace(), SweepInterval: -1})
	for id, expires := range map[string]time.Time{
		"never": {}, "later": time.Now().Add(time.Hour), "just now": time.Now().Add(-30 * time.Second),
	} {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: id, Expires: expires}))
	}
	for i := range sweepBatch + 1 {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "old" + string(rune(i)), Expires: time.Now().Add(-2 * time.Minute)}))
	}
	n, err := s.Sweep(t.Context())
	must(t, err)
	page, err := s.List(t.Context(), kind, "", "", store.MaxPage)
	must(t, err)
	if n < sweepBatch+1 || len(page) != 3 {
		t.Errorf("a sweep deleted %d, and left %d, want %d and 3", n, len(page), sweepBatch+1)
	}
}

func TestSweepMuch(t *testing.T) {
	s := open(t, servertest.For(t, servertest.Postgres, "fsync=off").URL, Options{SweepInterval: -1})
	storetest.RunSweep(t, s, func(t *testing.T, n int) {
		t.Helper()
		_, err := s.pool.Exec(t.Context(), `INSERT INTO oauth_records
			SELECT $1, 'thing', decode(md5(i::text), 'hex'), 1, repeat('x', 200)::bytea, now() - interval '1 hour'
			FROM generate_series(1, $2) AS i`, s.namespace, n)
		must(t, err)
	}, s.Sweep)
}

func TestSweepsItself(t *testing.T) {
	o := Options{Namespace: servertest.Namespace(), SweepInterval: 10 * time.Millisecond}
	s := open(t, shared.URL(t), o)
	storetest.RunSweepsItself(t, s, func() (int, error) {
		page, err := s.List(t.Context(), kind, "", "", store.MaxPage)
		return len(page), err
	})
}
