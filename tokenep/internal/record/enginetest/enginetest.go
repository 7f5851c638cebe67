package enginetest

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/postgres"
	"github.com/tokenep/caddy-tokenep/tokenep/store/redis"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// engines are what the tests run over. Each makes a new database, and a function that opens it once
// more for each node: of memory and bolt, which one process has for itself, that is the same store
// again.
var engines = []struct {
	name string
	make func(tb testing.TB, now func() time.Time) (node func() store.Store)
}{
	{"memory", alone(Memory)},
	{"bolt", alone(Bolt)},
	{"redis", onServer(RedisServer, Redis)},
	{"postgres", onServer(PostgresServer, Postgres)},
}

func alone(open func(testing.TB, func() time.Time) store.Store) func(testing.TB, func() time.Time) func() store.Store {
	return func(tb testing.TB, now func() time.Time) func() store.Store {
		s := open(tb, now)
		return func() store.Store { return s }
	}
}

func onServer(server *servertest.Shared, open Opener) func(testing.TB, func() time.Time) func() store.Store {
	return func(tb testing.TB, _ func() time.Time) func() store.Store {
		tb.Helper()
		url, namespace := server.URL(tb), servertest.Namespace()
		return func() store.Store { return open.ForTest(tb, url, namespace) }
	}
}

// NewClock returns a clock that begins in 2030. Database servers have a clock of their own, so that
// nothing expires there before its time.
func NewClock() *verifytest.Clock {
	return verifytest.NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
}

// EachStore runs a test over every engine.
func EachStore(t *testing.T, test func(t *testing.T, s store.Store, c *verifytest.Clock)) {
	t.Helper()
	EachDatabase(t, func(t *testing.T, node func() store.Store, c *verifytest.Clock) { test(t, node(), c) })
}

// EachDatabase runs a test over every engine that has several nodes on one database.
func EachDatabase(t *testing.T, test func(t *testing.T, node func() store.Store, c *verifytest.Clock)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			c := NewClock()
			test(t, e.make(t, c.Now), c)
		})
	}
}

// Memory returns a new store in memory.
func Memory(tb testing.TB, now func() time.Time) store.Store {
	s := memory.New(memory.Options{Now: now, Max: 1 << 22})
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Bolt returns a new store in a file.
func Bolt(tb testing.TB, now func() time.Time) store.Store {
	return OpenBolt(tb, filepath.Join(tb.TempDir(), "state.db"), now)
}

// OpenBolt opens the store of a file until the test ends.
func OpenBolt(tb testing.TB, path string, now func() time.Time) *bolt.Store {
	tb.Helper()
	s, err := BoltFile(path, now)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// BoltFile opens the store of a file.
func BoltFile(path string, now func() time.Time) (*bolt.Store, error) {
	return bolt.Open(path, bolt.Options{Now: now, Logger: slog.New(slog.DiscardHandler)})
}

// The servers that all tests of a process share. They need not survive anything: a test that kills
// a server has one of its own.
var (
	RedisServer    = servertest.Share(ended(servertest.Redis), "--appendfsync", "no")
	PostgresServer = servertest.Share(ended(servertest.Postgres), "fsync=off")

	running sync.Map // the servers of both that Main has to end
)

func ended(start func(...string) (*servertest.Process, error)) func(...string) (*servertest.Process, error) {
	return func(settings ...string) (*servertest.Process, error) {
		s, err := start(settings...)
		if err == nil {
			running.Store(s, true)
		}
		return s, err
	}
}

// Main runs the tests of a process, ends the shared servers, and returns the exit status.
func Main(m *testing.M) int {
	code := m.Run()
	for s := range running.Range {
		s.(*servertest.Process).Close()
	}
	return code
}

// An Opener opens a database on a server, and returns how to close it.
type Opener func(url, namespace string) (store.Store, func() error, error)

// ForTest opens a database until the test ends.
func (open Opener) ForTest(tb testing.TB, url, namespace string) store.Store {
	tb.Helper()
	s, end, err := open(url, namespace)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = end() })
	return s
}

// Redis is an Opener. The store outlives the test that opens it, and so its context.
func Redis(url, namespace string) (store.Store, func() error, error) {
	s, err := redis.Open(context.Background(), url, redis.Options{Namespace: namespace})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// Postgres is an Opener, likewise.
func Postgres(url, namespace string) (store.Store, func() error, error) {
	s, err := postgres.Open(context.Background(), url, postgres.Options{Namespace: namespace, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}
