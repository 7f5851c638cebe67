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

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// gets is a request for a token, which passes at another node then.
func (c *caller) gets(name, once string, take func() response) (token string, good bool) {
	a, good := c.does(name, http.StatusOK, once, take)
	if token = a.accessToken(); good && !c.only {
		c.fleet.book.issued(token)
		c.does("verification", http.StatusOK, idempotent, func() response { return c.get(token) })
		if once == spent && name != "authorization_code" && rand.IntN(5) == 0 {
			c.isSpent(name+", again", take)
		}
	}
	return token, good
}

// isSpent presents what is good once, again, at another node.
func (c *caller) isSpent(name string, take func() response) (refused bool) {
	a, good := c.does(name, http.StatusBadRequest, idempotent, take)
	if refused = good && a.member("error") == "invalid_grant"; good && !refused {
		c.fleet.book.wrong(name, a)
	}
	return refused
}

// somebody is the next person who signs in.
func (c *caller) somebody() string {
	c.people++
	return personOfLoad(loadPeople/loadCallers*c.number + c.people)
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
	f := &codeFlow{proxy: c.proxy, client: loadApp, user: c.somebody()}
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
func (c *caller) signsIn() { c.signsInTo([]flowClient{loadNative, loadNative, loadApp}[rand.IntN(3)]) }

func (c *caller) signsInTo(client flowClient) {
	f := &codeFlow{proxy: c.proxy, client: client, user: c.somebody()}
	v := visitor{c.proxy, make(map[string]string)}
	page, good := c.shows(v, "/oauth/authorize?"+f.asked().Encode(), f.user)
	if !good {
		return
	}
	f.page, f.cookie = hidden(page), v.cookie()
	if _, good = c.does("page: allow", http.StatusSeeOther, spentPage, f.allow); !good {
		return
	}
	if !c.only && rand.IntN(10) == 0 {
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
	f := &codeFlow{proxy: c.proxy, client: loadNative, user: c.somebody()}
	a, good := c.does("device_authorization", http.StatusOK, idempotent, func() response {
		return f.send("/oauth/device_authorization", url.Values{"scope": {"orders:read"}})
	})
	if !good {
		return
	}
	poll := func() response {
		return f.token(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {a.member("device_code")}})
	}
	if !c.only && rand.IntN(4) == 0 {
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
	if c.isSpent("authorization_code, again", again.redeem) {
		c.isRefused(f)
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
	gone := *f
	c.isSpent("refresh_token, revoked", gone.refresh)
	c.fleet.book.ended(f)
}
