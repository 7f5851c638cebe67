package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const runSite = `
%SITE% {
	oauth_token
	handle /orders* {
		oauth_verify {
			audience orders
			%GUARD%
		}
		test_whoami
	}
	respond "passed through"
}
`

func runServer(store, more string) string {
	return `oauth_server {
		issuer %SITE%
		store ` + store + `
		client billing {
			secret ` + marker + `
			grants client_credentials
			scope orders:read
			audience orders
		}
		` + more + `
	}`
}

func site(guard string) string { return strings.Replace(runSite, "%GUARD%", guard, 1) }

// Keys, revocations and verified tokens outlive a configuration, with every store.
func TestReloadKeepsState(t *testing.T) {
	for _, store := range []string{"memory", "bolt", "bolt %DIR%/state.db"} {
		t.Run(strings.Fields(store)[0], func(t *testing.T) {
			c := newCaddy(t)
			c.mustLoad(runServer(store, ""), site(""))
			live, revoked := c.token(marker), c.token(marker)
			c.get(c.site+"/orders", live).want(t, "live", http.StatusOK)
			c.get(c.site+"/orders", revoked).want(t, "not yet revoked", http.StatusOK)
			c.post("/oauth/revoke", marker, "token", revoked).want(t, "revoke", http.StatusOK)
			keys := c.get(c.site+"/oauth/jwks", "").body

			c.mustLoad(runServer(store, "access_token_ttl 10m"), site("scope orders:read"))

			c.get(c.site+"/orders", live).want(t, "live after reload", http.StatusOK)
			c.get(c.site+"/orders", revoked).want(t, "revoked after reload", http.StatusUnauthorized)
			if got := c.get(c.site+"/oauth/jwks", "").body; got != keys {
				t.Errorf("the keys changed from %s to %s", keys, got)
			}
			c.get(c.site+"/orders", c.token(marker)).want(t, "a new token", http.StatusOK)
		})
	}
}

// What the bolt store keeps outlives the process.
func TestRestartKeepsBoltStore(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("bolt", ""), site(""))
	live := c.token(marker)
	c.mustLoad("", "") // lets go of the store
	c.mustLoad(runServer("bolt", ""), site(""))
	c.get(c.site+"/orders", live).want(t, "live after restart", http.StatusOK)
	if _, err := os.Stat(filepath.Join(c.dir, "data", "caddy", "oauth_server", "default.db")); err != nil {
		t.Errorf("the default file: %v", err)
	}
}

// A configuration that cannot be provisioned or started leaves the one before as it was.
func TestReloadThatFails(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("bolt", ""), site(""))
	live := c.token(marker)
	for name, global := range map[string]string{
		"provision": runServer("bolt", "client broken {\nsecret {env.NO_SUCH_VARIABLE}\n}"),
		// A file is in the way of a folder.
		"start": runServer("bolt", "") + "\noauth_server second {\nissuer %SITE%\nstore bolt %DIR%/log/second.db\n}",
	} {
		if err := c.load(global, site("")); err == nil {
			t.Errorf("%s: loaded", name)
		}
		c.get(c.site+"/orders", live).want(t, "after a failure in "+name, http.StatusOK)
		c.token(marker)
	}
}

// A configuration whose file is damaged, or was emptied, is refused before it answers anything: the
// one before goes on, and the next good one has nothing of it.
func TestReloadWithADamagedStore(t *testing.T) {
	c := newCaddy(t)
	next := filepath.Join(c.dir, "next.db")
	c.mustLoad(runServer("bolt "+next, ""), site(""))
	c.mustLoad(runServer("bolt", ""), site("")) // and next.db is closed
	good := readFile(t, next)
	pages := os.Getpagesize()
	live := c.token(marker)
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	ask := func(when string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.site+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+live)
		a, err := once.Do(r)
		if err != nil {
			t.Errorf("%s: %v", when, err)
			return
		}
		_ = a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", when, a.StatusCode)
		}
	}
	for name, content := range map[string]string{
		"emptied":           "",
		"cut off":           good[:2*pages],
		"cut off in a page": good[:2*pages+100],
		"junk":              strings.Repeat("junk", len(good)/4),
		"junk in its pages": good[:2*pages] + strings.Repeat("\xff", len(good)-2*pages),
		"zeros":             strings.Repeat("\x00", len(good)),
	} {
		writeFile(t, next, content)
		done := make(chan struct{})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						ask(name + ", meanwhile")
					}
				}
			})
		}
		for range 3 {
			if err := c.load(runServer("bolt "+next, ""), site("")); err == nil || !strings.Contains(err.Error(), next) {
				t.Errorf("%s: loaded, or the error does not name the file: %v", name, err)
			}
		}
		close(done)
		asking.Wait()
		if readFile(t, next) != content {
			t.Errorf("%s: the file has been changed", name)
		}
		for range 20 {
			ask(name + ", afterwards")
		}
	}
	writeFile(t, next, good)
	c.mustLoad(runServer("bolt "+next, ""), site(""))
	live = c.token(marker)
	for range 50 {
		ask("after a good reload")
	}
}

// "caddy validate" reads the configuration and leaves nothing behind.
func TestValidateTouchesNothing(t *testing.T) {
	c := newCaddy(t)
	if err := c.validate(c.config(runServer("bolt %DIR%/new/state.db", ""), site(""))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "new")); !os.IsNotExist(err) {
		t.Errorf("the store was created: %v", err)
	}
	// It does not keep the store in use either: the file is free as soon as a server has released
	// it.
	c.mustLoad(runServer("bolt %DIR%/new/state.db", ""), site(""))
	c.mustLoad("", "")
	file, err := bolt.Open(filepath.Join(c.dir, "new", "state.db"), bolt.Options{})
	if err != nil {
		t.Fatalf("validating keeps the store in use: %v", err)
	}
	_ = file.Close()
}

// Reloads leave no goroutine behind.
func TestReloadKeepsGoroutinesLevel(t *testing.T) {
	c := newCaddy(t)
	reload := func(i int) {
		c.mustLoad(runServer("bolt", ""), site("leeway "+time.Duration(i+1).String()))
		c.get(c.site+"/orders", c.token(marker)).want(t, "token", http.StatusOK)
	}
	keepsGoroutinesLevel(t, reload)
}

// What a program that knows people's credentials, or another server, has given for an upstream is
// remembered across a reload. Another configuration asks anew.
func TestReloadKeepsCredentialsOfUpstreams(t *testing.T) {
	idp := verifytest.New("https://idp.example", "orders")
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"credential":"c%[1]d","access_token":"c%[1]d","token_type":"Bearer","expires_in":600,`+
			`"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, asked.Add(1))
	}))
	t.Cleanup(elsewhere.Close)
	for _, credential := range []string{
		"authorization ask " + elsewhere.URL + "/credentials {\nsend bearer\nMORE\n}",
		"authorization exchange " + elsewhere.URL + "/token {\nclient gateway " + marker + "\nMORE\n}",
	} {
		asked.Store(0)
		c := newCaddy(t)
		writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
		token := idp.Sign(nil)
		for i, row := range []struct{ leeway, more, want string }{
			{"1s", "", "Bearer c1"}, {"2s", "", "Bearer c1"}, {"2s", "timeout 3s", "Bearer c2"}, {"3s", "timeout 3s", "Bearer c2"},
		} {
			c.mustLoad("", `
%SITE% {
	oauth_verify {
		audience orders
		leeway `+row.leeway+`
		issuer https://idp.example {
			jwks_file %DIR%/jwks.json
		}
		`+strings.Replace(credential, "MORE", row.more, 1)+`
	}
	respond {header.Authorization}
}
`)
			if a := c.get(c.site, token); a.status != http.StatusOK || a.body != row.want {
				t.Errorf("%.30s, %d: %d %s, want %s", credential, i+1, a.status, a.body, row.want)
			}
		}
	}
}

// Nor do those whose keys are at a URL, and those that ask about tokens: neither a fetch nor a
// connection outlives its configuration.
func TestReloadOfIssuersByURLKeepsGoroutinesLevel(t *testing.T) {
	idp := verifytest.New("https://idp.example", "orders")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"active":true,"aud":"orders"}`)
			return
		}
		_, _ = w.Write(idp.JWKS())
	}))
	t.Cleanup(elsewhere.Close)
	c := newCaddy(t)
	reload := func(i int) {
		c.mustLoad("", `
%SITE% {
	oauth_verify {
		audience orders
		leeway `+time.Duration(i+1).String()+`
		issuer https://idp.example {
			jwks_uri `+elsewhere.URL+`/jwks
		}
		issuer https://opaque.example {
			introspection `+elsewhere.URL+`/introspect {
				client gateway secret
			}
		}
	}
	respond "orders"
}
`)
		c.get(c.site+"/orders", idp.Sign(nil)).want(t, "a JWT", http.StatusOK)
		c.get(c.site+"/orders", "opaque").want(t, "an opaque token", http.StatusOK)
	}
	keepsGoroutinesLevel(t, reload)
}

// keepsGoroutinesLevel reloads 23 times, and compares the last with the third.
func keepsGoroutinesLevel(t *testing.T, reload func(i int)) {
	t.Helper()
	for i := range 3 {
		reload(i)
	}
	level := settledGoroutines(0, 20)
	for i := range 20 {
		reload(3 + i)
	}
	const slack = 5 // of Caddy's own servers, which close in the background
	if now := settledGoroutines(level+slack, 500); now > level+slack {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before 20 reloads, %d after\n%s", level, now, buf[:runtime.Stack(buf, true)])
	}
}

// settledGoroutines waits until the number of goroutines has fallen to enough, or has not changed
// for patience hundredths of a second.
func settledGoroutines(enough, patience int) int {
	n := runtime.NumGoroutine()
	for still := 0; still < patience && n > enough; {
		time.Sleep(10 * time.Millisecond)
		if now := runtime.NumGoroutine(); now == n {
			still++
		} else {
			n, still = now, 0
		}
	}
	return n
}
