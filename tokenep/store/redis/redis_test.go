package redis

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

const kind = "thing"

// shared is not durable.
var shared = servertest.Share(servertest.Redis, "--appendfsync", "no")

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
	storetest.Run(t, func(t *testing.T) store.Store {
		s := one(t)
		t.Cleanup(func() { sound(t, s) })
		return s
	})
}

func TestShared(t *testing.T) {
	url := shared.URL(t)
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		o := Options{Namespace: servertest.Namespace()}
		return open(t, url, o), open(t, url, o)
	})
}

// sound reports differences between the indexes and the records of a namespace.
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
