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
	"github.com/tokenep/caddy-tokenep/verify"
)

var push = tokeneptest.Push

// more appends parameters to the query of a request.
func more(r request, pairs ...string) request {
	for i := 0; i < len(pairs); i += 2 {
		r.Path += "&" + url.Values{pairs[i]: {pairs[i+1]}}.Encode()
	}
	return r
}

// RFC 9126 §2.2, §4: what was pushed is asked of the user, whatever stands beside its request_uri.
// The request of a client that has authenticated is one record; that of a public client is none.
func TestPAR(t *testing.T) {
	for client, writes := range map[string]int64{"site": 1, "native": 0} {
		t.Run(client, func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople)
			before := s.Store.Writes()
			a := s.Send(t, push(client, "scope", "read", "nonce", "n"))
			uri, _ := a.JSON["request_uri"].(string)
			if a.Status != http.StatusCreated || len(a.JSON) != 2 || a.JSON["expires_in"] != 90.0 || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			a.NotStored(t)
			if n := s.Store.Writes() - before; n != writes {
				t.Errorf("%d records were written, want %d", n, writes)
			}
			open := s.Pushed(t, push(client, "scope", "read"))
			open = more(open, "scope", "write", "state", "other", "state", "another", "redirect_uri", "https://evil.example", "prompt", "none", "request", "e30.")
			page := s.Send(t, open)
			if !strings.Contains(string(page.Body), "<li>read</li>") || strings.Contains(string(page.Body), "write") {
				t.Errorf("%d %s", page.Status, page.Body)
			}
			values := s.Send(t, s.Consent(t, asPost(open), "allow")).Redirected(t, tokeneptest.RedirectURI(client))
			if values.Get("state") != "the state" {
				t.Errorf("%v", values)
			}
			_, token := s.Granted(t, tokeneptest.RedeemCode(client, values.Get("code")))
			if token.Subject != "alice" || token.Scope.String() != "read" {
				t.Errorf("%+v", token)
			}
		})
	}
}

// RFC 9126 §2.1, §2.3: a pushed request is refused like one at the authorization endpoint, as JSON,
// and the client is authenticated first. Nothing is written.
func TestPARRefuses(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		two := tokeneptest.NewClient("two", grant.RefreshTokenType)
		two.RedirectURIs = []string{tokeneptest.Callback}
		c.Clients = append(c.Clients, two)
	})
	repeated := push("site")
	repeated.Body += "&state=a"
	inQuery := push("site", "scope", "").At(tokeneptest.PARPath + "?client_id=native&scope=admin")
	before := s.Store.Writes()
	for name, c := range map[string]struct {
		r      request
		status int
		code   tokenep.Code
	}{
		"no authentication":                    {without(push("site"), "Authorization"), 401, tokenep.InvalidClient},
		"a wrong secret":                       {push("site").Basic("site", "wrong"), 401, tokenep.InvalidClient},
		"the client_id of another client":      {push("native").By("site"), 400, tokenep.InvalidRequest},
		"no client_id":                         {push("site", "client_id", ""), 400, tokenep.InvalidRequest},
		"a request_uri":                        {push("site", "request_uri", "urn:ietf:params:oauth:request_uri:a"), 400, tokenep.InvalidRequest},
		"a request_uri of a request object":    {push("site", "request_uri", "https://site.example/r"), 400, tokenep.InvalidRequest},
		"a request object":                     {push("site", "request", "e30.e30."), 400, tokenep.RequestNotSupported},
		"a redirect_uri that is not there":     {push("site", "redirect_uri", "https://evil.example"), 400, tokenep.InvalidRequest},
		"a redirect_uri of a public client":    {push("native", "redirect_uri", "https://evil.example"), 400, tokenep.InvalidRequest},
		"a repeated parameter":                 {repeated, 400, tokenep.InvalidRequest},
		"response_type missing":                {push("site", "response_type", ""), 400, tokenep.InvalidRequest},
		"response_type token":                  {push("site", "response_type", "token"), 400, tokenep.UnsupportedResponseType},
		"response_type code id_token":          {push("site", "response_type", "code id_token"), 400, tokenep.UnsupportedResponseType},
		"response_mode fragment":               {push("site", "response_mode", "fragment"), 400, tokenep.InvalidRequest},
		"a client without the grant":           {push("two"), 400, tokenep.UnauthorizedClient},
		"a scope that it may not ask for":      {push("site", "scope", "read admin"), 400, tokenep.InvalidScope},
		"a resource that it may not ask for":   {push("site", "resource", "https://elsewhere.example"), 400, tokenep.InvalidTarget},
		"a malformed resource":                 {push("site", "resource", "orders"), 400, tokenep.InvalidTarget},
		"no code_challenge":                    {push("site", "code_challenge", ""), 400, tokenep.InvalidRequest},
		"plain":                                {push("site", "code_challenge_method", "plain"), 400, tokenep.InvalidRequest},
		"prompt select_account":                {push("site", "prompt", "select_account"), 400, tokenep.AccountSelectionRequired},
		"max_age that is no number":            {push("site", "max_age", "soon"), 400, tokenep.InvalidRequest},
		"a long state":                         {push("site", "state", strings.Repeat("x", 9000)), 400, tokenep.InvalidRequest},
		"JSON":                                 {push("site").With("Content-Type", "application/json"), 400, tokenep.InvalidRequest},
		"GET":                                  {get(tokeneptest.PARPath).By("site"), 405, tokenep.InvalidRequest},
		"a client that has no redirect_uri":    {push("billing", "redirect_uri", ""), 400, tokenep.InvalidRequest},
		"a client that nobody has registered":  {push("native", "client_id", "nobody"), 401, tokenep.InvalidClient},
		"the page of the authorization server": {push("native", "page", "x", "response_type", ""), 400, tokenep.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) { s.Send(t, c.r).Refused(t, c.status, c.code) })
	}
	if n := s.Store.Writes() - before; n != 0 {
		t.Errorf("%d records were written", n)
	}
	// The query is no form (RFC 9126 §2.1).
	if page := s.Send(t, s.Pushed(t, inQuery)); !strings.Contains(string(page.Body), "<li>write</li>") {
		t.Errorf("%d %s", page.Status, page.Body)
	}
	s.Store.SetAway(true)
	s.Send(t, push("site")).Refused(t, http.StatusServiceUnavailable, tokenep.TemporarilyUnavailable)
}

// RFC 9126 §4, §7.3: a request_uri is of one client, can be opened for its time, as often as the
// page is loaded, and gives one code. Whatever is wrong with it stays on a page.
func TestPARRequestURI(t *testing.T) {
	const refused = "this request_uri has expired, or was used before"
	other := tokeneptest.NewClient("other", grant.AuthorizationCodeType)
	other.RedirectURIs, other.Scope = []string{tokeneptest.Callback}, verify.Scope{"read", "write"}
	public := tokenep.Client{ID: "public", AuthMethod: tokenep.AuthNone, GrantTypes: other.GrantTypes, RedirectURIs: []string{tokeneptest.Loopback}, Scope: other.Scope}
	for _, client := range []string{"site", "native"} {
		t.Run(client, func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople, tokeneptest.WithClients(other, public))
			to := tokeneptest.RedirectURI(client)
			open := s.Pushed(t, push(client))
			deny := s.Consent(t, open, "deny")
			if got := s.Send(t, deny).Redirected(t, to).Get("error"); got != "access_denied" {
				t.Errorf("%s", got)
			}
			one, two := s.Consent(t, open, "allow"), s.Consent(t, open, "allow") // loaded again
			if s.Send(t, one).Redirected(t, to).Get("code") == "" {
				t.Error("no code")
			}
			onPage(t, s.Send(t, two), http.StatusBadRequest, refused)
			onPage(t, s.Send(t, one), http.StatusBadRequest, refused)
			onPage(t, s.Send(t, open), http.StatusBadRequest, refused)

			// A page that was opened in time may be answered late.
			slow := s.Pushed(t, push(client, "prompt", "consent"))
			s.Clock.Advance(90*time.Second - time.Millisecond)
			late := s.Consent(t, slow, "allow")
			s.Clock.Advance(time.Millisecond)
			onPage(t, s.Send(t, slow), http.StatusBadRequest, refused)
			s.Clock.Advance(29 * time.Minute)
			if s.Send(t, late).Redirected(t, to).Get("code") == "" {
				t.Error("no code")
			}
			for id := range map[string]bool{"other": true, "public": true} {
				theirs := s.Pushed(t, push(client))
				theirs.Path = strings.Replace(theirs.Path, "client_id="+client, "client_id="+id, 1)
				onPage(t, s.Send(t, theirs), http.StatusBadRequest, refused)
			}
		})
	}
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	sealed, _ := url.ParseQuery(s.Consent(t, authorize("native"), "allow").Body)
	for name, uri := range map[string]string{
		"unknown": strings.Repeat("a", 43), "malformed": "a", "empty": "", "sealed by nobody": "sealed.AAAA", "a page": "sealed." + sealed.Get("page"),
	} {
		t.Run(name, func(t *testing.T) {
			r := more(get(authorizePath+"?client_id=native").With(tokeneptest.UserHeader, "alice"), "request_uri", "urn:ietf:params:oauth:request_uri:"+uri)
			onPage(t, s.Send(t, r), http.StatusBadRequest, refused)
		})
	}
	open := s.Pushed(t, push("native"))
	query, _ := url.ParseQuery(strings.SplitN(open.Path, "?", 2)[1])
	page := strings.TrimPrefix(query.Get("request_uri"), "urn:ietf:params:oauth:request_uri:sealed.")
	onPage(t, s.Send(t, tokeneptest.Post("page", page, "decision", "allow").At(authorizePath).With(tokeneptest.UserHeader, "alice")),
		http.StatusBadRequest, "not of this server")
	onPage(t, s.Send(t, more(s.Pushed(t, push("site")), "client_id", "site")), http.StatusBadRequest, "client_id is missing")
	open = s.Pushed(t, push("site"))
	s.Store.SetAway(true)
	onPage(t, s.Send(t, open), http.StatusServiceUnavailable, "try again")
}

// What was pushed is not good for a client that was changed since.
func TestPARWhenTheClientChanges(t *testing.T) {
	for _, client := range []string{"site", "native"} {
		s := tokeneptest.New(t, tokeneptest.WithPeople)
		open := s.Pushed(t, push(client))
		config := s.Config
		for i := range config.Clients {
			config.Clients[i].RegistrationID = "another"
		}
		next := s.Next(t, config)
		if err := next.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		onPage(t, next.Send(t, open), http.StatusBadRequest, "this request_uri has expired")
	}
}

// What is asked of the user is that of the pushed request; a client that need not ask gets one code
// for it.
func TestPARPrompts(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.Clients[len(c.Clients)-2].SkipConsent = true })
	old := func(r request) request {
		return r.With(tokeneptest.SignInHeader, s.Clock.Now().Add(-time.Minute).Format(time.RFC3339))
	}
	for name, c := range map[string]struct {
		pushed request
		want   string
	}{
		"max_age, and long ago":    {push("site", "max_age", "30"), "login_required"},
		"max_age 0":                {push("site", "max_age", "0"), "login_required"},
		"max_age, and not so long": {push("site", "max_age", "90"), ""},
		"prompt login":             {push("site", "prompt", "login"), "login_required"},
		"prompt none":              {push("site", "prompt", "none"), ""},
		"prompt none of another":   {push("native", "prompt", "none"), "consent_required"},
	} {
		t.Run(name, func(t *testing.T) {
			open := old(s.Pushed(t, c.pushed))
			client := "site"
			if strings.Contains(c.pushed.Body, "client_id=native") {
				client = "native"
			}
			values := s.Send(t, open).Redirected(t, tokeneptest.RedirectURI(client))
			if values.Get("error") != c.want || (values.Get("code") == "") != (c.want != "") {
				t.Errorf("%v, want %q", values, c.want)
			}
			if c.want == "" {
				onPage(t, s.Send(t, open), http.StatusBadRequest, "this request_uri has expired, or was used before")
			}
		})
	}
	s.Consent(t, s.Pushed(t, push("site", "prompt", "consent")), "allow")
}

// RFC 9126 §5, §6: of the server, or of a client.
func TestRequirePAR(t *testing.T) {
	const document = "/.well-known/oauth-authorization-server"
	all := func(c *server.Config) { c.RequirePAR = true }
	one := func(c *server.Config) { c.Clients[len(c.Clients)-2].RequirePAR = true }
	for name, row := range map[string]struct {
		change       tokeneptest.Change
		site, native bool
	}{"server": {all, true, true}, "client": {one, true, false}} {
		t.Run(name, func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople, row.change)
			for client, required := range map[string]bool{"site": row.site, "native": row.native} {
				if required {
					values := s.Send(t, authorize(client)).Redirected(t, tokeneptest.RedirectURI(client))
					if values.Get("error") != "invalid_request" || !strings.Contains(values.Get("error_description"), "pushed") {
						t.Errorf("%s: %v", client, values)
					}
				} else {
					s.Consent(t, authorize(client), "allow")
				}
				s.Consent(t, s.Pushed(t, push(client)), "allow")
			}
			metadata := s.Send(t, get(document)).JSON
			if metadata["require_pushed_authorization_requests"] != (name == "server") || metadata["pushed_authorization_request_endpoint"] != issuer+tokeneptest.PARPath {
				t.Errorf("%v", metadata)
			}
		})
	}
	if a := tokeneptest.New(t).Send(t, push("billing")); a.Status != http.StatusNotFound {
		t.Errorf("%d %s: a server without people takes pushed requests", a.Status, a.Body)
	}
}
