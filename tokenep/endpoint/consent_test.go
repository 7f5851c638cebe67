package endpoint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// The page is of one user, one browser, one client as it is registered, and half an hour. It gives
// at most one code.
func TestConsentIsBound(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	form := s.Consent(t, authorize("site"), "allow")
	mallory := s.Send(t, authorize("site").With(tokeneptest.UserHeader, "mallory"))
	theirs := strings.Split(mallory.Header.Get("Set-Cookie"), ";")[0]

	onPage(t, s.Send(t, without(form, "Cookie")), http.StatusBadRequest, "another browser")
	onPage(t, s.Send(t, form.With("Cookie", theirs)), http.StatusBadRequest, "another browser")
	onPage(t, s.Send(t, form.With(tokeneptest.UserHeader, "mallory")), http.StatusBadRequest, "another user")
	tampered := form
	tampered.Body = strings.Replace(form.Body, "page=", "page=A", 1)
	onPage(t, s.Send(t, tampered), http.StatusBadRequest, "not of this server")

	values := s.Send(t, form).Redirected(t, tokeneptest.Callback)
	if values.Get("code") == "" {
		t.Fatalf("%v", values)
	}
	onPage(t, s.Send(t, form), http.StatusBadRequest, "answered before")
	s.Granted(t, tokeneptest.RedeemCode("site", values.Get("code")))

	late := s.Consent(t, authorize("site", "prompt", "consent"), "allow")
	s.Clock.Advance(30 * time.Minute)
	onPage(t, s.Send(t, late), http.StatusBadRequest, "too old")
}

// A client that was changed or removed while the user decided gets no code.
func TestConsentWhenTheClientChanges(t *testing.T) {
	for name, change := range map[string]func(*tokenep.Client){
		"another redirect URI": func(c *tokenep.Client) { c.RedirectURIs = []string{"https://new.example"} },
		"less scope":           func(c *tokenep.Client) { c.Scope = c.Scope[:1] },
		"without the grant":    func(c *tokenep.Client) { c.GrantTypes = []string{grant.RefreshTokenType} },
		"registered anew":      func(c *tokenep.Client) { c.RegistrationID = "another" },
		"removed":              func(c *tokenep.Client) { c.ID = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople)
			form := s.Consent(t, authorize("site"), "allow")
			config := s.Config
			for i := range config.Clients {
				if config.Clients[i].ID == "site" {
					change(&config.Clients[i])
				}
			}
			next := s.Next(t, config)
			if err := next.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			onPage(t, next.Send(t, form), http.StatusBadRequest, "may not ask for this any more")
		})
	}
}

// A page that was made before a reload, or by another process on the same store, is good.
func TestConsentOfAnotherProcess(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	form := s.Consent(t, authorize("site"), "allow")
	config := s.Config
	config.Memory = server.NewMemory(s.Clock.Now)
	next := s.Next(t, config)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if values := next.Send(t, form).Redirected(t, tokeneptest.Callback); values.Get("code") == "" {
		t.Errorf("%v", values)
	}
}

// RFC 6265bis §4.1.3.2: the cookie is of this host alone, and out of the reach of scripts. A
// browser keeps the one that it has, so that two pages at once both work.
func TestConsentCookie(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	a := s.Send(t, authorize("site"))
	cookie, err := http.ParseSetCookie(a.Header.Get("Set-Cookie"))
	if err != nil || cookie.Name != "__Host-oauth_browser" || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" ||
		cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 0 || !cookie.Expires.IsZero() {
		t.Errorf("%+v, %v", cookie, err)
	}
	known := authorize("site").With("Cookie", cookie.Name+"="+cookie.Value)
	one, two := s.Consent(t, known, "allow"), s.Consent(t, known, "allow")
	for _, form := range []request{two, one} {
		s.Send(t, form).Redirected(t, tokeneptest.Callback)
	}
	if again := s.Send(t, known); again.Header.Get("Set-Cookie") != "" {
		t.Error("the browser has two cookies")
	}
	junk := s.Send(t, authorize("site", "prompt", "consent").With("Cookie", cookie.Name+"=junk"))
	if junk.Header.Get("Set-Cookie") == "" {
		t.Error("any cookie is good")
	}

	local := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.Issuer = "http://localhost:8080" })
	cookie, err = http.ParseSetCookie(local.Send(t, authorize("site")).Header.Get("Set-Cookie"))
	if err != nil || !strings.HasPrefix(cookie.Name, "oauth_browser_") || cookie.Secure {
		t.Errorf("without https: %+v, %v", cookie, err)
	}
}

// RFC 7591 §2: the page shows logo, policy and terms of service, but no logo of a client that
// registered itself. The browser may load that image, and nothing else.
func TestConsentShowsMetadata(t *testing.T) {
	const logo, policy, terms = "https://site.example/logo.png?size=48", "https://site.example/privacy", "https://site.example/terms"
	s := tokeneptest.New(t, registering, func(c *server.Config) {
		for i := range c.Clients {
			if c.Clients[i].ID == "site" {
				c.Clients[i].LogoURI, c.Clients[i].PolicyURI, c.Clients[i].TOSURI = logo, policy, terms
			}
		}
	})
	id, _ := registered(t, s, `"client_name":"Photos","logo_uri":"`+logo+`","policy_uri":"`+policy+`","tos_uri":"`+terms+`"`)
	for name, row := range map[string]struct {
		r                       request
		logo, links, remembered bool
	}{
		"site":              {authorize("site"), true, true, true},
		"native":            {authorize("native"), false, false, false},
		"registered itself": {askFor(id), false, true, false},
	} {
		a := s.Send(t, row.r)
		page := string(a.Body)
		for text, want := range map[string]bool{
			`<img src="https://site.example/logo.png?size=48" alt=""`: row.logo, `href="` + policy + `"`: row.links, `href="` + terms + `"`: row.links,
			"you will not be asked again": row.remembered,
		} {
			if strings.Contains(page, text) != want {
				t.Errorf("%s: %q is there: %t\n%s", name, text, !want, page)
			}
		}
		if csp := a.Header.Get("Content-Security-Policy"); strings.HasSuffix(csp, "; img-src https://site.example") != row.logo {
			t.Errorf("%s: %s", name, csp)
		}
	}
}
