package state_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
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
)

// engines are what every test of this package runs over that has to do with what engines differ in. Each makes a new
// database, and a function that opens it once more for each node: of memory and bolt, which one process has for itself,
// that is the same store again.
//
// Servers have a clock of their own. The tests' begins in 2030, so that nothing expires there before its time.
var engines = []struct {
	name string
	make func(tb testing.TB, now func() time.Time) (node func() store.Store)
}{
	{"memory", alone(newMemory)},
	{"bolt", alone(newBolt)},
	{"redis", onServer(redisServer, openRedis)},
	{"postgres", onServer(postgresServer, openPostgres)},
}

func alone(open func(testing.TB, func() time.Time) store.Store) func(testing.TB, func() time.Time) func() store.Store {
	return func(tb testing.TB, now func() time.Time) func() store.Store {
		s := open(tb, now)
		return func() store.Store { return s }
	}
}

func onServer(server *servertest.Shared, open opener) func(testing.TB, func() time.Time) func() store.Store {
	return func(tb testing.TB, _ func() time.Time) func() store.Store {
		tb.Helper()
		url, namespace := server.URL(tb), servertest.Namespace()
		return func() store.Store { return open.forTest(tb, url, namespace) }
	}
}

// onEachStore runs a test over every engine.
func onEachStore(t *testing.T, test func(t *testing.T, s store.Store, c *clock)) {
	t.Helper()
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) { test(t, node(), c) })
}

// onEachDatabase runs a test over every engine that has several nodes on one database.
func onEachDatabase(t *testing.T, test func(t *testing.T, node func() store.Store, c *clock)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			c := newClock()
			test(t, e.make(t, c.Now), c)
		})
	}
}

func newMemory(tb testing.TB, now func() time.Time) store.Store {
	s := memory.New(memory.Options{Now: now, Max: 1 << 22})
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func newBolt(tb testing.TB, now func() time.Time) store.Store {
	return openBolt(tb, filepath.Join(tb.TempDir(), "state.db"), now)
}

func boltFile(path string, now func() time.Time) (*bolt.Store, error) {
	return bolt.Open(path, bolt.Options{Now: now, Logger: slog.New(slog.DiscardHandler)})
}

func openBolt(tb testing.TB, path string, now func() time.Time) *bolt.Store {
	tb.Helper()
	s, err := boltFile(path, now)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// These need not survive anything; tests that kill a server have one of their own.
var (
	redisServer    = servertest.Share(ended(servertest.Redis), "--appendfsync", "no")
	postgresServer = servertest.Share(ended(servertest.Postgres), "fsync=off")

	running sync.Map // the servers of both that TestMain has to end
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

// An opener opens a database on a server, and returns how to close it.
type opener func(url, namespace string) (store.Store, func() error, error)

func (open opener) forTest(tb testing.TB, url, namespace string) store.Store {
	tb.Helper()
	s, end, err := open(url, namespace)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = end() })
	return s
}

func openRedis(url, namespace string) (store.Store, func() error, error) {
	s, err := redis.Open(context.Background(), url, redis.Options{Namespace: namespace})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

func openPostgres(url, namespace string) (store.Store, func() error, error) {
	s, err := postgres.Open(context.Background(), url, postgres.Options{Namespace: namespace, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// childRole is the variable of the environment that has a process of this test do something else than run tests.
const childRole = "STATE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(childRole); role {
	case "":
	case "sessions":
		fmt.Fprintln(os.Stderr, sessionsUntilKilled(os.Args[1], os.Args[2]))
		os.Exit(3)
	case "peer":
		if err := peerProcess(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "no role", role)
		os.Exit(3)
	}
	code := m.Run()
	for s := range running.Range {
		s.(*servertest.Process).Close()
	}
	os.Exit(code)
}
