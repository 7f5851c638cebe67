package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// cluster is processes on one store, and what the test knows of them.
type cluster struct {
	nodes  []*remote
	round  int      // makes names that were not used before
	active []string // ids of signing keys, the one that signs now last
	slow   time.Duration
}

// TestThreeNodes: three processes on one store keep each other's promises; so do two of them while
// the third is away, which, when it is back, knows what it has missed.
func TestThreeNodes(t *testing.T) {
	for _, shared := range []struct {
		name   string
		server *servertest.Shared
	}{{"redis", enginetest.RedisServer}, {"postgres", enginetest.PostgresServer}} {
		t.Run(shared.name, func(t *testing.T) {
			args := []string{shared.name, shared.server.URL(t), servertest.Namespace()}
			c := &cluster{}
			for range 3 {
				c.nodes = append(c.nodes, startPeer(t, append(args, "0")...))
			}
			c.active = []string{c.nodes[0].must(t, "active key", "")}
			for range storetest.Rounds(t, 1, 3) {
				c.work(t)
				away := c.nodes[2]
				c.nodes = c.nodes[:2]
				away.kill()
				missed := c.revoke(t)
				c.work(t)
				c.nodes = append(c.nodes, startPeer(t, append(args, fmt.Sprint(c.days()))...))
				c.knows(t, c.nodes[2], missed)
			}
			c.work(t)
			t.Logf("the slowest revocation took %v to reach the others; %d keys have signed", c.slow, len(c.active))
			if c.slow > time.Second {
				t.Errorf("a revocation took %v to reach the others, want a second at most", c.slow)
			}
		})
	}
}

// work does everything that nodes do together, and holds it against what one node would do.
func (c *cluster) work(t *testing.T) {
	t.Helper()
	c.round++
	c.codes(t)
	c.families(t)
	c.once(t)
	c.apiTokens(t)
	c.clients(t)
	c.revocations(t)
	c.keys(t)
	if t.Failed() {
		t.FailNow()
	}
}

// atOnce has all nodes do the same, and returns what the one to which it was done got. The others
// are refused.
func (c *cluster) atOnce(t *testing.T, what, text string, others ...error) (won string) {
	t.Helper()
	got, errs := c.all(t, what, text)
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			won = got[i]
		} else if !slices.ContainsFunc(others, func(want error) bool { return errors.Is(err, want) }) {
			t.Errorf("%s at once: %v, want one of %v", what, err, others)
		}
	}
	if winners != 1 {
		t.Errorf("%s at once: %d succeeded, want one", what, winners)
	}
	return won
}

func (c *cluster) all(t *testing.T, what, text string) (got []string, errs []error) {
	t.Helper()
	got, errs = make([]string, len(c.nodes)), make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, node := range c.nodes {
		wg.Go(func() { got[i], errs[i] = node.do(t, what, text) })
	}
	wg.Wait()
	return got, errs
}

// node is the i-th, of however many there are.
func (c *cluster) node(i int) *remote { return c.nodes[i%len(c.nodes)] }

func (c *cluster) name(what string, i int) string { return fmt.Sprint(what, " ", c.round, " ", i) }

// codes: of all nodes one redeems a code, and what it got ends.
func (c *cluster) codes(t *testing.T) {
	t.Helper()
	for i := range 5 {
		code := c.node(i).must(t, "sign in", c.name("ann", i))
		// The replay may be before the winner starts the family: then the winner gets nothing.
		token := ""
		got, errs := c.all(t, "redeem", code)
		spent := 0
		for n, err := range errs {
			switch {
			case err == nil || errors.Is(err, state.ErrRevoked):
				token = got[n]
			case errors.Is(err, state.ErrSpent):
				spent++
			default:
				t.Errorf("redeem at once: %v", err)
			}
		}
		if spent != len(c.nodes)-1 {
			t.Errorf("redeem at once: %d of %d refused, want all but one", spent, len(c.nodes))
		}
		if token != "" {
			c.node(i+1).refuses(t, "refresh", token, state.ErrRevoked)
		}
	}
}

// families: refreshed from node to node, and by all at once, there is one line, and it goes on.
func (c *cluster) families(t *testing.T) {
	t.Helper()
	token := c.node(1).must(t, "redeem", c.node(0).must(t, "sign in", c.name("bob", 0)))
	first := token
	for i := range 6 {
		token = c.node(i).must(t, "refresh", token)
		next, errs := c.all(t, "refresh", token)
		for n, err := range errs {
			if err != nil || next[n] != next[0] {
				t.Errorf("refresh at once: %v, the same successor: %v", err, next[n] == next[0])
			}
		}
		token = next[0]
	}
	family := c.node(0).must(t, "family", token)
	c.node(1).refuses(t, "refresh", first, state.ErrReused)
	for _, node := range c.nodes {
		node.refuses(t, "refresh", token, state.ErrRevoked)
	}
	c.reaches(t, "grant revoked", family)
}

// once: a device gets its tokens from one node, and an id is taken by one.
func (c *cluster) once(t *testing.T) {
	t.Helper()
	for i := range 3 {
		device := c.node(i).must(t, "start device", c.name("ann", i))
		if user := c.atOnce(t, "poll", device, state.ErrSpent); user != c.name("ann", i) {
			t.Errorf("the device speaks for %q", user)
		}
		c.atOnce(t, "see", c.name("id", i), state.ErrSpent)
	}
}

// apiTokens: made at one node they are exchanged at another, and rolled at a third.
func (c *cluster) apiTokens(t *testing.T) {
	t.Helper()
	for i := range 3 {
		token := c.node(i).must(t, "create", c.name("ann", i))
		id := ""
		for _, node := range c.nodes {
			id = node.must(t, "exchange", token)
		}
		newer := c.node(i).must(t, "roll", id)
		for _, node := range c.nodes {
			node.refuses(t, "exchange", token, state.ErrRolledAPIToken)
		}
		id = c.node(i+1).must(t, "exchange", newer)
		c.node(i+2).must(t, "end", id)
		c.node(i).refuses(t, "exchange", newer, state.ErrRevokedAPIToken)
		c.reaches(t, "grant revoked", id)
	}
}

// clients: of one id one is added, and all nodes load it until one removes it.
func (c *cluster) clients(t *testing.T) {
	t.Helper()
	id := c.name("client", 0)
	secret := c.atOnce(t, "add client", id, store.ErrExists)
	for _, node := range c.nodes {
		if hash := node.must(t, "load client", id); hash != tokenep.HashSecret(secret) {
			t.Error("the client has another secret than the one that was told")
		}
	}
	c.node(c.round).must(t, "remove client", id)
	for _, node := range c.nodes {
		node.refuses(t, "load client", id, tokenep.InvalidClient)
	}
}

// revocations: made at one node they are in force at once there, and soon at the others.
func (c *cluster) revocations(t *testing.T) {
	t.Helper()
	for i, node := range c.nodes {
		jti := c.name("jti", i)
		node.must(t, "revoke", jti)
		if node.must(t, "revoked", jti) != "true" {
			t.Error("not revoked at the node that was told")
		}
		c.reaches(t, "revoked", jti)
	}
}

// reaches waits until all nodes know of a revocation that one has acknowledged, and notes how long
// it took.
func (c *cluster) reaches(t *testing.T, what, text string) {
	t.Helper()
	acknowledged := time.Now()
	for _, node := range c.nodes {
		for node.must(t, what, text) != "true" {
			if time.Since(acknowledged) > 30*time.Second {
				t.Fatalf("%q has not reached every node", text)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	c.slow = max(c.slow, time.Since(acknowledged))
}

// revoke takes back some access tokens, which a node that is away will have missed.
func (c *cluster) revoke(t *testing.T) (missed []string) {
	t.Helper()
	for i := range 20 {
		missed = append(missed, c.name("missed", i))
		c.node(i).must(t, "revoke", missed[i])
	}
	return missed
}

// knows holds a node that has just started against what happened while it was away.
func (c *cluster) knows(t *testing.T, node *remote, missed []string) {
	t.Helper()
	for _, jti := range missed {
		if node.must(t, "revoked", jti) != "true" {
			t.Errorf("it was revoked while the node was away, and is good there: %s", jti)
		}
	}
	if kid := node.must(t, "active key", ""); kid != c.active[len(c.active)-1] {
		t.Error("it signs with another key than the others")
	}
}

func (c *cluster) days() int { return 30 * (len(c.active) - 1) }

// keys: a month later all nodes rotate at once, and all sign with the same new key, once; the one
// before stays published.
func (c *cluster) keys(t *testing.T) {
	t.Helper()
	days := fmt.Sprint(c.days() + 30)
	for range 2 {
		if _, errs := c.all(t, "turn keys", days); errors.Join(errs...) != nil {
			t.Errorf("turning keys: %v", errors.Join(errs...))
		}
	}
	for _, node := range c.nodes {
		kid := node.must(t, "active key", "")
		if last := c.active[len(c.active)-1]; kid != last {
			if slices.Contains(c.active, kid) {
				t.Errorf("%s signs again", kid)
			}
			c.active = append(c.active, kid)
		}
		set := node.must(t, "key set", "")
		for _, kid := range c.active[max(0, len(c.active)-2):] {
			if !strings.Contains(set, kid) {
				t.Errorf("a key set lacks %s", kid)
			}
		}
	}
	if fmt.Sprint(c.days()) != days {
		t.Errorf("%d keys have signed in %s days, want one in 30", len(c.active), days)
	}
}
