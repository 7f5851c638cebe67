package postgres

import (
	"os"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

const kind = "thing"

// shared is not durable.
var shared = servertest.Share(servertest.Postgres, "fsync=off")

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

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

// one opens the shared database with a namespace of its own.
func one(t testing.TB) *Store {
	t.Helper()
	return open(t, shared.URL(t), Options{Namespace: servertest.Namespace()})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return one(t) })
}

func TestShared(t *testing.T) {
	url := shared.URL(t)
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		o := Options{Namespace: servertest.Namespace()}
		return open(t, url, o), open(t, url, o)
	})
}
