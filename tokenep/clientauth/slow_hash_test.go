package clientauth_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// A failure takes as many slow comparisons whether the client exists or not. A right secret takes
// one, once.
func TestClientAuthSlowHash(t *testing.T) {
	var mu sync.Mutex
	var compared []string
	f := newServer(t, func(c *server.Config) {
		c.Clients = append(c.Clients, tokenep.Client{ID: "chosen", GrantTypes: []string{cc},
			Secrets: []tokenep.Secret{{Hash: "$slow$hunter2", Expires: tokeneptest.Start.Add(time.Hour)}}})
		c.Decoy = func([]byte) []byte { return []byte("$slow$decoy") }
		c.CompareHash = func(hash, secret []byte) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			compared = append(compared, string(hash))
			if string(secret) == "broken" {
				return false, errors.New("broken")
			}
			return string(hash) == "$slow$"+string(secret), nil
		}
	})
	costs := func(name string, r request, want ...string) {
		t.Helper()
		compared = nil
		f.Send(t, r)
		if !slices.Equal(compared, want) {
			t.Errorf("%s compares %q, want %q", name, compared, want)
		}
	}
	costs("a right secret", plain.Basic("chosen", "hunter2"), "$slow$hunter2")
	costs("the same again", plain.Basic("chosen", "hunter2"))
	costs("a wrong secret", plain.Basic("chosen", "hunter3"), "$slow$hunter2")
	costs("a secret that reads in two ways", plain.RawBasic("chosen:a+b"), "$slow$hunter2", "$slow$hunter2")
	costs("an unknown client", plain.Basic("nobody", "x"), "$slow$decoy")
	costs("an unknown client, in two readings", plain.RawBasic("nobody:a+b"), "$slow$decoy", "$slow$decoy")
	costs("an unknown client with the secret of the decoy", plain.Basic("nobody", "decoy"), "$slow$decoy")
	costs("the same, which is not remembered", plain.Basic("nobody", "decoy"), "$slow$decoy")
	costs("a wrong secret where a generated one is due", plain.Basic("billing", "x"), "$slow$decoy")
	costs("a right generated secret", plain.By("billing"))
	f.Run(t, []rule{refuses("a comparison that fails is not a wrong secret", plain.Basic("chosen", "broken"), 500, tokenep.ServerError)})
	f.Clock.Advance(time.Hour)
	costs("an expired secret", plain.Basic("chosen", "hunter2"), "$slow$decoy")
	f.Run(t, []rule{refuses("what was once right does not outlive its expiry", plain.Basic("chosen", "hunter2"), 401, tokenep.InvalidClient)})
}

// While one client has two secrets, every failure takes as many comparisons as one of that client:
// the time does not show which clients exist.
func TestClientAuthSlowHashRotation(t *testing.T) {
	var compared atomic.Int32
	f := newServer(t, func(c *server.Config) {
		c.Clients = append(c.Clients, tokenep.Client{ID: "chosen2", GrantTypes: []string{cc},
			Secrets: []tokenep.Secret{{Hash: "$slow$old", Expires: tokeneptest.Start.Add(time.Hour)}, {Hash: "$slow$new"}}})
		c.Decoy = func([]byte) []byte { return []byte("$slow$decoy") }
		c.CompareHash = func(hash, secret []byte) (bool, error) {
			compared.Add(1)
			return string(hash) == "$slow$"+string(secret), nil
		}
	})
	for _, userPass := range []string{"x", "a+b", "a+\xff"} {
		var counts []int32
		for _, id := range []string{"chosen2", "billing", "nobody"} {
			before := compared.Load()
			f.Send(t, plain.RawBasic(id+":"+userPass))
			counts = append(counts, compared.Load()-before)
		}
		if counts[0] == 0 || counts[0] != counts[1] || counts[0] != counts[2] {
			t.Errorf("secret %q: %d comparisons for a client with two secrets, %d for one with a generated secret, %d for none", userPass, counts[0], counts[1], counts[2])
		}
	}
	f.Run(t, []rule{
		grants("the old one", plain.Basic("chosen2", "old")),
		grants("the new one", plain.Basic("chosen2", "new")),
	})
}

// Where hashes differ in cost, every failure takes as many comparisons of each cost, in whatever
// order. A hash that takes longer than others shall is the exception.
func TestClientAuthSlowHashCosts(t *testing.T) {
	var mu sync.Mutex
	var costs []string
	f := newServer(t, func(c *server.Config) {
		client := func(id string, hashes ...string) {
			client := tokenep.Client{ID: id, GrantTypes: []string{cc}}
			for _, hash := range hashes {
				client.Secrets = append(client.Secrets, tokenep.Secret{Hash: hash})
			}
			c.Clients = append(c.Clients, client)
		}
		client("cheap", "$1$a", "$1$b")
		client("dear", "$2$c")
		client("mixed", "$2$d", tokenep.HashSecret("e"), "$1$f")
		client("dearest", "$9$g")
		c.Decoy = func(hash []byte) []byte {
			if hash[1] == '9' {
				return nil
			}
			return []byte(string(hash[:3]) + "decoy")
		}
		c.CompareHash = func(hash, _ []byte) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			costs = append(costs, string(hash[:3]))
			return false, nil
		}
	})
	// The last has three readings, of which two are compared.
	for userPass, want := range map[string]int{"x": 1, "a+b": 2, "a+\xff": 2, "a+é": 2} {
		for _, id := range []string{"cheap", "dear", "mixed", "billing", "nobody", "app"} {
			costs = nil
			f.Send(t, plain.RawBasic(id+":"+userPass)).Refused(t, 401, tokenep.InvalidClient)
			slices.Sort(costs)
			if expected := append(slices.Repeat([]string{"$1$"}, 2*want), slices.Repeat([]string{"$2$"}, want)...); !slices.Equal(costs, expected) {
				t.Errorf("%s, secret %q: %q, want %q", id, userPass, costs, expected)
			}
		}
		costs = nil
		f.Send(t, plain.RawBasic("dearest:"+userPass)).Refused(t, 401, tokenep.InvalidClient)
		if expected := slices.Repeat([]string{"$9$"}, want); !slices.Equal(costs, expected) {
			t.Errorf("dearest, secret %q: %q, want %q", userPass, costs, expected)
		}
	}
}
