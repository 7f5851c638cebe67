package caddymodule_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// A proxy is killed at random moments while it issues and revokes. When it is started again, with
// the file as it was left, everything that it has answered is still true.
func TestKilledProxyKeepsItsWord(t *testing.T) {
	n := storetest.Rounds(t, 3, 20)
	p := newProxy(t, "store bolt %DIR%/state.db")
	l := &ledger{clients: make(map[string]string)}
	p.mustStart()
	keys := p.do(p.site, http.MethodGet, "/oauth/jwks", "").body
	for round := range n {
		given := l.untilKilled(p, round)
		began := time.Now()
		p.mustStart()
		started := time.Since(began)
		if now := p.do(p.site, http.MethodGet, "/oauth/jwks", "").body; now != keys {
			t.Fatalf("round %d: the keys changed from %s to %s", round+1, keys, now)
		}
		l.check(p, 20)
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, n)
		}
		t.Logf("round %d: %d promises, kept; started in %s", round+1, given, started.Round(time.Millisecond))
	}
	l.check(p, 1_000)
}

// ledger is what a proxy has answered. A request without an answer is not in it: it may have been
// carried out or not.
type ledger struct {
	mu        sync.Mutex
	apiTokens []string          // good
	revoked   []string          // API tokens
	withdrawn []string          // access tokens
	clients   map[string]string // secrets by id
	removed   []string          // clients
	promises  int
}

// untilKilled makes requests from many goroutines until the process is gone, and returns how many
// were answered.
func (l *ledger) untilKilled(p *proxy, round int) int {
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	before := l.promises
	started := make(chan struct{}) // there is something to lose
	var once sync.Once
	var working sync.WaitGroup
	for w := range 8 {
		// It has connections of its own. Its requests end with ctx, since the socket outlives the
		// process, and nobody would answer them.
		here := *p
		here.ctx, here.site = ctx, p.newClient()
		work := []func(*proxy, string) bool{l.tokens, l.withdraw, l.manage, l.tokens}[w%4]
		working.Go(func() {
			defer here.site.CloseIdleConnections()
			for i := 0; ctx.Err() == nil && work(&here, fmt.Sprintf("c%d-%d-%d", round, w, i)); i++ {
				once.Do(func() { close(started) })
			}
		})
	}
	<-started
	time.Sleep(time.Duration(rand.IntN(500_000)) * time.Microsecond)
	p.kill()
	cancel()
	working.Wait()
	return l.promises - before
}

// keep records an answer.
func (l *ledger) keep(note func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promises++
	note()
}

// answered reports whether the process has answered. The answer must be a success.
func answered(p *proxy, what string, a response, status int) bool {
	if a.status != status && a.status != 0 {
		p.t.Errorf("%s: status %d, want %d; %s", what, a.status, status, a.body)
	}
	return a.status == status
}

// tokens creates an API token and exchanges it, and revokes about every third one.
func (l *ledger) tokens(p *proxy, id string) bool {
	owner, _, _ := strings.Cut(id, "-") // one for each round: nobody may have too many
	made := p.manage(http.MethodPost, "/api_tokens", map[string]string{"owner": owner, "service": "orders"})
	if !answered(p, "an API token", made, http.StatusCreated) {
		return false
	}
	token := made.member("token")
	if rand.IntN(3) > 0 {
		l.keep(func() { l.apiTokens = append(l.apiTokens, token) })
		return answered(p, "an exchange", p.exchange(token), http.StatusOK)
	}
	first := p.exchange(token)
	if !answered(p, "an exchange", first, http.StatusOK) ||
		!answered(p, "revoking an API token", p.manage(http.MethodDelete, "/api_tokens/"+made.member("api_token.id"), nil), http.StatusNoContent) {
		return false
	}
	l.keep(func() { l.revoked, l.withdrawn = append(l.revoked, token), append(l.withdrawn, first.accessToken()) })
	return true
}

// withdraw gets a token for a client, and revokes it.
func (l *ledger) withdraw(p *proxy, _ string) bool {
	issued := p.credentials("billing", marker)
	token := issued.accessToken()
	if !answered(p, "a token", issued, http.StatusOK) || !answered(p, "a revocation", p.revoke(token), http.StatusOK) {
		return false
	}
	l.keep(func() { l.withdrawn = append(l.withdrawn, token) })
	return true
}

// manage adds a client, and removes about every third one.
func (l *ledger) manage(p *proxy, id string) bool {
	added := p.manage(http.MethodPost, "/clients", map[string]any{"client_id": id, "grant_types": []string{"client_credentials"}, "audience": []string{"orders"}})
	if !answered(p, "a client", added, http.StatusCreated) {
		return false
	}
	if rand.IntN(3) > 0 {
		l.keep(func() { l.clients[id] = added.member("secret") })
		return true
	}
	if !answered(p, "removing a client", p.manage(http.MethodDelete, "/clients/"+id, nil), http.StatusNoContent) {
		return false
	}
	l.keep(func() { l.removed = append(l.removed, id) })
	return true
}

// check tests the latest answers of a proxy, and as many earlier ones.
func (l *ledger) check(p *proxy, n int) {
	for _, token := range some(l.apiTokens, n) {
		p.exchange(token).want(p.t, "an API token that was given out", http.StatusOK)
	}
	for _, token := range some(l.revoked, n) {
		p.exchange(token).want(p.t, "an API token that was revoked", http.StatusBadRequest)
	}
	for _, token := range some(l.withdrawn, n) {
		p.get(token).want(p.t, "an access token that was revoked", http.StatusUnauthorized)
	}
	checked := 0
	for id, secret := range l.clients {
		if checked++; checked > n {
			break
		}
		p.credentials(id, secret).want(p.t, "a client that was added", http.StatusOK)
	}
	for _, id := range some(l.removed, 3) { // after ten failures the others would wait
		p.credentials(id, marker).want(p.t, "a client that was removed", http.StatusUnauthorized)
	}
	if info, err := os.Stat(p.path("state.db")); err != nil || info.Mode().Perm() != 0o600 {
		p.t.Errorf("the file: %v %v", info, err)
	}
}

// some returns the last n of all, and n random ones.
func some(all []string, n int) []string {
	chosen := all[max(0, len(all)-n):]
	for range min(n, len(all)-len(chosen)) {
		chosen = append(chosen[:len(chosen):len(chosen)], all[rand.IntN(len(all))])
	}
	return chosen
}
