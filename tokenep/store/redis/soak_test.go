package redis

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// The slack is shorter by the same factor as the day.
func TestSoak(t *testing.T) {
	server := servertest.For(t, servertest.Redis, "--appendfsync", "no", "--hz", "100")
	s := open(t, server.URL, Options{SweepInterval: -1, slack: time.Minute / time.Duration(storetest.Scale())})
	storetest.RunSoak(t, storetest.Soak{
		Store: s, Now: time.Now, Sweep: s.Sweep, Held: func(t *testing.T) storetest.Held { return held(t, s.client.(*redis.Client)) },
		Slack: s.slack, Lag: 25, // Redis drops expired keys when it has time
	})
}

// held counts keys as Redis does, including those that have expired and are not dropped yet.
func held(t *testing.T, client *redis.Client) storetest.Held {
	t.Helper()
	ctx := context.Background()
	records, err := client.DBSize(ctx).Result()
	must(t, err)
	ids, expires := 0, 0
	keys := client.Scan(ctx, 0, "*", 10_000).Iterator()
	for keys.Next(ctx) {
		var n int64
		switch key := keys.Val(); {
		case strings.Contains(key, "}:"):
			continue
		case strings.HasSuffix(key, "}ids"):
			n, err = client.ZCard(ctx, key).Result()
			ids += int(n)
		case strings.HasSuffix(key, "}expires"):
			n, err = client.ZCard(ctx, key).Result()
			expires += int(n)
		}
		must(t, err)
		records-- // the set of kinds is not a record
	}
	must(t, keys.Err())
	return storetest.Held{All: map[string]int{"records": int(records), "ids": ids}, Expiring: map[string]int{"expires": expires}}
}
