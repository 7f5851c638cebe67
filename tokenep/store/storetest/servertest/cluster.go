package servertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisCluster starts a cluster of n nodes, which end with the test, and returns them with its URL.
// While one is down, the others still serve their own keys.
func RedisCluster(tb testing.TB, n int, settings ...string) (nodes []*Process, url string) {
	tb.Helper()
	settings = append([]string{
		"--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000",
	}, settings...)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var clients []*redis.Client
	for i := range n {
		port, err := freePort()
		check(tb, err)
		// The default is 10000 more than the other port, which may be above 65535.
		node := For(tb, Redis, append(settings, "--cluster-port", port)...)
		nodes = append(nodes, node)
		if url == "" {
			url = node.URL + "?addr=127.0.0.1:" + node.Port
		} else {
			url += "&addr=127.0.0.1:" + node.Port
		}
		options, err := redis.ParseURL(node.URL)
		check(tb, err)
		client := redis.NewClient(options)
		defer func() { _ = client.Close() }()
		check(tb, client.ClusterAddSlotsRange(ctx, i*16384/n, (i+1)*16384/n-1).Err())
		if i > 0 {
			check(tb, clients[0].Do(ctx, "cluster", "meet", "127.0.0.1", node.Port, port).Err())
		}
		clients = append(clients, client)
	}
	for _, client := range clients {
		for {
			info, err := client.ClusterInfo(ctx).Result()
			check(tb, err)
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nodes, url
}
