package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// loadFor is the environment variable for how long TestLoad loads each engine. Default: 10s. In
// each tenth of it a node is killed and another one gets a new configuration, so that 10m has one
// of each in a minute.
const loadFor = "LOAD_FOR"

const (
	loadCallers = 12

	// revocationBound is how long after the answer to a revocation another node may take a token:
	// revocation_interval, and what a busy machine may add.
	revocationBound = 250*time.Millisecond + slack
)

// Three proxies on one store carry every grant at once, while one after the other is killed, or
// gets a new configuration. What a node has answered holds on all of them, until the end and at
// it, and whoever got no answer asks another node.
func TestLoad(t *testing.T) {
	lasts := 10 * time.Second
	if text := os.Getenv(loadFor); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", loadFor, err)
		}
	}
	for _, engine := range []string{"redis", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			f := newFleet(t, 3, engine)
			keys := f.nodes[0].do(f.nodes[0].site, http.MethodGet, "/oauth/jwks", "").body
			first := f.nodes[0].credentials("app", marker).want(t, "a token from before", http.StatusOK).accessToken()
			began := time.Now()
			var ended atomic.Bool
			var working sync.WaitGroup
			callers := make([]*caller, loadCallers)
			for i := range callers {
				callers[i] = f.newCaller(i)
				working.Go(func() {
					for !ended.Load() && !t.Failed() {
						callers[i].doesSomething()
					}
				})
			}
			f.endures(began, lasts)
			ended.Store(true)
			working.Wait()
			f.book.log(t, time.Since(began))
			f.logWork()
			for _, n := range f.nodes {
				n.get(first).want(t, "a token from before", http.StatusOK)
				if now := n.do(n.site, http.MethodGet, "/oauth/jwks", "").body; now != keys {
					t.Errorf("the keys changed from %s to %s", keys, now)
				}
			}
			f.settle(callers)
		})
	}
}

// endures kills a node in each tenth of the time, starts it again, and loads a configuration into
// another one.
func (f *fleet) endures(began time.Time, lasts time.Duration) {
	at := func(hundredths int) { time.Sleep(time.Until(began.Add(lasts * time.Duration(hundredths) / 100))) }
	for i := 0; time.Since(began) < lasts && !f.t.Failed(); i++ {
		n := f.nodes[i%len(f.nodes)]
		n.dead.Store(true)
		n.work = n.worked()
		n.kill()
		at(10*i + 1)
		f.book.mu.Lock()
		missed := f.book.over[max(0, len(f.book.over)-50):]
		f.book.mu.Unlock()
		n.mustStart(n.environment)
		for _, over := range missed { // from its first request on
			n.get(over.accessToken).want(f.t, "a token that was revoked while the node was away", http.StatusUnauthorized)
		}
		n.dead.Store(false)
		at(10*i + 5)
		f.nodes[(i+1)%len(f.nodes)].reload(i, "respond orders", http.StatusOK)
		at(10*i + 10)
		f.rounds = i + 1
	}
}

// fleet is proxies on one store.
type fleet struct {
	t       testing.TB
	nodes   []*node
	server  *servertest.Process
	figures servertest.Figures
	ci      *verifytest.Issuer // whose assertions they take
	book    book
	rounds  int
}

// node is one of them. Nobody opens a connection to it while it is dead.
type node struct {
	*proxy
	environment string
	dead        atomic.Bool
	work        time.Duration // of processes that are gone
}

// worked is how long processors have worked for it.

func (n *node) worked() time.Duration {
	if n.process == nil {
		return n.work
	}
	return n.work + servertest.Worked(n.cmd.Process.Pid)
}

// loadPeople is how many people sign in, all with the password wonderland.
const loadPeople = 200

// loadOptions are those of a server with the clients of a caller.
func loadOptions() string {
	var users strings.Builder
	for i := range loadPeople {
		fmt.Fprintf(&users, "user %s $argon2id$v=19$m=8,t=1,p=1$ipBXIkWLk8WGxaaqypWD9g$/YCnL1MH/T9mUq2uTvF51lHNvCI1o7W0QRh5Bd0/a+0\n", personOfLoad(i))
	}
	return `password_grant
		device_code {
			interval 1s
			per_hour 1000000
		}
		users inline {
			` + users.String() + `
		}
		subject jwt https://ci.example {
			jwks_file %DIR%/ci.jwks.json
			policy jobs {
				grants jwt_bearer
				subject claims.sub
				scope orders:read
				audience orders
				once
			}
		}
		client native {
			auth_method none
			grants authorization_code refresh_token device_code
			redirect_uris http://127.0.0.1/callback
			scope orders:read
			audience orders
			access_token_ttl 1h
		}
		client app {
			secret ` + marker + `
			grants client_credentials authorization_code refresh_token password token_exchange jwt_bearer
			redirect_uris https://notes.example/callback
			scope orders:read
			audience orders
			access_token_ttl 1h
		}
		client orders-api {
			secret ` + marker + `
			introspect orders
		}`
}

// personOfLoad is one of them. The first has the API tokens.
func personOfLoad(i int) string {
	if i %= loadPeople; i > 0 {
		return fmt.Sprintf("person%d", i)
	}
	return "ada"
}

func newFleet(t testing.TB, nodes int, engine string) *fleet {
	t.Helper()
	var settings []string
	if engine == "postgres" {
		settings = []string{servertest.Statements}
	}
	server, store, environment := database(t, engine, settings...)
	f := &fleet{t: t, server: server, ci: verifytest.New("https://ci.example", proxyURL)}
	f.book.t = t
	var err error
	if f.figures, err = server.Figures(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.figures.Close)
	var starting sync.WaitGroup
	for range nodes {
		n := &node{proxy: newProxy(t, store), environment: environment}
		n.more = loadOptions()
		writeFile(t, n.path("ci.jwks.json"), string(f.ci.JWKS()))
		f.nodes = append(f.nodes, n)
		starting.Go(func() {
			if err := n.start(environment); err != nil {
				t.Error(err)
			}
		})
	}
	if starting.Wait(); t.Failed() {
		t.FailNow()
	}
	for range 10 {
		made := f.nodes[0].makeAPIToken().want(t, "an API token", http.StatusCreated)
		f.book.apiTokens = append(f.book.apiTokens, made.member("token"))
	}
	return f
}
