package caddymodule_test

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// flowOptions are those of a server with the clients of a codeFlow. A header says who the user is.
const flowOptions = `insecure_identity {http.request.header.User}
		client native {
			auth_method none
			grants authorization_code refresh_token
			redirect_uris http://127.0.0.1/callback
			scope orders:read
			audience orders
		}
		client notes {
			secret ` + marker + `
			grants authorization_code refresh_token
			redirect_uris https://notes.example/callback
			scope orders:read
			audience orders
		}
		client orders-api {
			secret ` + marker + `
			introspect orders
		}`

// A flowClient is a client as RFC 6749 §2.1 tells them apart, and how it asks.
type flowClient struct {
	id, secret, redirectURI string
	pushes                  bool // its authorization requests (RFC 9126)
}

func (c flowClient) public() bool { return c.secret == "" }

// flowClients ask in all ways that are stored differently: a pushed request is sealed into the
// request_uri of a public client, and kept for the other; one that is not pushed is in the page.
var flowClients = map[string]flowClient{
	"public":       {"native", "", "http://127.0.0.1:51004/callback", true},
	"confidential": {"notes", marker, "https://notes.example/callback", true},
	"not pushed":   {"notes", marker, "https://notes.example/callback", false},
}

// The pair of RFC 7636 appendix B.
const (
	flowVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	flowChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// codeFlow is what a client and the browser of a user have in hand between two steps.
type codeFlow struct {
	*proxy
	client       flowClient
	user         string
	requestURI   string // RFC 9126 §2.2
	page, cookie string // on which the user decides
	code         string
	accessToken  string
	refreshToken string
	first        string // refresh token
}

// A flowStep is one request of a flow. It takes what the answer gives, if there is one.
type flowStep struct {
	name   string
	take   func(*codeFlow) response
	status int // of success
}

// flowSteps are all steps, in order.
var flowSteps = []flowStep{
	{"push", (*codeFlow).push, http.StatusCreated},
	{"open", (*codeFlow).open, http.StatusOK},
	{"allow", (*codeFlow).allow, http.StatusSeeOther},
	{"redeem", (*codeFlow).redeem, http.StatusOK},
	{"refresh", (*codeFlow).refresh, http.StatusOK},
	{"refresh again", (*codeFlow).refresh, http.StatusOK},
	{"introspect", (*codeFlow).introspect, http.StatusOK},
	{"revoke", (*codeFlow).endGrant, http.StatusOK},
}

// steps returns those that this client takes.
func (c flowClient) steps() []flowStep {
	if c.pushes {
		return flowSteps
	}
	return flowSteps[1:]
}

// asked is the authorization request (RFC 6749 §4.1.1). The user is asked each time.
func (f *codeFlow) asked() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {f.client.id}, "redirect_uri": {f.client.redirectURI},
		"scope": {"orders:read"}, "prompt": {"consent"}, "state": {f.user},
		"code_challenge": {flowChallenge}, "code_challenge_method": {"S256"},
	}
}

// send sends a form as the client, which has a secret or says its name.
func (f *codeFlow) send(path string, form url.Values) response {
	var pairs []string
	for name := range form {
		pairs = append(pairs, name, form.Get(name))
	}
	if f.client.public() {
		return f.post(path, "", "", append(pairs, "client_id", f.client.id)...)
	}
	return f.post(path, f.client.id, f.client.secret, pairs...)
}

// push is RFC 9126 §2.1.
func (f *codeFlow) push() response {
	a := f.send("/oauth/par", f.asked())
	f.requestURI = a.member("request_uri")
	return a
}

var pageOfFlow = regexp.MustCompile(`name="page" value="([^"]+)"`)

// open shows the page on which the user decides (RFC 6749 §4.1.1, RFC 9126 §4).
func (f *codeFlow) open() response {
	ask := f.asked()
	if f.client.pushes {
		ask = url.Values{"client_id": {f.client.id}, "request_uri": {f.requestURI}}
	}
	a := f.browse(http.MethodGet, "/oauth/authorize?"+ask.Encode(), "")
	if found := pageOfFlow.FindStringSubmatch(a.body); found != nil {
		f.page = found[1]
		f.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	}
	return a
}

// allow is what the user answers (RFC 6749 §4.1.2).
func (f *codeFlow) allow() response {
	a := f.browse(http.MethodPost, "/oauth/authorize", url.Values{"page": {f.page}, "decision": {"allow"}}.Encode())
	if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Query().Get("state") == f.user {
		f.code = to.Query().Get("code")
	}
	return a
}

func (f *codeFlow) browse(method, path, form string) response {
	return f.do(f.site, method, path, form, "User", f.user, "Cookie", f.cookie, "Content-Type", "application/x-www-form-urlencoded")
}

// redeem is RFC 6749 §4.1.3.
func (f *codeFlow) redeem() response {
	return f.token(url.Values{
		"grant_type": {"authorization_code"}, "code": {f.code}, "redirect_uri": {f.client.redirectURI}, "code_verifier": {flowVerifier},
	})
}

// refresh is RFC 6749 §6.
func (f *codeFlow) refresh() response {
	return f.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.refreshToken}})
}

// reuse presents the first refresh token once more, as somebody does who has a copy.
func (f *codeFlow) reuse() response {
	stolen := *f
	stolen.refreshToken = f.first
	return stolen.refresh()
}

func (f *codeFlow) token(form url.Values) response {
	a := f.send("/oauth/token", form)
	if a.status == http.StatusOK {
		f.refreshToken, f.accessToken = a.member("refresh_token"), a.accessToken()
		f.first = cmp.Or(f.first, f.refreshToken)
	}
	return a
}

// introspect is what a protected resource asks (RFC 7662 §2.1).
func (f *codeFlow) introspect() response {
	return f.post("/oauth/introspect", "orders-api", marker, "token", f.accessToken)
}

// endGrant revokes the refresh token, and with it the access tokens (RFC 7009 §2.1).
func (f *codeFlow) endGrant() response {
	return f.send("/oauth/revoke", url.Values{"token": {f.refreshToken}})
}

// through takes some steps, each of which must succeed.
func (f *codeFlow) through(t *testing.T, steps []flowStep) {
	t.Helper()
	for _, step := range steps {
		step.take(f).want(t, f.user+": "+step.name, step.status)
	}
}

// startsAgain takes all steps once more, from the first.
func (f *codeFlow) startsAgain(t *testing.T) {
	t.Helper()
	again := &codeFlow{proxy: f.proxy, client: f.client, user: f.user}
	again.through(t, f.client.steps())
	again.isOver(t)
}

// isGood requires that the access token is good.
func (f *codeFlow) isGood(t *testing.T) {
	t.Helper()
	f.get(f.accessToken).want(t, f.user+": the access token", http.StatusOK)
	if a := f.introspect(); !strings.Contains(a.body, `"active":true`) || !strings.Contains(a.body, `"sub":"`+f.user+`"`) {
		t.Errorf("%s: the access token is not active: %s", f.user, a.body)
	}
}

// isOver requires that nothing of what the flow has in hand is good, or gives anything.
func (f *codeFlow) isOver(t *testing.T) {
	t.Helper()
	f.get(f.accessToken).want(t, f.user+": an access token of what is over", http.StatusUnauthorized)
	if a := f.introspect(); a.body != `{"active":false}` {
		t.Errorf("%s: introspection of what is over: %s", f.user, a.body)
	}
	ended := *f
	ended.refresh().isInvalidGrant(t, f.user+": a refresh token of what is over")
	ended.reuse().isInvalidGrant(t, f.user+": the first refresh token of what is over")
}

// askedOnce requires that the user's answer gives no code again (RFC 9126 §7.3): neither the page,
// nor one that the request_uri still opens, as that of a public client may.
func (f *codeFlow) askedOnce(t *testing.T) {
	t.Helper()
	again := *f
	again.allow().want(t, f.user+": a page that was answered", http.StatusBadRequest)
	if f.client.pushes && (again.open().status == http.StatusOK || !f.client.public()) {
		again.allow().want(t, f.user+": another page of a request_uri that gave a code", http.StatusBadRequest)
	}
}

// redeemedOnce requires that the code is refused, and that this ends all that came of it (RFC 6749
// §4.1.2).
func (f *codeFlow) redeemedOnce(t *testing.T) {
	t.Helper()
	again := *f
	again.redeem().isInvalidGrant(t, f.user+": a code that was redeemed")
	f.isOver(t)
}

func (a response) isInvalidGrant(t testing.TB, what string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.member("error") != "invalid_grant" {
		t.Errorf("%s: %d %s, want invalid_grant", what, a.status, a.body)
	}
}
