package caddymodule_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// caller is an application that acts for people by every grant. Each of its requests goes to
// another node than the one before: also the one that uses what that has given.
type caller struct {
	*proxy // whose site is any node
	fleet  *fleet
	sites  []*http.Client // of each node
	number int
	last   int    // the node that got the last request
	people int    // who have signed in
	from   string // the address of the client, which a proxy in front of the nodes knows

	families []*codeFlow // that go on
	counts   bool        // what each request asks of the store
	only     bool        // the requests for tokens, without those that use them
}

func (f *fleet) newCaller(number int) *caller {
	c := &caller{fleet: f, number: number, last: number}
	here := *f.nodes[0].proxy
	for _, n := range f.nodes {
		c.sites = append(c.sites, n.newClientUntil(&n.dead))
	}
	here.site = &http.Client{Transport: c, CheckRedirect: c.sites[0].CheckRedirect}
	c.proxy = &here
	c.moves()
	return c
}

// moves gives it another address. One address may ask for 120 device codes in an hour.
func (c *caller) moves() {
	c.from = fmt.Sprintf("10.%d.%d.%d", c.number, rand.IntN(256), rand.IntN(256))
}

// RoundTrip sends a request to the next node.
func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", c.from)
	return c.sites[c.next()].Transport.RoundTrip(r)
}

// next is the next node that lives.
func (c *caller) next() int {
	for range c.sites {
		if c.last = (c.last + 1) % len(c.sites); !c.fleet.nodes[c.last].dead.Load() {
			break
		}
	}
	return c.last
}

// at is the caller at one node alone.
func (c *caller) at(node int) *proxy {
	here := *c.proxy
	here.site = c.sites[node]
	return &here
}

// How long a device waits from one question to the next, and how much longer after slow_down (RFC
// 8628 §3.5).
const (
	loadInterval = time.Second
	slowDown     = 5 * time.Second
)

// What may be said to a request whose answer was lost, when it is made again: spent is the code of
// the error of a grant whose credential is good once, and page that of a form.
const (
	idempotent = ""
	spent      = "invalid_grant"
	spentPage  = "page"
)

// does makes a request until there is an answer, which must have this status; then it is good. If
// what it presents is spent, by a request whose answer was lost, the caller has to start again.
func (c *caller) does(name string, status int, once string, take func() response) (a response, good bool) {
	book, lost := &c.fleet.book, false
	for range 20 {
		before := c.calls()
		began := time.Now()
		a = take()
		took := time.Since(began)
		code := a.member("error")
		switch {
		case a.status == status:
			book.took(name, took, c.calls().Sub(before))
			return a, true
		case a.status == 0:
			book.note(name, "no answer", 1)
			lost = true
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
			book.note(name, "503 with Retry-After: "+code, 1)
			time.Sleep(time.Second) // as it was told
		case lost && code == "slow_down": // it has asked just now
			book.note(name, "slow_down, after no answer", 1)
			time.Sleep(loadInterval + slowDown)
		case lost && a.status == http.StatusBadRequest && (once == code || once == spentPage):
			book.note(name, "spent, after no answer", 1)
			return a, false
		default:
			book.wrong(name, a)
			return a, false
		}
	}
	book.wrong(name+", twenty times", a)
	return a, false
}

// calls is what the store was asked until now, if that is to be counted.
func (c *caller) calls() (calls servertest.Calls) {
	if c.counts {
		var err error
		if calls, err = c.fleet.figures.Calls(c.ctx); err != nil {
			c.t.Error(err)
		}
	}
	return calls
}

// doesSomething is one piece of the load.
func (c *caller) doesSomething() {
	c.moves()
	if len(c.families) < 5 {
		c.signsIn()
		return
	}
	pieces := []func(){
		c.clientCredentials, c.clientCredentials, c.refreshes, c.refreshes, c.refreshes, c.refreshes, c.exchangesAccessToken,
		c.exchangesAPIToken, c.asserts, c.asserts, c.signsIn, c.usesPassword, c.usesDevice, c.revokes, c.replays,
	}
	pieces[rand.IntN(len(pieces))]()
}
