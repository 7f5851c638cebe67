package clientauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// flooded is a server whose slow comparisons end when the test says so. It runs under the fake
// clock of synctest, and takes the address of a request from the header Address.
type flooded struct {
	*tokeneptest.Server
	t     *testing.T
	turns *tokenep.Turns
	end   chan struct{} // ends one comparison

	mu    sync.Mutex
	tally comparisons
}

// comparisons says how many run, how many ran at once at the most, and how many there were.
type comparisons struct{ running, most, total int }

// hash is of the secret that tokeneptest.Request.By sends.
func hash(client string) string { return "$slow$" + client + "-secret" }

// person is a client whose secret has a slow hash.
func person(id string) tokenep.Client {
	c := tokeneptest.NewClient(id, cc)
	c.Secrets = []tokenep.Secret{{Hash: hash(id)}}
	return c
}

// flood runs a test with this many slots.
func flood(t *testing.T, slots int, test func(f *flooded), changes ...tokeneptest.Change) {
	synctest.Test(t, func(t *testing.T) {
		f := &flooded{t: t, turns: tokenep.NewTurns(slots), end: make(chan struct{})}
		c := tokeneptest.Config(memory.New(memory.Options{Now: time.Now}), time.Now)
		c.Clients = append(c.Clients, person("anna"), person("bert"))
		c.Memory.Turns = f.turns
		c.ClientAddress = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("Address")) }
		c.Decoy = func([]byte) []byte { return []byte("$slow$decoy") }
		c.CompareHash = func(hash, secret []byte) (bool, error) {
			f.compare()
			return string(hash) == "$slow$"+string(secret), nil
		}
		for _, change := range changes {
			change(&c)
		}
		f.Server = tokeneptest.NewUnstarted(t, c)
		f.Log = new(tokeneptest.Log)
		ctx, cancel := context.WithCancel(t.Context())
		if err := f.Start(ctx); err != nil {
			t.Fatal(err)
		}
		test(f)
		f.finish()
		time.Sleep(time.Minute) // the last slots have rested
		if n := f.turns.Len(); n != 0 {
			t.Errorf("%d addresses are kept that nobody waits for", n)
		}
		cancel()
		synctest.Wait()
	})
}

func (f *flooded) compare() {
	f.mu.Lock()
	f.tally.running++
	f.tally.total++
	f.tally.most = max(f.tally.most, f.tally.running)
	f.mu.Unlock()
	<-f.end
	f.mu.Lock()
	f.tally.running--
	f.mu.Unlock()
}

func (f *flooded) comparisons() comparisons {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally
}

// send sends requests at once. The channel has the answers as they come.
func (f *flooded) send(requests ...request) <-chan tokeneptest.Answer {
	answers := make(chan tokeneptest.Answer, len(requests))
	for _, r := range requests {
		go func() { answers <- f.Send(f.t, r) }()
	}
	synctest.Wait()
	return answers
}

// sendUntil sends a request that gives up when ctx ends.
func (f *flooded) sendUntil(ctx context.Context, r request) {
	req := httptest.NewRequestWithContext(ctx, r.Method, r.Path, strings.NewReader(r.Body))
	req.Header = r.Header
	go f.Handler.ServeHTTP(httptest.NewRecorder(), req)
	synctest.Wait()
}

// finish lets all comparisons end, and those that wait for them.
func (f *flooded) finish() {
	for synctest.Wait(); ; synctest.Wait() {
		switch {
		case f.comparisons().running > 0:
			f.end <- struct{}{}
		case f.turns.Waiting() > 0:
			time.Sleep(time.Millisecond) // the slots rest
		default:
			return
		}
	}
}

// count returns how many of the answers that are there have each status.
func count(answers <-chan tokeneptest.Answer) map[int]int {
	statuses := make(map[int]int)
	for len(answers) > 0 {
		statuses[(<-answers).Status]++
	}
	return statuses
}

func from(address string, r request) request { return r.With("Address", address) }

// guesses are different wrong secrets of a client, from one address.
func guesses(n int, client, address string) []request {
	all := make([]request, n)
	for i := range all {
		all[i] = from(address, plain.Basic(client, fmt.Sprint("guess", i)))
	}
	return all
}

const attacker, elsewhere = "192.0.2.66", "198.51.100.1"
