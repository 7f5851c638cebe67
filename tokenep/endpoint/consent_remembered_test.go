package endpoint_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// What a person has allowed a client is not asked again, and no more than that.
func TestConsentIsRemembered(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	first := authorize("site", "scope", "read", "resource", tokeneptest.Orders)
	s.Send(t, s.Consent(t, first, "allow")).Redirected(t, tokeneptest.Callback)
	s.Send(t, s.Consent(t, authorize("site").With(tokeneptest.UserHeader, "carol"), "deny"))
	for name, row := range map[string]struct {
		r    request
		code bool
	}{
		"the same":            {first, true},
		"prompt none":         {authorize("site", "scope", "read", "resource", tokeneptest.Orders, "prompt", "none"), true},
		"pushed":              {s.Pushed(t, push("site", "scope", "read", "resource", tokeneptest.Orders)), true},
		"in another browser":  {first.With("Cookie", "__Host-oauth_browser=AAAAAAAAAAAAAAAAAAAAAA"), true},
		"more scope":          {authorize("site", "scope", "read write", "resource", tokeneptest.Orders), false},
		"other scope":         {authorize("site", "scope", "write", "resource", tokeneptest.Orders), false},
		"another resource":    {authorize("site", "scope", "read", "resource", tokeneptest.Invoices), false},
		"all resources":       {authorize("site", "scope", "read"), false},
		"another person":      {first.With(tokeneptest.UserHeader, "bob"), false},
		"another client":      {authorize("native", "scope", "read", "resource", tokeneptest.Orders), false},
		"prompt consent":      {authorize("site", "scope", "read", "resource", tokeneptest.Orders, "prompt", "consent"), false},
		"somebody who denied": {authorize("site").With(tokeneptest.UserHeader, "carol"), false},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, row.r)
			if !row.code {
				if a.Status != http.StatusOK {
					t.Errorf("%d %s; want the page", a.Status, a.Header.Get("Location"))
				}
				return
			}
			_, token := s.Granted(t, tokeneptest.RedeemCode("site", a.Redirected(t, tokeneptest.Callback).Get("code")))
			if token.Subject != "alice" || token.Scope.String() != "read" || len(token.Audience) != 1 || token.Audience[0] != tokeneptest.Orders {
				t.Errorf("%+v", token)
			}
		})
	}
	values := s.Send(t, authorize("site", "scope", "write", "prompt", "none")).Redirected(t, tokeneptest.Callback)
	if values.Get("error") != "consent_required" {
		t.Errorf("%v", values)
	}
	s.Store.SetAway(true)
	values = s.Send(t, first).Redirected(t, tokeneptest.Callback)
	if values.Get("error") != "temporarily_unavailable" {
		t.Errorf("%v", values)
	}
}

// RFC 8252 §8.6: a program on a person's computer, or whatever took its place, asks each time. What
// cannot be taken by another program is remembered for a public client as well.
func TestConsentOfPublicClients(t *testing.T) {
	for uri, asked := range map[string]bool{
		"http://127.0.0.1/callback": true, "http://localhost/callback": true, "com.example.app:/callback": true, "https://app.example/callback": false,
	} {
		s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.Clients[len(c.Clients)-1].RedirectURIs = []string{uri} })
		r := authorize("native", "redirect_uri", uri)
		s.Send(t, s.Consent(t, r, "allow"))
		if got := s.Send(t, r).Status == http.StatusOK; got != asked {
			t.Errorf("%s: asked again: %v", uri, got)
		}
		none := s.Send(t, authorize("native", "redirect_uri", uri, "prompt", "none")).Header.Get("Location")
		if strings.Contains(none, "consent_required") != asked {
			t.Errorf("%s: %s", uri, none)
		}
	}
}

// A new registration under the same id is another client.
func TestConsentIsOfOneRegistration(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	s.Send(t, s.Consent(t, authorize("site"), "allow"))
	config := s.Config
	config.Clients[len(config.Clients)-2].RegistrationID = "another"
	next := s.Next(t, config)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.Consent(t, authorize("site"), "allow")
}

// RFC 6749 §10.2: a consent that is revoked ends all that came of it, with and without a page, and
// is asked for again.
func TestConsentIsRevoked(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	var access, refresh []string
	for range 2 {
		a, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site")))
		access, refresh = append(access, a.AccessToken()), append(refresh, a.RefreshToken())
	}
	unspent := s.Code(t, "site")
	other, _ := s.Granted(t, tokeneptest.RedeemCode("native", s.Code(t, "native")))
	if err := s.Consents.Revoke(t.Context(), "alice", "site"); err != nil {
		t.Fatal(err)
	}
	for i := range access {
		if _, err := s.Verify(t, access[i]); err == nil {
			t.Error("an access token is good")
		}
		s.Send(t, tokeneptest.Refresh("site", refresh[i])).Refused(t, 400, tokenep.InvalidGrant)
	}
	if a := s.Send(t, tokeneptest.RedeemCode("site", unspent)); a.Status == http.StatusOK {
		if _, err := s.Verify(t, a.AccessToken()); err == nil || a.RefreshToken() != "" {
			t.Errorf("a code is good: %s", a.Body)
		}
	}
	if _, err := s.Verify(t, other.AccessToken()); err != nil {
		t.Errorf("the token of another client: %v", err)
	}
	s.Granted(t, tokeneptest.Refresh("native", other.RefreshToken()))
	s.Consent(t, authorize("site"), "allow")
}
