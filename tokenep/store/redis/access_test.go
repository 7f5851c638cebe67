package redis

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// With a private authority, a server is trusted only with a certificate of that authority for the
// name in the URL.
func TestTLS(t *testing.T) {
	ours, other := servertest.NewTLS(t), servertest.NewTLS(t)
	port := servertest.FreePort(t)
	server := servertest.For(t, servertest.Redis, "--appendfsync", "no", "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", ours.Cert, "--tls-key-file", ours.Key, "--tls-ca-cert-file", ours.CA)
	plain, err := url.Parse(server.URL)
	must(t, err)
	address := func(host, query string) string {
		return (&url.URL{Scheme: "rediss", User: plain.User, Host: host + ":" + port, RawQuery: query}).String()
	}
	s := open(t, address("127.0.0.1", "ca_file="+url.QueryEscape(ours.CA)), Options{})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	for name, address := range map[string]string{
		"another authority":   address("127.0.0.1", "ca_file="+url.QueryEscape(other.CA)),
		"the system's":        address("127.0.0.1", ""),
		"another name":        address("localhost", "ca_file="+url.QueryEscape(ours.CA)),
		"no TLS at that port": strings.Replace(server.URL, server.Port, port, 1),
		"TLS at another":      strings.Replace(address("127.0.0.1", "ca_file="+url.QueryEscape(ours.CA)), port, server.Port, 1),
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Unavailable(t, open(t, address, Options{Timeout: 500 * time.Millisecond}), secret, 15*time.Second)
		})
	}
	var log bytes.Buffer
	s = open(t, address("localhost", "skip_verify=true"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, s.Delete(t.Context(), kind, "a"))
	if !strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), secret) {
		t.Errorf("no warning of skip_verify: %q", log.String())
	}
	storetest.RunMalformed(t, func(address string) (store.Store, error) { return Open(t.Context(), address, Options{}) }, "hunter",
		"rediss://user:hunter2@localhost?ca_file=/none", "rediss://user:hunter2@localhost?ca_file="+ours.Key,
		"redis://user:hunter2@localhost?ca_file="+url.QueryEscape(ours.CA),
	)
}

// documentedUser creates the user that the package documents, and returns a URL with it.
func documentedUser(t *testing.T, address string, more ...any) string {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	must(t, err)
	lines := regexp.MustCompile(`ACL SETUSER oauth (?:on >password )?(.*)`).FindAllSubmatch(text, -1)
	if len(lines) == 0 {
		t.Fatal("doc.go has no ACL SETUSER")
	}
	args := []any{"acl", "setuser", "oauth", "reset", "on", ">" + servertest.Password}
	for _, line := range lines {
		for _, field := range strings.Fields(string(line[1])) {
			args = append(args, field)
		}
	}
	options, err := redis.ParseURL(address)
	must(t, err)
	admin := redis.NewClient(options)
	defer admin.Close()
	must(t, admin.Do(t.Context(), append(args, more...)...).Err())
	u, err := url.Parse(address)
	must(t, err)
	u.User = url.UserPassword("oauth", servertest.Password)
	return u.String()
}

// The documented user may do all that the store does, and nothing else.
func TestFewestRights(t *testing.T) {
	server := servertest.For(t, servertest.Redis, "--appendfsync", "no")
	address := documentedUser(t, server.URL)
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, address, Options{Namespace: servertest.Namespace()}) })
	s := open(t, address, Options{})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	_, err := s.Sweep(t.Context())
	must(t, err)
	for name, err := range map[string]error{
		"a key of somebody else": s.client.Get(t.Context(), "theirs").Err(),
		"KEYS":                   s.client.Keys(t.Context(), "*").Err(),
		"FLUSHALL":               s.client.FlushAll(t.Context()).Err(),
	} {
		if !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%s: %v, want NOPERM", name, err)
		}
	}
}

func TestCluster(t *testing.T) {
	nodes, address := servertest.RedisCluster(t, 3, "--appendfsync", "no")
	for _, node := range nodes {
		documentedUser(t, node.URL, "+cluster|slots")
	}
	u, err := url.Parse(address)
	must(t, err)
	u.User = url.UserPassword("oauth", servertest.Password)
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, u.String(), Options{Namespace: servertest.Namespace()}) })

	// While a node is down its records are unavailable, and no others.
	s := open(t, u.String(), Options{Timeout: 300 * time.Millisecond})
	for _, id := range ids {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: id, Expires: time.Now().Add(time.Hour)}))
	}
	if away, err := loadAll(t, s); away > 0 {
		t.Fatalf("%d of %d records are away: %v", away, len(ids), err)
	}
	nodes[2].Pause()
	if away, _ := loadAll(t, s); away == 0 || away == len(ids) {
		t.Errorf("%d of %d records are away, while one node of three hangs", away, len(ids))
	}
	nodes[2].Resume()
	nodes[1].Kill()
	if away, _ := loadAll(t, s); away == 0 || away == len(ids) {
		t.Errorf("%d of %d records are away, with one node of three", away, len(ids))
	}
	if _, err := s.Sweep(t.Context()); err == nil {
		t.Error("a sweep without one node says nothing of it")
	}
	must(t, nodes[1].Start())
	documentedUser(t, nodes[1].URL, "+cluster|slots") // a restart forgets the user
	away, err := len(ids), error(nil)
	for range 100 {
		if away, err = loadAll(t, s); away == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if away > 0 {
		t.Errorf("%d of %d records are away, when all nodes are back: %v", away, len(ids), err)
	}
}

var ids = strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z")

// loadAll returns how many records are unavailable, and the last error.
func loadAll(t *testing.T, s *Store) (away int, last error) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.Load(context.Background(), kind, id); err != nil {
			away, last = away+1, err
		}
	}
	return away, last
}
