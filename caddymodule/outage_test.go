package caddymodule_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// verbTimeout is how long a request waits for an engine, and slack is what a busy machine may add.
const (
	verbTimeout = 3 * time.Second
	slack       = 2 * time.Second
)

// While an engine is away, only the requests that need it fail, and they succeed again as soon as
// it is back.
func TestEngineAway(t *testing.T) {
	for _, engine := range []string{"redis", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			s, store, environment := database(t, engine)
			p := newProxy(t, store)
			p.mustStart(environment)
			o := prepareOutage(p)
			t.Run("killed", func(t *testing.T) { o.during(t, s.Kill, func() error { return s.Start() }) })
			t.Run("paused", func(t *testing.T) { o.during(t, s.Pause, func() error { s.Resume(); return nil }) })
			o.startWithout(t, s, environment)
		})
	}
}

// outage is a proxy whose engine goes away, and what it has issued before.
type outage struct {
	*proxy
	secret   string // of the run-time client nightly
	apiToken string
	token    string // of billing
	doomed   string // another one, which it tries to revoke
	level    int    // of goroutines, before
}

func prepareOutage(p *proxy) *outage {
	o := &outage{proxy: p}
	o.secret = p.manage(http.MethodPost, "/clients", map[string]any{"client_id": "nightly", "grant_types": []string{"client_credentials"}, "audience": []string{"orders"}}).
		want(p.t, "a client", http.StatusCreated).member("secret")
	o.apiToken = p.makeAPIToken().want(p.t, "an API token", http.StatusCreated).member("token")
	o.token = p.credentials("billing", marker).want(p.t, "a token", http.StatusOK).accessToken()
	o.doomed = p.credentials("billing", marker).accessToken()
	o.works(p.t)
	o.level = p.settled(40)
	return o
}

// needs returns the requests that cannot be served without the store.
func (o *outage) needs() map[string]func() response {
	return map[string]func() response{
		"an exchange":                    func() response { return o.exchange(o.apiToken) },
		"a token for a run-time client":  func() response { return o.credentials("nightly", o.secret) },
		"a revocation":                   func() response { return o.revoke(o.doomed) },
		"an API token from the admin":    o.makeAPIToken,
		"the clients for the admin":      func() response { return o.manage(http.MethodGet, "/clients", nil) },
		"a revocation through the admin": func() response { return o.manage(http.MethodPost, "/revocations", map[string]string{"sub": "nobody"}) },
	}
}

// works waits until everything works as before the outage.
func (o *outage) works(t testing.TB) {
	t.Helper()
	o.within(10*time.Second, "an exchange", http.StatusOK, func() response { return o.exchange(o.apiToken) })
	o.within(time.Second, "a run-time client", http.StatusOK, func() response { return o.credentials("nightly", o.secret) })
	token := o.credentials("billing", marker).accessToken()
	o.get(token).want(t, "a token", http.StatusOK)
	o.revoke(token).want(t, "a revocation", http.StatusOK)
	o.get(token).want(t, "a revoked token", http.StatusUnauthorized)
}

func (o *outage) during(t *testing.T, away func(), back func() error) {
	away()
	stop := o.goesOn(t)
	for wave := range 3 {
		took, most := o.wave(t, 200)
		slices.Sort(took)
		t.Logf("wave %d: half refused within %s, 95 in 100 within %s, all within %s; %d goroutines at most, %d before",
			wave+1, took[len(took)/2], took[len(took)*95/100], took[len(took)-1], most, o.level)
		if slowest := took[len(took)-1]; slowest > verbTimeout+slack {
			t.Errorf("wave %d: a request waited for %s", wave+1, slowest)
		}
		// Once the store is known to be away, hardly a request waits for a verb to time out.
		if nearly := took[len(took)*95/100]; wave > 0 && nearly > verbTimeout-time.Second {
			t.Errorf("wave %d: 5 in 100 requests waited for %s, though the store is known to be away", wave+1, nearly)
		}
		if most > o.level+4*len(took) {
			t.Errorf("wave %d: %d goroutines for %d requests", wave+1, most, len(took))
		}
	}
	// A configuration is loaded meanwhile. It takes over keys and revocations from the one before,
	// and no request waits for the store.
	for i := range 3 {
		config, err := adapt([]byte(o.caddyfile(fmt.Sprintf("access_token_ttl %dm\n", 10+i), "respond orders")))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		o.load(config).want(t, "a reload", http.StatusOK)
		t.Logf("a reload took %s", time.Since(began))
	}
	stop()
	if now := o.settled(o.level + 10); now > o.level+10 {
		t.Errorf("%d goroutines before, %d when all was refused", o.level, now)
	}
	if err := back(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	o.works(t)
	t.Logf("everything works %s after the engine is back", time.Since(began))
	if now := o.settled(o.level + 10); now > o.level+10 {
		t.Errorf("%d goroutines before the outage, %d after it", o.level, now)
	}
}

// goesOn keeps making requests that need no store, each on a new connection, until stop is called.
// Each must be answered soon, with status 200.
func (o *outage) goesOn(t *testing.T) (stop func()) {
	ended := make(chan struct{})
	var asking sync.WaitGroup
	for what, ask := range map[string]func(*proxy) response{
		"client credentials": func(p *proxy) response { return p.credentials("billing", marker) },
		"verification":       func(p *proxy) response { return p.get(o.token) },
		"the key set":        func(p *proxy) response { return p.do(p.site, http.MethodGet, "/oauth/jwks", "") },
	} {
		asking.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				began := time.Now()
				fresh := *o.proxy
				fresh.site = o.newClient()
				a := ask(&fresh)
				fresh.site.CloseIdleConnections()
				if took := time.Since(began); a.status != http.StatusOK || took > slack {
					t.Errorf("%s while the store is away: status %d after %s; %s", what, a.status, took, a.body)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	return func() { close(ended); asking.Wait() }
}

// wave makes n requests that need the store, all at once. Each must be answered with 503 and
// Retry-After.
func (o *outage) wave(t *testing.T, n int) (took []time.Duration, goroutines int) {
	took = make([]time.Duration, n)
	var all sync.WaitGroup
	needs := o.needs()
	names := slices.Sorted(maps.Keys(needs))
	for i := range n {
		what := names[i%len(names)]
		all.Go(func() {
			began := time.Now()
			a := needs[what]()
			took[i] = time.Since(began)
			switch {
			case a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "":
				t.Errorf("%s: status %d, Retry-After %q, want 503 and some seconds; %.200s", what, a.status, a.header.Get("Retry-After"), a.body)
			case strings.Contains(a.body, "invalid_") || strings.Contains(a.body, servertest.Password):
				t.Errorf("%s: %s", what, a.body)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for {
		goroutines = max(goroutines, o.goroutines())
		select {
		case <-done:
			return took, goroutines
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startWithout starts another Caddy while its store is away. It has no keys, so it must log the
// reason and exit.
func (o *outage) startWithout(t *testing.T, s *servertest.Process, environment string) {
	for _, away := range []func(){s.Kill, func() { _ = s.Start(); s.Pause() }} {
		away()
		q := newProxy(t, o.store)
		began := time.Now()
		err := q.start(environment)
		log, _ := os.ReadFile(q.path("log"))
		t.Logf("a start without the store: %v after %s: %s", err, time.Since(began), log[max(0, len(log)-400):])
		if err == nil || time.Since(began) > 2*verbTimeout+slack {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if !strings.Contains(string(log), "store: unavailable") || strings.Contains(string(log), servertest.Password) {
			t.Errorf("the log of the start does not say why:\n%s", log)
		}
	}
	s.Resume()
}
