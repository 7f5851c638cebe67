package caddymodule_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// caller is an application that acts for people by every grant. Each of its requests goes to
// another node than the one before: also the one that uses what that has given.
type caller struct {
	*proxy // whose site is any node
	fleet  *fleet
	sites  []*http.Client // of each node
	number int
	last   int    // the node that got the last request
	from   string // the address of the client, which a proxy in front of the nodes knows

	families []*codeFlow // that go on
	counts   bool        // what each request costs the store
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

// gets is a request for a token, which passes at another node then.
func (c *caller) gets(name, once string, take func() response) (token string, good bool) {
	a, good := c.does(name, http.StatusOK, once, take)
	if good {
		token = a.accessToken()
		c.fleet.book.issued(token)
		c.does("verification", http.StatusOK, idempotent, func() response { return c.get(token) })
	}
	return token, good
}

// clientCredentials is RFC 6749 §4.4.
func (c *caller) clientCredentials() {
	c.gets("client_credentials", idempotent, func() response { return c.credentials("app", marker) })
}

// exchangesAccessToken is RFC 8693 §2, with a token that the same client has for a person.
func (c *caller) exchangesAccessToken() {
	of := slices.IndexFunc(c.families, func(f *codeFlow) bool { return f.client == loadApp })
	if of < 0 {
		c.usesPassword()
		return
	}
	token := c.families[of].accessToken
	c.gets("token-exchange of an access token", idempotent, func() response {
		return c.post("/oauth/token", "app", marker, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
			"subject_token", token, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
	})
}

func (c *caller) exchangesAPIToken() {
	all := c.fleet.book.apiTokens
	token := all[rand.IntN(len(all))]
	c.gets("token-exchange of an API token", idempotent, func() response { return c.exchange(token) })
}

// asserts is RFC 7523 §2.1. Each assertion is good once.
func (c *caller) asserts() {
	assertion := c.fleet.ci.Sign(verifytest.Claims{"sub": personOfLoad(c.number)})
	c.gets("jwt-bearer", spent, func() response {
		return c.post("/oauth/token", "app", marker, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion)
	})
}

var (
	loadNative = flowClient{"native", "", "http://127.0.0.1:51004/callback", false}
	loadApp    = flowClient{"app", marker, "https://notes.example/callback", false}
)

// usesPassword is RFC 6749 §4.3.
func (c *caller) usesPassword() {
	f := &codeFlow{proxy: c.proxy, client: loadApp, user: personOfLoad(rand.IntN(loadPeople))}
	_, good := c.gets("password", idempotent, func() response {
		return f.token(url.Values{"grant_type": {"password"}, "username": {f.user}, "password": {"wonderland"}})
	})
	c.goesOn(f, good)
}

// goesOn keeps what came of a sign-in, to refresh it. The oldest of many is left in peace until the
// end.
func (c *caller) goesOn(f *codeFlow, good bool) {
	if !good {
		return
	}
	if c.families = append(c.families, f); len(c.families) > 20 {
		c.fleet.book.keep(c.families[0])
		c.families = c.families[1:]
	}
}

func (c *caller) family() *codeFlow { return c.families[rand.IntN(len(c.families))] }

// take is family, which then is nobody's.
func (c *caller) take() *codeFlow {
	i := rand.IntN(len(c.families))
	f := c.families[i]
	c.families = append(c.families[:i:i], c.families[i+1:]...)
	return f
}

// signsIn is RFC 6749 §4.1 with RFC 7636, in a new browser, in which a person signs in and allows
// it.
func (c *caller) signsIn() {
	f := &codeFlow{proxy: c.proxy, client: []flowClient{loadNative, loadNative, loadApp}[rand.IntN(3)], user: personOfLoad(rand.IntN(loadPeople))}
	v := visitor{c.proxy, make(map[string]string)}
	page, good := c.shows(v, "/oauth/authorize?"+f.asked().Encode(), f.user)
	if !good {
		return
	}
	f.page, f.cookie = hidden(page), v.cookie()
	if _, good = c.does("page: allow", http.StatusSeeOther, spentPage, f.allow); !good {
		return
	}
	if rand.IntN(10) == 0 {
		c.redeemsTwice(f)
		return
	}
	_, good = c.gets("authorization_code", spent, f.redeem)
	c.goesOn(f, good)
}

// redeemsTwice redeems a code at two nodes at once. One at most gives something, and that ends, as
// soon as the other one has refused.
func (c *caller) redeemsTwice(f *codeFlow) {
	var both sync.WaitGroup
	flows, answers := [2]codeFlow{*f, *f}, [2]response{}
	for i := range flows {
		flows[i].proxy = c.at(c.next())
		both.Go(func() { answers[i] = flows[i].redeem() })
	}
	both.Wait()
	won := slices.IndexFunc(answers[:], func(a response) bool { return a.status == http.StatusOK })
	for i, a := range answers {
		switch {
		case a.status == 0:
			c.fleet.book.note("authorization_code", "no answer, of two nodes at once", 1)
			return // nobody knows what has become of it
		case a.member("error") != "invalid_grant" && i != won:
			c.fleet.book.wrong("a code at two nodes at once", a)
			return
		}
	}
	if c.fleet.book.note("authorization_code", "refused, of two nodes at once", 1); won >= 0 {
		flows[won].proxy = c.proxy
		c.isRefused(&flows[won])
	}
}

// shows opens a page for which a person has to sign in, and sends the form that asks for that.
func (c *caller) shows(v visitor, path, person string) (page response, good bool) {
	page, good = c.does("page: sign in", http.StatusOK, idempotent, func() response { return v.browse(http.MethodGet, path, "") })
	if !good {
		return page, false
	}
	form := url.Values{"flow": {hidden(page)}, "username": {person}, "password": {"wonderland"}}.Encode()
	return c.does("page: signed in", http.StatusOK, spentPage, func() response { return v.browse(http.MethodPost, "/oauth/sign-in", form) })
}

// hidden is the hidden one of a page.
func hidden(page response) string {
	if found := hiddenField.FindStringSubmatch(page.body); found != nil {
		return found[2]
	}
	return ""
}

func (v visitor) cookie() string {
	var all []string
	for name, value := range v.cookies {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "; ")
}

// usesDevice is RFC 8628: a device that asks too early now and then, and a person in a new browser.
func (c *caller) usesDevice() {
	f := &codeFlow{proxy: c.proxy, client: loadNative, user: personOfLoad(rand.IntN(loadPeople))}
	a, good := c.does("device_authorization", http.StatusOK, idempotent, func() response {
		return f.send("/oauth/device_authorization", url.Values{"scope": {"orders:read"}})
	})
	if !good {
		return
	}
	poll := func() response {
		return f.token(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {a.member("device_code")}})
	}
	if rand.IntN(4) == 0 {
		// RFC 8628 §3.5. Whoever had no answer has asked twice.
		switch early, _ := c.does("device_code, too early", http.StatusBadRequest, idempotent, poll); early.member("error") {
		case "authorization_pending":
			time.Sleep(loadInterval)
		case "slow_down":
			time.Sleep(loadInterval + slowDown)
		default:
			c.fleet.book.wrong("device_code, too early", early)
		}
	}
	v := visitor{c.proxy, make(map[string]string)}
	page, good := c.shows(v, "/oauth/device?user_code="+a.member("user_code"), f.user)
	if !good {
		return
	}
	form := url.Values{"page": {hidden(page)}, "decision": {"allow"}}.Encode()
	if _, good = c.does("page: allow device", http.StatusOK, spentPage, func() response { return v.browse(http.MethodPost, "/oauth/device", form) }); good {
		_, good = c.gets("device_code", spent, poll)
	}
	c.goesOn(f, good)
}

// refreshes is RFC 6749 §6: of a public client, whose tokens are rotated, or of another one.
func (c *caller) refreshes() {
	f := c.family()
	name := "refresh_token"
	if f.client.public() {
		name = "refresh_token, rotated"
	}
	c.gets(name, idempotent, f.refresh)
}

// revokes ends what a person has allowed (RFC 7009 §2.1).
func (c *caller) revokes() {
	f := c.take()
	if _, good := c.does("revocation", http.StatusOK, idempotent, f.endGrant); good {
		c.isRefused(f)
	}
}

// replays redeems a code again (RFC 6749 §4.1.2), which ends what came of it.
func (c *caller) replays() {
	f := c.take()
	if f.code == "" { // that of a device, or of a password
		c.families = append(c.families, f)
		return
	}
	again := *f
	if a, good := c.does("a code again", http.StatusBadRequest, idempotent, again.redeem); good && a.member("error") == "invalid_grant" {
		c.isRefused(f)
	} else {
		c.fleet.book.wrong("a code again", a)
	}
}

// isRefused waits until no node takes the token of what has ended, and notes how long that was.
func (c *caller) isRefused(f *codeFlow) {
	ended := time.Now()
	for i, n := range c.fleet.nodes {
		for refused := false; !refused && !n.dead.Load(); {
			asked := time.Since(ended)
			switch a := c.at(i).get(f.accessToken); {
			case a.status == http.StatusUnauthorized:
				refused = true
				c.fleet.book.refused(time.Since(ended))
			case a.status == http.StatusOK && asked > revocationBound:
				c.fleet.book.wrong(fmt.Sprint("revoked ", asked, " ago, and good"), a)
				return
			case a.status != http.StatusOK && a.status != 0:
				c.fleet.book.wrong("a revoked token", a)
				return
			case a.status == http.StatusOK:
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	c.does("refresh_token, revoked", http.StatusBadRequest, idempotent, func() response { gone := *f; return gone.refresh() })
	c.fleet.book.ended(f)
}
