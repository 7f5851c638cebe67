package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
		return servertest.Redis("--appendfsync", "no")
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
		s := open(t, url, Options{Namespace: namespace()})
		t.Cleanup(func() { sound(t, s) })
		return s
	})
}

func TestShared(t *testing.T) {
	url := server(t).URL
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		o := Options{Namespace: namespace()}
		return open(t, url, o), open(t, url, o)
	})
}

// A cluster refuses scripts whose keys are not of one slot, also if it is one node.
func TestCluster(t *testing.T) {
	server := servertest.For(t, servertest.Redis, "--cluster-enabled", "yes", "--appendfsync", "no")
	one := open(t, server.URL, Options{}).client
	must(t, one.(*redis.Client).ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	for !errors.Is(one.Get(t.Context(), "none").Err(), redis.Nil) { // it takes a moment to be up
		time.Sleep(10 * time.Millisecond)
	}
	url := server.URL + "?addr=127.0.0.1:" + server.Port
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, url, Options{Namespace: namespace()}) })
}

// sound reports where an index and the records of a namespace differ.
func sound(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	client := s.client.(*redis.Client)
	found, indexed := map[string]bool{}, map[string]bool{}
	keys := client.Scan(ctx, 0, "oauth:{"+s.namespace+":*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		at, id, isRecord := strings.Cut(key, "}:")
		switch {
		case isRecord:
			found[at+"}"+":"+id] = true
		case strings.HasSuffix(key, "}ids"):
			ids, err := client.ZRange(ctx, key, 0, -1).Result()
			must(t, err)
			for _, id := range ids {
				indexed[shard(strings.TrimSuffix(key, "ids")).record(id)] = true
			}
		}
	}
	must(t, keys.Err())
	for key := range found {
		if !indexed[key] {
			t.Errorf("the index lacks %q", key)
		}
	}
	for key := range indexed {
		at, id, _ := strings.Cut(key, "}:")
		score, err := client.ZScore(ctx, at+"}expires", id).Result()
		if !found[key] && (err != nil || int64(score) > time.Now().UnixMilli()) {
			t.Errorf("the index has %q, which is gone", key)
		}
	}
}
