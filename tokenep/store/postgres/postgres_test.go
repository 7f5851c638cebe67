package postgres

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

const kind = "thing"

var (
	// started is the server that most tests share; it ends in TestMain. It has
	// no need to survive anything.
	started = sync.OnceValues(func() (*servertest.Server, error) {
		running.Store(true)
		return servertest.Postgres("fsync=off")
	})
	running    atomic.Bool
	namespaces atomic.Int32
)

func TestMain(m *testing.M) {
	code := m.Run()
	if running.Load() {
		if s, err := started(); err == nil {
			s.Close()
		}
	}
	os.Exit(code)
}

func server(t testing.TB) *servertest.Server {
	t.Helper()
	s, err := started()
	servertest.Check(t, err)
	return s
}

func open(t testing.TB, url string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, o)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// namespace returns one that no test has used.
func namespace() string { return fmt.Sprint("test-", namespaces.Add(1)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	url := server(t).URL
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, url, Options{Namespace: namespace()})
	})
}

func TestShared(t *testing.T) {
	url := server(t).URL
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		o := Options{Namespace: namespace()}
		return open(t, url, o), open(t, url, o)
	})
}
