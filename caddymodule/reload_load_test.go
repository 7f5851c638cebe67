package caddymodule_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// reloadRounds is the environment variable for the number of reloads of TestReloadUnderLoad.
// Default: 100 with CI=true, else 20.
const reloadRounds = "RELOAD_ROUNDS"

// Configurations replace one another while requests of every kind are in progress. No request
// fails, no state is lost, and neither goroutines nor memory pile up.
func TestReloadUnderLoad(t *testing.T) {
	n := 20
	if os.Getenv("CI") == "true" {
		n = 100
	}
	if text := os.Getenv(reloadRounds); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("memory", func(t *testing.T) { reloadUnderLoad(t, n/4, "", "store memory") })
	t.Run("bolt", func(t *testing.T) { reloadUnderLoad(t, n, "", "store bolt %DIR%/state.db") })
	t.Run("redis", func(t *testing.T) { // whose connections are other ones each time
		s, _, _ := database(t, "redis")
		store := "store redis redis://:{env.DATABASE_PASSWORD}@127.0.0.1:" + s.Port + "/0?pool_size="
		reloadUnderLoad(t, n/4, "DATABASE_PASSWORD="+servertest.Password, store+"20", store+"30")
	})
}

// reloadUnderLoad loads n configurations, which use the stores in turn.
func reloadUnderLoad(t *testing.T, n int, environment string, stores ...string) {
	p := newProxy(t, stores[0])
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Millisecond) // so that there always is a request on its way
		fmt.Fprint(w, "orders")
	}))
	defer upstream.Close()
	// The reverse_proxy of an old configuration would keep its connections alive for two minutes.
	upstream.Config.SetKeepAlivesEnabled(false)
	p.mustStart(environment)
	p.reload(0, "reverse_proxy "+upstream.URL, http.StatusOK)
	l := newLoad(p)
	defer l.stop()
	if len(stores) > 1 {
		// The new configuration has another state, and reads from the store what was revoked during
		// the reload.
		l.lag = time.Second
	}
	keys := p.do(p.site, http.MethodGet, "/oauth/jwks", "").body

	warm, before := n/5, use{}
	for i := 1; i <= n; i++ {
		want := http.StatusOK
		if i%10 == 0 {
			want = http.StatusBadRequest // and the configuration of before goes on
		}
		p.store = stores[i%len(stores)]
		p.reload(i, "reverse_proxy "+upstream.URL, want)
		l.between()
		if i == warm {
			before = l.use()
		}
		if t.Failed() {
			t.Fatalf("reload %d of %d", i, n)
		}
	}
	after := l.use()
	if now := p.do(p.site, http.MethodGet, "/oauth/jwks", "").body; now != keys {
		t.Errorf("the keys changed from %s to %s", keys, now)
	}
	t.Logf("%d reloads, %d requests: %v after %d reloads, %v in the end", n, l.served.Load(), before, warm, after)
	// A verified token takes about two kilobytes, and an API token no more than that. A
	// configuration that is not released takes a hundred.
	const slackGoroutines, slackBytes, perToken = 10, 4 << 20, 4 << 10
	if after.goroutines > before.goroutines+slackGoroutines {
		l.dump()
		t.Errorf("goroutines: %d, and %d after %d more reloads", before.goroutines, after.goroutines, n-warm)
	}
	if grown := after.bytes - before.bytes; grown > slackBytes+perToken*(after.tokens-before.tokens) {
		t.Errorf("memory: %d bytes more after %d more reloads and %d more tokens", grown, n-warm, after.tokens-before.tokens)
	}
}

// reload loads configuration i. Each differs from the one before. Every tenth cannot be loaded: in
// turn, because it cannot be provisioned or because its store cannot be opened.
func (p *proxy) reload(i int, upstream string, want int) {
	p.t.Helper()
	more := p.more + fmt.Sprintf("\naccess_token_ttl %dm\n", 10+i%2)
	if i%3 > 0 {
		more += fmt.Sprintf("client extra%d {\nsecret %s\ngrants client_credentials\nscope s%d\n}\n", i%3, marker, i)
	}
	switch {
	case want == http.StatusOK:
	case i%20 == 0:
		more += "client broken {\nsecret {env.NO_SUCH_VARIABLE}\n}\n"
	default:
		more += "}\noauth_server second {\nissuer http://localhost\nstore bolt " + os.DevNull + "/second.db\n"
	}
	config, err := adapt([]byte(p.caddyfile(more, upstream)))
	if err != nil {
		p.t.Fatal(err)
	}
	p.load(config).want(p.t, fmt.Sprint("reload ", i), want)
}

// load makes requests of every kind, all at once.
type load struct {
	p       *proxy
	served  atomic.Int64
	issued  atomic.Int64
	running sync.WaitGroup
	ended   atomic.Bool
	pause   sync.RWMutex // held for writing to have no request on its way

	first string // an access token that is older than every reload

	mu        sync.Mutex
	revoked   []string
	apiTokens []string

	lag time.Duration // how long a revoked token may pass
}

func newLoad(p *proxy) *load {
	l := &load{p: p}
	l.first = p.credentials("billing", marker).want(p.t, "the first token", http.StatusOK).accessToken()
	l.between()
	for _, work := range []func(){func() { l.issue() }, l.exchange, l.exchange, l.verify, l.verify, l.verify, l.revoke, l.bare} {
		l.running.Go(func() {
			for !l.ended.Load() && !p.t.Failed() {
				l.pause.RLock()
				work()
				l.pause.RUnlock()
			}
		})
	}
	return l
}

func (l *load) stop() {
	l.ended.Store(true)
	l.running.Wait()
}

// expect compares the status of an answer with the one that it must have. The request was not
// repeated.
func (l *load) expect(what string, a response, status int) response {
	l.served.Add(1)
	if a.status != status {
		l.p.t.Errorf("%s: status %d, want %d; %s", what, a.status, status, a.body)
	}
	return a
}

func (l *load) issue() string {
	l.issued.Add(1)
	return l.expect("client credentials", l.p.credentials("billing", marker), http.StatusOK).accessToken()
}

func (l *load) verify() { l.expect("the first token", l.p.get(l.first), http.StatusOK) }

func (l *load) bare() {
	l.expect("no OAuth at all", l.p.do(l.p.site, http.MethodGet, "/bare", ""), http.StatusOK)
}

func (l *load) exchange() {
	l.issued.Add(1)
	l.expect("an exchange", l.p.exchange(l.any(&l.apiTokens)), http.StatusOK)
}

// revoke revokes a token, which must be refused as soon as the revocation is answered, whichever
// configuration is loaded.
func (l *load) revoke() {
	token := l.issue()
	l.expect("not yet revoked", l.p.get(token), http.StatusOK)
	l.expect("a revocation", l.p.revoke(token), http.StatusOK)
	if a := l.p.get(token); a.status != http.StatusOK || l.lag == 0 {
		l.expect("revoked just now", a, http.StatusUnauthorized)
	}
	time.Sleep(l.lag)
	l.mu.Lock()
	l.revoked = append(l.revoked, token)
	l.mu.Unlock()
	l.expect("revoked at some time", l.p.get(l.any(&l.revoked)), http.StatusUnauthorized)
}

func (l *load) any(of *[]string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return (*of)[rand.IntN(len(*of))]
}

// between creates an API token between two reloads.
func (l *load) between() {
	l.p.t.Helper()
	made := l.p.makeAPIToken().want(l.p.t, "an API token", http.StatusCreated).member("token")
	l.mu.Lock()
	l.apiTokens = append(l.apiTokens, made)
	l.mu.Unlock()
}

// use is what the process uses while no request is in progress.
type use struct{ goroutines, bytes, tokens int }

func (u use) String() string {
	return fmt.Sprintf("%d goroutines and %.1f MB for %d tokens", u.goroutines, float64(u.bytes)/1e6, u.tokens)
}

func (l *load) use() use {
	l.pause.Lock()
	defer l.pause.Unlock()
	const few = 40 // Caddy's own, and ours
	return use{l.p.settled(few), l.p.memory(), int(l.issued.Load())}
}

func (l *load) dump() {
	l.p.t.Log(l.p.do(l.p.ops, http.MethodGet, "/debug/pprof/goroutine?debug=1", "").body)
}
