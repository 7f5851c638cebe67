package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
)

// flowStores are the engines that outlive a process.
var flowStores = map[string]func(*testing.T) (store, environment string){
	"bolt": func(*testing.T) (string, string) { return "store bolt %DIR%/state.db", "" },
	"redis": func(t *testing.T) (string, string) {
		_, store, environment := database(t, "redis")
		return store, environment
	},
	"postgres": func(t *testing.T) (string, string) {
		_, store, environment := database(t, "postgres")
		return store, environment
	},
}

// killable is a proxy with the clients of codeFlow, which can be killed and started again.
type killable struct {
	*proxy
	environment string
}

func newKillable(t *testing.T, engine string) killable {
	t.Helper()
	store, environment := flowStores[engine](t)
	k := killable{newProxy(t, store), environment}
	k.more = flowOptions
	k.mustStart(environment)
	return k
}

// dies ends the process as kill -9 does, and starts it again: on the same store and socket.
func (k killable) dies() {
	k.kill()
	k.mustStart(k.environment)
}

// Between any two steps of a code flow the proxy is killed, on each engine that outlives it. A
// client that has the last answer goes on. One that has lost it repeats the step, which gives the
// same once more, or nothing, and then it starts again. What is spent stays spent, and what was
// revoked stays revoked.
func TestKilledBetweenTheStepsOfACodeFlow(t *testing.T) {
	for engine := range flowStores {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			k := newKillable(t, engine)
			going := make(map[string]*codeFlow)
			for name, client := range flowClients {
				going[name] = &codeFlow{proxy: k.proxy, client: client, user: "goes on: " + name}
			}
			for n, step := range flowSteps {
				var cut []lostAnswer
				for name, client := range flowClients {
					steps := client.steps()
					at := n - len(flowSteps) + len(steps)
					if at < 0 {
						continue
					}
					going[name].through(t, steps[at:at+1])
					f := &codeFlow{proxy: k.proxy, client: client, user: fmt.Sprintf("%s after step %d, %s", name, n, step.name)}
					f.through(t, steps[:at])
					before := *f
					f.through(t, steps[at:at+1])
					cut = append(cut, lostAnswer{steps[at:], before, f})
				}
				k.dies()
				for _, l := range cut {
					l.repeats(t)
				}
				for _, f := range going {
					if f.accessToken != "" && step.name != "revoke" {
						f.isGood(t)
					}
				}
				if t.Failed() {
					t.Fatalf("killed after step %d, %s", n, step.name)
				}
			}
			for _, f := range going {
				f.isOver(t)
				f.askedOnce(t)
				f.redeemedOnce(t)
			}
		})
	}
}

// lostAnswer is a flow whose last answer got lost: before is what the client and the browser have
// in hand, and answer what they would have.
type lostAnswer struct {
	steps  []flowStep // that one, and those after it
	before codeFlow
	answer *codeFlow
}

// repeats takes the step again, by which whatever was lost comes back, or ends.
func (l lostAnswer) repeats(t *testing.T) {
	t.Helper()
	f := l.before
	switch l.steps[0].name {
	case "push", "open": // what they give is good for nothing by itself
		f.through(t, l.steps)
		f.isOver(t)
	case "allow":
		f.askedOnce(t)
		f.startsAgain(t)
	case "redeem":
		f.redeem().isInvalidGrant(t, f.user+": a code whose answer was lost")
		l.answer.isOver(t)
		f.startsAgain(t)
	case "refresh", "refresh again":
		// RFC 9700 §4.14.2: there is one line of tokens, which goes on.
		f.refresh().want(t, f.user+": the refresh token whose answer was lost", http.StatusOK)
		if f.refreshToken != l.answer.refreshToken {
			t.Errorf("%s: there are two successors of one refresh token", f.user)
		}
		f.isGood(t)
		l.answer.isGood(t)
		switch {
		case l.steps[0].name == "refresh": // the first one is in its grace
		case f.client.public():
			f.reuse().isInvalidGrant(t, f.user+": a refresh token of long ago")
			f.isOver(t)
		default:
			f.reuse().want(t, f.user+": a refresh token that is not rotated", http.StatusOK)
			f.redeemedOnce(t)
		}
	case "introspect":
		f.isGood(t)
	case "revoke":
		f.endGrant().want(t, f.user+": a revocation whose answer was lost", http.StatusOK)
		l.answer.isOver(t)
	}
}
