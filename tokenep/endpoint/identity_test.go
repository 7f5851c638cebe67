package endpoint_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// OpenID Connect Core §2: a sub has 255 characters at the most. A name that no token could have, or
// that would be another in it, lets nobody in, before there is a page or a code.
func TestNamesOfUsers(t *testing.T) {
	name := ""
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		c.User = func(*http.Request) (tokenep.User, error) { return tokenep.User{Subject: name}, nil }
	})
	for user, good := range map[string]bool{
		"alice": true, "Ada Lovelace": true, "ada@example.com": true, "Größe": true, strings.Repeat("a", 255): true,
		strings.Repeat("a", 256): false, "ada\xff": false, "ada\t": false, "ada\n": false, "ada\u202e": false, "ada\u2028": false, "ada\x00": false,
		"client:site": false, "": false,
	} {
		name = user
		a := s.Send(t, authorize("site"))
		if want := map[bool]int{true: 200, false: 403}[good]; a.Status != want {
			t.Errorf("%.40q: %d %s", user, a.Status, a.Body)
		}
		silent := s.Send(t, authorize("site", "prompt", "none")).Redirected(t, tokeneptest.Callback)
		if want := map[bool]string{true: "consent_required", false: "login_required"}[good]; silent.Get("error") != want {
			t.Errorf("%.40q, silently: %v", user, silent)
		}
	}
}

// Fetch Metadata §2.4: the decision is that of the page itself.
func TestDecisionOfAnotherSite(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	for site, good := range map[string]bool{"same-origin": true, "none": true, "same-site": false, "cross-site": false} {
		a := s.Send(t, s.Consent(t, authorize("site", "prompt", "consent"), "allow").With("Sec-Fetch-Site", site))
		if good != (a.Status == http.StatusSeeOther) || !good && a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", site, a.Status, a.Body)
		}
	}
}

// RFC 6749 §3.1: no parameter twice, whether it means something here or not; an unknown one is
// ignored. OpenID Connect Core §3.1.2.1: max_age has no end.
func TestAuthorizeTwice(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	for _, parameter := range []string{"login_hint", "display", "ui_locales", "claims_locales", "claims"} {
		values := s.Send(t, more(authorize("site"), parameter, "a", parameter, "b")).Redirected(t, tokeneptest.Callback)
		if values.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", parameter, values)
		}
	}
	for _, age := range []string{"2147483648", "9223372036854775808", "99999999999999999999"} {
		r := authorize("site", "max_age", age).With(tokeneptest.SignInHeader, "2001-01-01T00:00:00Z")
		if a := s.Send(t, r); a.Status != http.StatusOK {
			t.Errorf("max_age %s: %d %s", age, a.Status, a.Header.Get("Location"))
		}
	}
}

// OAuth 2.0 Form Post Response Mode §2: the form is sent to the redirect URI, of which no byte is
// another.
func TestFormPostKeepsTheRedirectURI(t *testing.T) {
	const odd = "https://site.example/a'(b)/%7e?x=[1]&y=a%2Fb"
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		for i := range c.Clients {
			if c.Clients[i].ID == "site" {
				c.Clients[i].RedirectURIs = []string{odd}
			}
		}
	})
	a := s.Send(t, authorize("site", "redirect_uri", odd, "response_mode", "form_post", "scope", "admin"))
	if want := `action="https://site.example/a&#39;(b)/%7e?x=[1]&amp;y=a%2Fb"`; !strings.Contains(string(a.Body), want) {
		t.Errorf("%s", a.Body)
	}
}
