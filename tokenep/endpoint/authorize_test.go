package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const authorizePath = tokeneptest.AuthorizePath

var authorize = tokeneptest.Authorize

// without returns a request without one of its headers.
func without(r request, header string) request {
	r.Header = r.Header.Clone()
	delete(r.Header, header)
	return r
}

// asPost returns an authorization request as a form (OpenID Connect Core §3.1.2.1).
func asPost(r request) request {
	path, query, _ := strings.Cut(r.Path, "?")
	post := tokeneptest.PostForm(query).At(path)
	for name, values := range r.Header {
		post = post.With(name, values...)
	}
	return post
}

// onPage fails the test unless the answer is a page that says this, and leads nowhere.
func onPage(t *testing.T, a tokeneptest.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(string(a.Body), text) || a.Header.Get("Location") != "" {
		t.Errorf("%d %s %s; want a page of status %d with %q", a.Status, a.Header.Get("Location"), a.Body, status, text)
	}
	secured(t, a)
}

// secured holds a page to the headers that keep it out of frames and caches, and scripts out of it.
func secured(t *testing.T, a tokeneptest.Answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "unsafe-none",
		"Access-Control-Allow-Origin": "",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	policy := a.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy lacks %s: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "form-action") {
		t.Errorf("the policy is %s", policy)
	}
}

// RFC 6749 §4.1.1 and §4.1.2, RFC 9207 §2: the user is asked, and the answer goes to the redirect
// URI. Whether the request is a GET or a POST makes no difference.
func TestAuthorize(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	r := authorize("native", "scope", "read", "ui_locales", "fr", "claims_locales", "fr", "acr_values", "urn:x", "extra", "foobar", "login_hint", "bob", "display", "popup")
	for name, r := range map[string]request{"GET": r, "POST": asPost(r)} {
		t.Run(name, func(t *testing.T) {
			page := s.Send(t, r)
			for _, text := range []string{"A native app", "alice", "<li>read</li>", "127.0.0.1", "a program on this computer", tokeneptest.Orders} {
				if !strings.Contains(string(page.Body), text) {
					t.Errorf("the page does not say %q: %s", text, page.Body)
				}
			}
			secured(t, page)
			allowed := s.Send(t, s.Consent(t, r, "allow"))
			values := allowed.Redirected(t, tokeneptest.RedirectURI("native"))
			if len(values) != 3 || values.Get("code") == "" || values.Get("state") != "the state" {
				t.Errorf("%v", values)
			}
			if allowed.Header.Get("Cache-Control") != "no-store" || allowed.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%v", allowed.Header)
			}
			_, token := s.Granted(t, tokeneptest.RedeemCode("native", values.Get("code")))
			if token.Subject != "alice" || token.Scope.String() != "read" {
				t.Errorf("%+v", token)
			}
		})
	}
}

// Nothing is written before the user has decided, and one who denies writes nothing either.
func TestAuthorizeWritesNothing(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	before := s.Store.Writes()
	deny := s.Consent(t, authorize("site"), "deny")
	values := s.Send(t, deny).Redirected(t, tokeneptest.Callback)
	if values.Get("error") != "access_denied" || values.Get("state") != "the state" || values.Get("code") != "" {
		t.Errorf("%v", values)
	}
	if n := s.Store.Writes() - before; n != 0 {
		t.Errorf("%d records were written", n)
	}
}

// RFC 6749 §3.1.2.4, §4.1.2.1: if the client or the redirect URI is not good, the user reads it,
// and nobody is redirected.
func TestAuthorizeShowsWhatItCannotRedirect(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	twice := func(name, value string) request {
		r := authorize("site")
		r.Path += "&" + url.Values{name: {value}}.Encode()
		return r
	}
	for name, c := range map[string]struct {
		r    request
		text string
	}{
		"client_id missing":                       {authorize("site", "client_id", ""), "client_id is missing"},
		"client_id unknown":                       {authorize("site", "client_id", "nobody"), "no client with this client_id"},
		"client_id repeated":                      {twice("client_id", "site"), "a parameter is repeated"},
		"redirect_uri of nobody":                  {authorize("site", "redirect_uri", "https://evil.example"), "has not registered"},
		"redirect_uri of another client":          {authorize("site", "redirect_uri", "http://127.0.0.1/callback"), "has not registered"},
		"redirect_uri with a query":               {authorize("site", "redirect_uri", tokeneptest.Callback+"?a=1"), "has not registered"},
		"redirect_uri with userinfo":              {authorize("site", "redirect_uri", "https://a@site.example/callback"), "has not registered"},
		"redirect_uri with a fragment":            {authorize("site", "redirect_uri", tokeneptest.Callback+"#a"), "has not registered"},
		"redirect_uri with an encoded slash":      {authorize("site", "redirect_uri", "https://site.example%2Fcallback"), "has not registered"},
		"redirect_uri with a dot behind the host": {authorize("site", "redirect_uri", "https://site.example./callback"), "has not registered"},
		"redirect_uri repeated":                   {twice("redirect_uri", tokeneptest.Callback), "a parameter is repeated"},
		"redirect_uri of a client without any":    {authorize("billing", "redirect_uri", ""), "has no redirect_uri"},
		"neither, and everything else wrong":      {tokeneptest.Get(authorizePath + "?response_type=token&state=a&state=b"), "repeated"},
		"the query is no form":                    {tokeneptest.Get(authorizePath + "?client_id=%zz"), "urlencoded"},
		"a form of another media type":            {asPost(authorize("site")).With("Content-Type", "text/plain"), "Content-Type"},
		"an error is not written into the page":   {authorize("site", "client_id", "<script>"), "no client"},
		"a page that was not made by this server": {tokeneptest.Post("page", "AAAA", "decision", "allow").At(authorizePath).With(tokeneptest.UserHeader, "alice"), "not of this server"},
		"a page, and neither allowed nor denied":  {s.Consent(t, authorize("site"), "perhaps"), "neither allow nor deny"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, c.r)
			onPage(t, a, http.StatusBadRequest, c.text)
			if strings.Contains(string(a.Body), "<script>") {
				t.Error("the page has what was sent")
			}
		})
	}
	s.Store.SetAway(true)
	onPage(t, s.Send(t, authorize("site", "client_id", "who knows")), http.StatusServiceUnavailable, "try again")
}

// RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6: every other error goes to the client, with state
// and iss.
func TestAuthorizeRefuses(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		two := tokeneptest.NewClient("two", grant.RefreshTokenType)
		two.RedirectURIs = []string{tokeneptest.Callback}
		c.Clients = append(c.Clients, two)
	})
	repeated := authorize("site")
	repeated.Path += "&scope=read&scope=read"
	twoStates := authorize("site", "state", "")
	twoStates.Path += "&state=a&state=b"
	nobody := without(authorize("site", "prompt", "none"), tokeneptest.UserHeader)
	long := strings.Repeat("x", 9000)
	signedIn := func(r request, ago time.Duration) request {
		return r.With(tokeneptest.SignInHeader, s.Clock.Now().Add(-ago).Format(time.RFC3339))
	}
	for name, c := range map[string]struct {
		r    request
		code tokenep.Code
	}{
		"response_type missing":                 {authorize("site", "response_type", ""), tokenep.InvalidRequest},
		"response_type token":                   {authorize("site", "response_type", "token"), tokenep.UnsupportedResponseType},
		"response_type code id_token":           {authorize("site", "response_type", "code id_token"), tokenep.UnsupportedResponseType},
		"response_mode fragment":                {authorize("site", "response_mode", "fragment"), tokenep.InvalidRequest},
		"a client without the grant":            {authorize("two"), tokenep.UnauthorizedClient},
		"a request object":                      {authorize("site", "request", "e30.e30."), tokenep.RequestNotSupported},
		"a request object by reference":         {authorize("site", "request_uri", "https://site.example/r"), tokenep.RequestURINotSupported},
		"a repeated parameter":                  {repeated, tokenep.InvalidRequest},
		"two states":                            {twoStates, tokenep.InvalidRequest},
		"a scope that it may not ask for":       {authorize("site", "scope", "read admin"), tokenep.InvalidScope},
		"a malformed scope":                     {authorize("site", "scope", `a"b`), tokenep.InvalidScope},
		"a resource that it may not ask for":    {authorize("site", "resource", "https://elsewhere.example"), tokenep.InvalidTarget},
		"a malformed resource":                  {authorize("site", "resource", "orders"), tokenep.InvalidTarget},
		"no code_challenge":                     {authorize("site", "code_challenge", ""), tokenep.InvalidRequest},
		"no code_challenge of a public client":  {authorize("native", "code_challenge", "", "code_challenge_method", ""), tokenep.InvalidRequest},
		"plain":                                 {authorize("site", "code_challenge_method", "plain"), tokenep.InvalidRequest},
		"no method, which means plain":          {authorize("site", "code_challenge_method", ""), tokenep.InvalidRequest},
		"s256":                                  {authorize("site", "code_challenge_method", "s256"), tokenep.InvalidRequest},
		"a short code_challenge":                {authorize("site", "code_challenge", "abc"), tokenep.InvalidRequest},
		"a code_challenge that is no base64url": {authorize("site", "code_challenge", strings.Repeat("~", 43)), tokenep.InvalidRequest},
		"a long nonce":                          {authorize("site", "nonce", long), tokenep.InvalidRequest},
		"a long state":                          {authorize("site", "state", long), tokenep.InvalidRequest},
		"prompt none, and consent is needed":    {authorize("site", "prompt", "none"), tokenep.ConsentRequired},
		"prompt none, and nobody is there":      {nobody, tokenep.LoginRequired},
		"prompt none login":                     {authorize("site", "prompt", "none login"), tokenep.InvalidRequest},
		"prompt of another kind":                {authorize("site", "prompt", "sometimes"), tokenep.InvalidRequest},
		"prompt login":                          {signedIn(authorize("site", "prompt", "login"), 0), tokenep.LoginRequired},
		"prompt select_account":                 {authorize("site", "prompt", "select_account"), tokenep.AccountSelectionRequired},
		"max_age, and nobody knows":             {authorize("site", "max_age", "10000"), tokenep.LoginRequired},
		"max_age, and too long ago":             {signedIn(authorize("site", "max_age", "60"), 62*time.Second), tokenep.LoginRequired},
		"max_age that is no number":             {authorize("site", "max_age", "soon"), tokenep.InvalidRequest},
		"max_age that is negative":              {authorize("site", "max_age", "-1"), tokenep.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			to := tokeneptest.RedirectURI("site")
			if strings.Contains(c.r.Path, "client_id=native") {
				to = tokeneptest.RedirectURI("native")
			}
			values := s.Send(t, c.r).Redirected(t, to)
			if values.Get("error") != string(c.code) || values.Get("error_description") == "" || values.Get("code") != "" {
				t.Errorf("%v, want %s", values, c.code)
			}
			if state := values.Get("state"); state != "the state" && name != "two states" && name != "a long state" {
				t.Errorf("state is %q", state)
			}
		})
	}
	for name, r := range map[string]request{
		"max_age, and young enough": signedIn(authorize("site", "max_age", "60"), 58*time.Second),
		"prompt consent":            authorize("site", "prompt", "consent"),
		"no state":                  authorize("site", "state", ""),
		"an empty parameter":        authorize("site", "scope", "", "resource", ""),
	} {
		t.Run(name, func(t *testing.T) {
			r = r.With(tokeneptest.UserHeader, name) // nobody of whom anything is remembered
			if values := s.Send(t, s.Consent(t, r, "allow")).Redirected(t, tokeneptest.Callback); values.Get("code") == "" {
				t.Errorf("%v", values)
			}
		})
	}
}

// Whoever has not signed in reads so; nobody passes for a client (RFC 9068 §5).
func TestAuthorizeNeedsAUser(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	onPage(t, s.Send(t, without(authorize("site"), tokeneptest.UserHeader)), http.StatusForbidden, "nobody has signed in")
	onPage(t, s.Send(t, authorize("site").With(tokeneptest.UserHeader, "client:billing")), http.StatusForbidden, "reserved for clients")
	form := s.Consent(t, authorize("site"), "allow")
	onPage(t, s.Send(t, without(form, tokeneptest.UserHeader)), http.StatusForbidden, "nobody has signed in")
}

// OAuth 2.0 Form Post Response Mode: the answer is a form that sends itself.
func TestAuthorizeFormPost(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	a := s.Send(t, s.Consent(t, authorize("site", "response_mode", "form_post", "state", `"><b>`), "allow"))
	secured(t, a)
	for _, part := range []string{
		`<form method="post" action="https://site.example/callback">`, `name="code" value="`, `name="state" value="&#34;&gt;&lt;b&gt;"`,
		`name="iss" value="https://as.example"`, "post.form.submit()",
	} {
		if a.Status != http.StatusOK || !strings.Contains(string(a.Body), part) {
			t.Errorf("%d, without %s: %s", a.Status, part, a.Body)
		}
	}
	refused := s.Send(t, authorize("site", "response_mode", "form_post", "scope", "admin"))
	if !strings.Contains(string(refused.Body), `name="error" value="invalid_scope"`) {
		t.Errorf("%d %s", refused.Status, refused.Body)
	}
}

// A first-party client is not asked for, unless it wants that.
func TestAuthorizeSkipsConsent(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.Clients[len(c.Clients)-2].SkipConsent = true })
	for _, prompt := range []string{"", "none"} {
		if values := s.Send(t, authorize("site", "prompt", prompt)).Redirected(t, tokeneptest.Callback); values.Get("code") == "" {
			t.Errorf("prompt %q: %v", prompt, values)
		}
	}
	s.Consent(t, authorize("site", "prompt", "consent"), "allow")
}

// A redirect URI keeps its own query (RFC 6749 §3.1.2), byte by byte.
func TestAuthorizeKeepsTheQueryOfARedirectURI(t *testing.T) {
	for registered, want := range map[string]string{
		"https://a.example/?x=%7e&y": "https://a.example/?x=%7e&y&code=",
		"https://a.example/?":        "https://a.example/?code=",
		"https://a.example":          "https://a.example?code=",
		"com.example.app:/cb":        "com.example.app:/cb?code=",
	} {
		s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.Clients[len(c.Clients)-2].RedirectURIs = []string{registered} })
		a := s.Send(t, s.Consent(t, authorize("site", "redirect_uri", registered), "allow"))
		if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !strings.HasPrefix(to, want) {
			t.Errorf("%d %s, want %s", a.Status, to, want)
		}
	}
}

// The metadata name the endpoint, and what it can do, where there are people; and nothing of it
// elsewhere.
func TestAuthorizeMetadata(t *testing.T) {
	const document = "/.well-known/oauth-authorization-server"
	with := tokeneptest.New(t, tokeneptest.WithPeople)
	got := with.Send(t, tokeneptest.Get(document)).JSON
	for member, want := range map[string]any{
		"authorization_endpoint": issuer + authorizePath, "response_types_supported": []string{"code"},
		"response_modes_supported": []string{"query", "form_post"}, "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true, "request_parameter_supported": false, "request_uri_parameter_supported": false,
		"grant_types_supported": []string{"client_credentials", "authorization_code", "refresh_token", grant.TokenExchangeType},
	} {
		if !tokeneptest.EqualJSON(got[member], want) {
			t.Errorf("%s is %v, want %v", member, got[member], want)
		}
	}
	without := tokeneptest.New(t)
	got = without.Send(t, tokeneptest.Get(document)).JSON
	if got["authorization_endpoint"] != nil || got["code_challenge_methods_supported"] != nil || !tokeneptest.EqualJSON(got["response_types_supported"], []string{}) {
		t.Errorf("%v", got)
	}
	if a := without.Send(t, authorize("billing")); a.Status != http.StatusNotFound {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
