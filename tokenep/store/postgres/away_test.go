package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// verbs does each of them, and returns their errors.
func verbs(ctx context.Context, s *Store) map[string]error {
	r := store.Record{Kind: kind, ID: "a", Version: 1}
	_, load := s.Load(ctx, kind, "a")
	_, list := s.List(ctx, kind, "", "", 1)
	return map[string]error{
		"Insert": s.Insert(ctx, r), "Swap": s.Swap(ctx, r, r), "Delete": s.Delete(ctx, kind, "a"), "Load": load, "List": list,
	}
}

// unavailableAll reports verbs that do not say that the server is away, or show its password.
func unavailableAll(t *testing.T, s *Store) {
	t.Helper()
	start := time.Now()
	for verb, err := range verbs(t.Context(), s) {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want %v", verb, err, store.ErrUnavailable)
		}
		if err != nil && strings.Contains(err.Error(), "word-of") {
			t.Errorf("%s shows the password: %v", verb, err)
		}
	}
	if took := time.Since(start); took > 5*(s.timeout+time.Second) {
		t.Errorf("five verbs took %v with a time-out of %v", took, s.timeout)
	}
}

func TestAway(t *testing.T) {
	server := servertest.For(t, servertest.Postgres)
	s := open(t, server.URL, Options{Timeout: 300 * time.Millisecond})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "kept"}))

	server.Kill()
	unavailableAll(t, s)
	unavailableAll(t, open(t, server.URL, Options{})) // opened while it is away
	must(t, server.Start())
	var err error
	for range 50 {
		if _, err = s.Load(t.Context(), kind, "kept"); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	must(t, err)
}

// A server that accepts connections and says nothing is away too.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	s := open(t, "postgres://oauth:word-of@"+l.Addr().String()+"/postgres", Options{Timeout: 200 * time.Millisecond})
	unavailableAll(t, s)
}

func TestClosed(t *testing.T) {
	s, err := Open(t.Context(), server(t).URL, Options{Namespace: namespace()})
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	unavailableAll(t, s)
}

func TestWrongPassword(t *testing.T) {
	unavailableAll(t, open(t, strings.Replace(server(t).URL, "pass", "wrong-word-of", 1), Options{}))
}

func TestMalformed(t *testing.T) {
	for _, address := range malformed {
		_, err := Open(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("Open(%q): %v, want an error that does not show it", address, err)
		}
	}
	if _, err := Open(t.Context(), server(t).URL, Options{Namespace: strings.Repeat("x", 65)}); err == nil {
		t.Error("a namespace of 65 bytes was taken")
	}
}

// Two servers in one database do not see each other's records.
func TestNamespaces(t *testing.T) {
	a := open(t, server(t).URL, Options{Namespace: namespace()})
	b := open(t, server(t).URL, Options{Namespace: namespace()})
	r := store.Record{Kind: kind, ID: "a"}
	must(t, a.Insert(t.Context(), r))
	must(t, b.Insert(t.Context(), r))
	must(t, a.Delete(t.Context(), kind, "a"))
	if page, err := b.List(t.Context(), kind, "", "", 9); err != nil || len(page) != 1 {
		t.Errorf("List: %v, %v", page, err)
	}
}

var malformed = []string{
	"", "hunter2", "postgres://user:hun/hunter2@localhost", "postgres://user:%zzhunter2@localhost",
	"host=localhost password='hunter2", "postgres://user:hunter2@localhost:port/db", "postgres://user:hunter2@localhost/db?sslmode=perhaps",
}

// A sweep deletes what expired more than a minute ago, and nothing else.
func TestSweep(t *testing.T) {
	s := open(t, server(t).URL, Options{Namespace: namespace(), SweepInterval: -1})
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
