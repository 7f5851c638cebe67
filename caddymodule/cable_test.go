package caddymodule_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A proxy that cannot reach the store does not see what other proxies revoke. It sees that soon
// after it can reach the store again.
func TestProxyThatIsCutOff(t *testing.T) {
	for _, engine := range []string{"redis", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			s, store, environment := database(t, engine)
			line := newCable(t, "127.0.0.1:"+s.Port)
			p, q := newProxy(t, store), newProxy(t, store)
			p.mustStart(strings.Replace(environment, "127.0.0.1:"+s.Port, line.address(), 1))
			q.mustStart(environment)
			token := p.credentials("billing", marker).accessToken()
			q.get(token).want(t, "a token of the other one", http.StatusOK)

			line.cut()
			q.revoke(token).want(t, "a revocation elsewhere", http.StatusOK)
			q.get(token).want(t, "revoked here", http.StatusUnauthorized)
			p.get(token).want(t, "revoked elsewhere, and cut off from there", http.StatusOK)
			p.revoke(token).want(t, "a revocation where it cannot be stored", http.StatusServiceUnavailable)

			line.mend()
			took := p.within(10*time.Second, "revoked while it was cut off", http.StatusUnauthorized, func() response { return p.get(token) })
			t.Logf("refused %s after the cable was mended", took)
			token = p.credentials("billing", marker).accessToken()
			q.revoke(token).want(t, "a revocation elsewhere", http.StatusOK)
			took = p.within(time.Second, "revoked elsewhere", http.StatusUnauthorized, func() response { return p.get(token) })
			t.Logf("refused %s after it was revoked elsewhere", took)
		})
	}
}

// cable forwards connections to an address, and can be cut.
type cable struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	ends  []net.Conn // of the connections that there were, both
	whole bool
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: listener, to: to, whole: true}
	t.Cleanup(func() { c.cut(); _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go c.join(near)
		}
	}()
	return c
}

func (c *cable) address() string { return c.listener.Addr().String() }

func (c *cable) join(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer far.Close()
	c.mu.Lock()
	whole := c.whole
	c.ends = append(c.ends, near, far)
	c.mu.Unlock()
	if !whole {
		return
	}
	go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
	_, _ = io.Copy(far, near)
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		_ = end.Close()
	}
	c.ends, c.whole = nil, false
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = true
}
