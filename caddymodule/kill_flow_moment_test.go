package caddymodule_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// The proxy is killed at random moments while many people are in a code flow, so that it also dies
// within a step: before a write, and between two of them. Whoever got no answer repeats the step,
// and goes on or starts again.
func TestKilledWithinTheStepsOfACodeFlow(t *testing.T) {
	rounds := storetest.Rounds(t, 2, 3)
	for engine := range flowStores {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			k := newKillable(t, engine)
			for round := range rounds {
				people := k.peopleUntilKilled(t, round)
				k.mustStart(k.environment)
				var all sync.WaitGroup
				for _, p := range people {
					all.Go(func() { p.afterKill(t) })
				}
				all.Wait()
				if t.Failed() {
					t.Fatalf("round %d of %d", round+1, rounds)
				}
				logWhatBecame(t, round, people)
			}
		})
	}
}

// person is in one flow after the other, until there is no answer.
type person struct {
	flow     codeFlow    // which was cut
	steps    []flowStep  // that had no answer, and those after it
	became   string      // of the first of these
	finished []*codeFlow // to the end
}

// peopleUntilKilled has people do flows at once, and kills the proxy after some number of answers.
func (k killable) peopleUntilKilled(t *testing.T, round int) []*person {
	var clients []flowClient
	for _, client := range flowClients {
		clients = append(clients, client, client, client, client)
	}
	enough := int32(20 + rand.IntN(100))
	var answers atomic.Int32
	reached := make(chan struct{})
	answered := func() {
		if answers.Add(1) == enough {
			close(reached)
		}
	}
	var dead atomic.Bool
	people := make([]*person, len(clients))
	var busy sync.WaitGroup
	for n, client := range clients {
		here := *k.proxy
		here.site = k.newClientUntil(&dead)
		here.do(here.site, http.MethodGet, "/bare", "").want(t, "a connection", http.StatusOK)
		p := new(person)
		people[n] = p
		busy.Go(func() {
			defer here.site.CloseIdleConnections()
			for i := 0; p.doesFlow(t, &codeFlow{proxy: &here, client: client, user: fmt.Sprint("person ", round, "-", n, "-", i)}, answered); i++ {
			}
			p.flow.proxy = k.proxy
		})
	}
	gone := make(chan struct{})
	go func() { busy.Wait(); close(gone) }()
	select {
	case <-reached:
	case <-gone:
		t.Error("everybody failed before the proxy was killed")
	}
	dead.Store(true)
	k.kill()
	<-gone
	return people
}

// newClientUntil returns a client that opens no connection once the proxy is dead: it would wait in
// the socket, and what is in it would be carried out after the start.
func (p *proxy) newClientUntil(dead *atomic.Bool) *http.Client {
	client := p.newClient()
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dead.Load() {
			return nil, errors.New("the proxy is dead")
		}
		return dial(ctx, network, address)
	}
	return client
}

// doesFlow takes all steps, and reports whether each was answered.
func (p *person) doesFlow(t *testing.T, f *codeFlow, answered func()) bool {
	steps := f.client.steps()
	for i, step := range steps {
		before := *f
		switch a := step.take(f); a.status {
		case step.status:
			answered()
		case 0:
			p.flow, p.steps = before, steps[i:]
			return false
		default:
			a.want(t, f.user+": "+step.name, step.status)
			p.flow, p.steps = before, steps[i:]
			return false
		}
	}
	p.finished = append(p.finished, f)
	return true
}

// afterKill repeats the step without an answer, and goes on or starts again. The flows that were
// finished are over.
func (p *person) afterKill(t *testing.T) {
	f, step := &p.flow, p.steps[0]
	switch a := step.take(f); {
	case a.status == step.status:
		p.became = "answered now"
		f.through(t, p.steps[1:])
		f.isOver(t)
		f.askedOnce(t)
		f.redeemedOnce(t)
	case a.status == http.StatusBadRequest && step.name == "allow":
		p.became = "was spent"
		f.askedOnce(t)
		f.startsAgain(t)
	case a.status == http.StatusBadRequest && step.name == "redeem":
		p.became = "was spent"
		a.isInvalidGrant(t, f.user+": a code whose answer was lost")
		f.redeem().isInvalidGrant(t, f.user+": and again")
		f.startsAgain(t)
	default:
		a.want(t, f.user+": after the kill, "+step.name, step.status)
	}
	for _, done := range p.finished[max(0, len(p.finished)-1):] {
		done.proxy = f.proxy
		done.isOver(t)
		done.askedOnce(t)
		done.redeemedOnce(t)
	}
}

func logWhatBecame(t *testing.T, round int, people []*person) {
	counts, finished := make(map[string]int), 0
	for _, p := range people {
		counts[p.steps[0].name+" "+p.became]++
		finished += len(p.finished)
	}
	t.Logf("round %d: %v; %d flows finished before", round+1, counts, finished)
}
