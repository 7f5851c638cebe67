package endpoint_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const (
	consentPath = "/oauth/consent/"
	grantsPath  = "/oauth/grants"
)

func ownPage(c *server.Config) { c.ConsentPage = "/account/consent?lang=en" }

// asked sends an authorization request, and returns the consent_token with which the browser is
// sent to the site's own page, and a request from there for what is asked.
func asked(t *testing.T, s *tokeneptest.Server, r request) (token string, look request) {
	t.Helper()
	a := s.Send(t, r)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusSeeOther || to.Host != "" || to.Path != "/account/consent" || to.Query().Get("lang") != "en" {
		t.Fatalf("%d %s; want the page of the site", a.Status, a.Header.Get("Location"))
	}
	if a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.Header)
	}
	token = to.Query().Get("consent_token")
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	look = get(consentPath+token).With("Cookie", cookie).With(tokeneptest.UserHeader, r.Header.Get(tokeneptest.UserHeader))
	return token, look
}

// grants returns a request with the answer of the person who looks, as JSON.
func grants(look request, token, allowed string) request {
	r := tokeneptest.PostJSON(fmt.Sprintf(`{"consent_token":%q,"allowed":%s,"more":{}}`, token, allowed)).At(grantsPath)
	return from(look, r).With("Sec-Fetch-Site", "same-origin")
}

// from returns r as it comes from the browser of another request.
func from(browser, r request) request {
	for _, name := range []string{"Cookie", tokeneptest.UserHeader} {
		if values := browser.Header[name]; values != nil {
			r = r.With(name, values...)
		}
	}
	return r
}

// redirectURI returns the parameters of the answer to the page.
func redirectURI(t *testing.T, a tokeneptest.Answer) url.Values {
	t.Helper()
	text, _ := a.JSON["redirect_uri"].(string)
	to, err := url.Parse(text)
	if err != nil || a.Status != http.StatusOK || len(a.JSON) != 1 || !strings.HasPrefix(text, tokeneptest.Callback+"?") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a.NotStored(t)
	return to.Query()
}

// A page of the site's own is told what is asked, and sends the answer; the client sees no
// difference.
func TestConsentPage(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, ownPage)
	writes := s.Store.Writes()
	token, look := asked(t, s, authorize("native", "scope", "read", "resource", tokeneptest.Orders))
	a := s.Send(t, look)
	a.NotStored(t)
	want := map[string]any{
		"client_id": "native", "client_name": "A native app", "user": "alice", "self_registered": false, "scopes": []string{"read"}, "resources": []string{tokeneptest.Orders},
		"redirect_uri": tokeneptest.RedirectURI("native"), "redirect_host": "127.0.0.1", "redirect_loopback": true, "remembered": false, "expires_in": 1800,
	}
	if a.Status != http.StatusOK || !tokeneptest.EqualJSON(a.JSON, want) || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %s, want %v", a.Status, a.Body, want)
	}
	if n := s.Store.Writes() - writes; n != 0 {
		t.Errorf("%d records were written", n)
	}
	if a := s.Send(t, grants(look, token, "true")); !strings.HasPrefix(fmt.Sprint(a.JSON["redirect_uri"]), tokeneptest.RedirectURI("native")+"?code=") {
		t.Errorf("%d %s", a.Status, a.Body)
	}

	for name, answer := range map[string]func(look request, token string) request{
		"JSON": func(look request, token string) request { return grants(look, token, "true") },
		"form": func(look request, token string) request {
			return from(look, post("consent_token", token, "allowed", "true").At(grantsPath)).With("Origin", issuer)
		},
		"pushed": func(look request, token string) request { return grants(look, token, "true") },
	} {
		t.Run(name, func(t *testing.T) {
			ask := authorize("site", "scope", "read", "prompt", "consent")
			if name == "pushed" {
				ask = s.Pushed(t, push("site", "scope", "read", "prompt", "consent"))
			}
			token, look := asked(t, s, ask)
			values := redirectURI(t, s.Send(t, answer(look, token)))
			if values.Get("state") != "the state" || values.Get("iss") != issuer || len(values) != 3 {
				t.Errorf("%v", values)
			}
			s.Send(t, answer(look, token)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
			s.Granted(t, tokeneptest.RedeemCode("site", values.Get("code")))
		})
	}
	token, look = asked(t, s, authorize("site", "prompt", "consent"))
	values := redirectURI(t, s.Send(t, grants(look, token, "false")))
	if values.Get("error") != "access_denied" || values.Get("state") != "the state" || values.Get("iss") != issuer {
		t.Errorf("%v", values)
	}
	// Without scope, resources or https: nothing is null.
	bare := tokenep.Client{ID: "bare", AuthMethod: tokenep.AuthNone, GrantTypes: s.Config.Clients[len(s.Config.Clients)-1].GrantTypes, RedirectURIs: []string{"com.example:/cb"}}
	s = tokeneptest.New(t, tokeneptest.WithPeople, ownPage, tokeneptest.WithClients(bare))
	_, look = asked(t, s, authorize("bare", "redirect_uri", ""))
	if a := s.Send(t, look); !strings.Contains(string(a.Body), `"scopes":[],"resources":[],"redirect_uri":"com.example:/cb","redirect_host":"","redirect_loopback":false`) {
		t.Errorf("%s", a.Body)
	}
}

// OAuth 2.0 Form Post Response Mode: the page sends the parameters itself.
func TestConsentPageFormPost(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, ownPage)
	token, look := asked(t, s, authorize("site", "response_mode", "form_post"))
	a := s.Send(t, grants(look, token, "true"))
	form, _ := a.JSON["form"].(map[string]any)
	if a.JSON["redirect_uri"] != tokeneptest.Callback || form["code"] == "" || form["state"] != "the state" || form["iss"] != issuer || len(form) != 3 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// A token is of one user and one browser, for half an hour; the answer comes from the issuer's own
// origin. A page of another origin neither reads what is asked nor answers it.
func TestConsentPageIsBound(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, ownPage)
	token, look := asked(t, s, authorize("site"))
	allow := grants(look, token, "true")
	bare := without(allow, "Sec-Fetch-Site")
	form := from(look, post("consent_token", token, "allowed", "true").At(grantsPath))
	field := func(pairs ...string) request {
		return from(look, post(pairs...).At(grantsPath)).With("Sec-Fetch-Site", "same-origin")
	}
	body := func(text string) request { r := allow; r.Body = text; return r }
	writes := s.Store.Writes()
	for name, row := range map[string]struct {
		r      request
		status int
	}{
		"another user":                     {allow.With(tokeneptest.UserHeader, "mallory"), 400},
		"nobody":                           {without(allow, tokeneptest.UserHeader), 403},
		"another browser":                  {allow.With("Cookie", "__Host-oauth_browser=AAAAAAAAAAAAAAAAAAAAAA"), 400},
		"no cookie":                        {without(allow, "Cookie"), 400},
		"another user looks":               {look.With(tokeneptest.UserHeader, "mallory"), 400},
		"nobody looks":                     {without(look, tokeneptest.UserHeader), 403},
		"another browser looks":            {without(look, "Cookie"), 400},
		"looking at nothing":               {look.At(consentPath + "AAAA"), 400},
		"looking without a token":          {look.At(consentPath), 404},
		"looking with two segments":        {look.At(consentPath + token + "/x"), 404},
		"POST to look":                     {from(look, post("a", "b").At(consentPath+token)), 405},
		"GET to answer":                    {from(look, get(grantsPath)), 405},
		"JSON of another site":             {allow.With("Sec-Fetch-Site", "cross-site"), 403},
		"JSON of a sibling":                {allow.With("Sec-Fetch-Site", "same-site"), 403},
		"JSON of another origin":           {bare.With("Origin", "https://evil.example"), 403},
		"JSON of no origin":                {bare.With("Origin", "null"), 403},
		"a form that says nothing":         {form, 403},
		"a form of another origin":         {form.With("Origin", "https://as.example.evil.example"), 403},
		"a form of another scheme":         {form.With("Origin", "http://as.example"), 403},
		"a form of another port":           {form.With("Origin", "https://as.example:8443"), 403},
		"a form of another site":           {form.With("Origin", issuer).With("Sec-Fetch-Site", "cross-site"), 403},
		"text that claims to be nothing":   {allow.With("Content-Type", "text/plain"), 400},
		"text that says nothing of itself": {bare.With("Content-Type", "text/plain"), 403},
		"neither allowed nor denied":       {field("consent_token", token, "allowed", "perhaps"), 400},
		"allowed is missing":               {field("consent_token", token), 400},
		"allowed twice":                    {field("consent_token", token, "allowed", "true", "allowed", "false"), 400},
		"the token is missing":             {field("allowed", "true"), 400},
		"JSON without a token":             {body(`{"allowed":true}`), 400},
		"JSON without an answer":           {body(`{"consent_token":"` + token + `"}`), 400},
		"JSON with null":                   {body(`{"consent_token":"` + token + `","allowed":null}`), 400},
		"JSON with a text":                 {body(`{"consent_token":"` + token + `","allowed":"true"}`), 400},
		"no JSON":                          {body(`{`), 400},
		"JSON that is too long":            {body(strings.Repeat(" ", 64<<10) + allow.Body), 400},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, row.r.With("X", "y"))
			if a.Status != row.status || a.JSON["error"] == nil || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%d %s, want %d", a.Status, a.Body, row.status)
			}
		})
	}
	if n := s.Store.Writes() - writes; n != 0 {
		t.Errorf("%d records were written", n)
	}
	preflight := request{Method: http.MethodOptions, Path: grantsPath, Header: http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}}
	if a := s.Send(t, preflight); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", a.Header)
	}
	if s.Send(t, bare).Status != http.StatusOK { // JSON that says nothing of where it comes from
		t.Error("refused")
	}
	token, look = asked(t, s, authorize("site", "prompt", "consent"))
	s.Clock.Advance(30 * time.Minute)
	s.Send(t, look).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
	s.Send(t, grants(look, token, "true")).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
	if a := tokeneptest.New(t, tokeneptest.WithPeople).Send(t, allow); a.Status != http.StatusNotFound {
		t.Errorf("%d: there is an endpoint without a page", a.Status)
	}
}

// The page is of the issuer's origin.
func TestConsentPageAddress(t *testing.T) {
	for page, good := range map[string]bool{
		"/consent": true, "/": true, "/consent?a=b": true, "https://as.example/consent": true, "https://AS.example:443/x": true,
		"consent": false, "//evil.example/x": false, `/\evil.example/x`: false, "https://evil.example/x": false, "http://as.example/x": false,
		"https://as.example:8443/x": false, "https://a@as.example/x": false, "/x#y": false, "https:/x": false, "javascript:alert(1)": false, "/%zz": false,
	} {
		s := tokeneptest.New(t)
		config := s.Config
		config.ConsentPage = page
		if _, err := server.New(config); (err == nil) != good {
			t.Errorf("%s: %v, want it to be good: %v", page, err, good)
		}
	}
}
