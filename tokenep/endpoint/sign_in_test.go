package endpoint_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// newSite returns a server that signs ann and bob in itself.
func newSite(t *testing.T, changes ...tokeneptest.Change) (*tokeneptest.Server, *tokeneptest.People) {
	t.Helper()
	people := tokeneptest.NewPeople("ann", "bob")
	all := append([]tokeneptest.Change{tokeneptest.WithPeople, withOpenID, people.SignIn}, changes...)
	return tokeneptest.New(t, all...), people
}

// withOpenID lets the client site ask who people are.
func withOpenID(c *server.Config) {
	c.OpenID = true
	for i := range c.Clients {
		if c.Clients[i].ID == "site" {
			c.Clients[i].Scope = append(c.Clients[i].Scope, "openid", "email")
			c.Clients[i].PostLogoutRedirectURIs = []string{byeURI}
		}
	}
	c.UserClaims = map[string]string{"email": "email"}
}

const byeURI = "https://site.example/bye"

// path returns that of an authorization request.
func path(client string, pairs ...string) string { return tokeneptest.Authorize(client, pairs...).Path }

// RFC 6749 §4.1: a person who has not signed in does so, decides, and goes on to the client.
func TestSignInForAClient(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	a := b.Open(t, path("site"))
	if a.Status != http.StatusOK || !strings.HasPrefix(b.At(), tokeneptest.SignInPath) || !strings.Contains(b.Text(), "To go on to site") {
		t.Fatalf("%d at %s: %s; want the page to sign in", a.Status, b.At(), b.Text())
	}
	a = b.SignIn(t, "ann")
	if a.Status != http.StatusOK || !strings.Contains(b.Text(), "You are ann") {
		t.Fatalf("%d %s; want the page that asks ann for consent", a.Status, b.Text())
	}
	code := b.Submit(t, "allow").Redirected(t, tokeneptest.Callback).Get("code")
	a = s.Send(t, tokeneptest.RedeemCode("site", code))
	if token, err := s.Verify(t, a.AccessToken()); err != nil || token.Subject != "ann" {
		t.Fatalf("%d %s; want a token for ann", a.Status, a.Body)
	}
	if values := b.Open(t, path("site", "prompt", "none")).Redirected(t, tokeneptest.Callback); values.Get("code") == "" {
		t.Errorf("%v; want a code: ann has signed in, and allowed it before", values)
	}
}

// OpenID Connect Core §3.1.2.1: how a client wants people to be asked.
func TestSignInPrompts(t *testing.T) {
	s, _ := newSite(t)
	t.Run("none, and nobody has signed in", func(t *testing.T) {
		if got := s.Browser().Open(t, path("site", "prompt", "none")).Redirected(t, tokeneptest.Callback).Get("error"); got != "login_required" {
			t.Errorf("error %q, want login_required", got)
		}
	})
	for name, pairs := range map[string][]string{
		"login": {"prompt", "login"}, "max_age that is over": {"max_age", "60"}, "max_age 0": {"max_age", "0"},
		"select_account": {"prompt", "select_account"},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.Browser()
			b.Open(t, tokeneptest.SignInPath)
			b.SignIn(t, "ann")
			s.Clock.Advance(2 * time.Minute)
			pairs := append(pairs, "scope", "openid")
			if b.Open(t, path("site", pairs...)); !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
				t.Fatalf("at %s; want the page to sign in", b.At())
			}
			before := s.Clock.Now()
			a := b.SignIn(t, "ann")
			if a.Status == http.StatusOK {
				a = b.Submit(t, "allow")
			}
			code := a.Redirected(t, tokeneptest.Callback).Get("code")
			text, _ := s.Send(t, tokeneptest.RedeemCode("site", code)).JSON["id_token"].(string)
			id, err := verify.ParseAssertion(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(id.Claims().Claims["auth_time"]); got != fmt.Sprint(before.Unix()) {
				t.Errorf("auth_time %v, want %d", got, before.Unix())
			}
		})
	}
	t.Run("max_age that is not over", func(t *testing.T) {
		b := s.Browser()
		b.Open(t, tokeneptest.SignInPath)
		b.SignIn(t, "bob")
		if b.Open(t, path("site", "max_age", "60")); !strings.Contains(b.Text(), "You are bob") {
			t.Errorf("at %s: %s; want the page that asks bob for consent", b.At(), b.Text())
		}
	})
	t.Run("login_hint", func(t *testing.T) {
		a := s.Browser().Open(t, path("site", "login_hint", `bob"><b>`))
		if !strings.Contains(string(a.Body), `name="username" value="bob&#34;&gt;&lt;b&gt;"`) {
			t.Errorf("%s; want the name in the field", a.Body)
		}
	})
}

// The language that a client asks for is that of each page on the way to it.
func TestSignInInALanguage(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	b.Header.Set("Accept-Language", "en")
	for _, step := range []struct {
		page string
		take func() tokeneptest.Answer
	}{
		{"sign in", func() tokeneptest.Answer { return b.Open(t, path("site", "ui_locales", "tlh de en")) }},
		{"wrong password", func() tokeneptest.Answer { return b.Submit(t, "", "username", "ann", "password", "wrong") }},
		{"consent", func() tokeneptest.Answer { return b.SignIn(t, "ann") }},
	} {
		if a := step.take(); a.Header.Get("Content-Language") != "de" {
			t.Errorf("%s: in %q, want de", step.page, a.Header.Get("Content-Language"))
		}
	}
	if a := b.Open(t, path("site", "ui_locales", strings.Repeat("de ", 1000))); a.Status != http.StatusOK {
		t.Errorf("many languages: %d", a.Status)
	}
}

// Who has signed in may go on, or somebody else.
func TestSelectAccount(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	b.Open(t, tokeneptest.SignInPath)
	b.SignIn(t, "ann")
	b.Open(t, path("site", "prompt", "select_account"))
	if b.Submit(t, "continue"); !strings.Contains(b.Text(), "You are ann") {
		t.Fatalf("at %s: %s; want ann to go on", b.At(), b.Text())
	}
	b.Submit(t, "other")
	if !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
		t.Fatalf("at %s; want the page to sign in", b.At())
	}
	if b.SignIn(t, "bob"); !strings.Contains(b.Text(), "You are bob") {
		t.Errorf("at %s: %s; want bob to go on", b.At(), b.Text())
	}
}

// The client means somebody else (OpenID Connect Core §3.1.2.1, id_token_hint).
func TestSignInAsSomebodyElseThanMeant(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	b.Open(t, path("site", "scope", "openid"))
	b.SignIn(t, "ann")
	hint := s.Send(t, tokeneptest.RedeemCode("site", b.Submit(t, "allow").Redirected(t, tokeneptest.Callback).Get("code"))).JSON["id_token"].(string)
	other := s.Browser()
	other.Open(t, tokeneptest.SignInPath)
	other.SignIn(t, "bob")
	if other.Open(t, path("site", "id_token_hint", hint)); !strings.HasPrefix(other.At(), tokeneptest.SignInPath) {
		t.Fatalf("at %s; want the page to sign in", other.At())
	}
	if got := other.SignIn(t, "bob").Redirected(t, tokeneptest.Callback).Get("error"); got != "login_required" {
		t.Errorf("error %q, want login_required", got)
	}
}

// The answer is the same for every cause that lies with name and password, and gives nothing.
func TestSignInRefused(t *testing.T) {
	for name, c := range map[string]struct {
		username, password string
		away               error
		status             int
		text               string
	}{
		"wrong password": {"ann", "bob-password", nil, http.StatusForbidden, "The user name or the password is wrong."},
		"unknown user":   {"eve", "eve-password", nil, http.StatusForbidden, "The user name or the password is wrong."},
		"empty password": {"ann", "", nil, http.StatusForbidden, "The user name or the password is wrong."},
		"nobody knows":   {"ann", "ann-password", errors.New("away"), http.StatusServiceUnavailable, "Nobody can be signed in at the moment."},
	} {
		t.Run(name, func(t *testing.T) {
			s, people := newSite(t)
			people.Away(c.away)
			b := s.Browser()
			b.Open(t, path("site"))
			a := b.Submit(t, "", "username", c.username, "password", c.password)
			if a.Status != c.status || !strings.Contains(b.Text(), c.text) {
				t.Errorf("%d %s; want %d %s", a.Status, b.Text(), c.status, c.text)
			}
			if _, signedIn := b.Cookies["__Host-oauth_session"]; signedIn {
				t.Error("there is a session")
			}
			people.Away(nil)
			if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "You are ann") {
				t.Errorf("%s; want the form to be good for another try", b.Text())
			}
		})
	}
}

// The cookie of a session is of no use to another page, and the id changes at each sign-in.
func TestSessionCookie(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	b.Open(t, path("site"))
	before := b.Cookies["__Host-oauth_session"]
	b.SignIn(t, "ann")
	first := b.Cookies["__Host-oauth_session"]
	b.Open(t, path("site", "prompt", "login"))
	b.SignIn(t, "ann")
	second := b.Cookies["__Host-oauth_session"]
	if before != "" || first == "" || first == second {
		t.Fatalf("%q, then %q, then %q", before, first, second)
	}
	for name, cookie := range map[string]string{"replaced": first, "changed": second[:len(second)-2] + "AA", "none": "x"} {
		b.Cookies["__Host-oauth_session"] = cookie
		if got := b.Open(t, path("site", "prompt", "none")).Redirected(t, tokeneptest.Callback).Get("error"); got != "login_required" {
			t.Errorf("%s: error %q, want login_required", name, got)
		}
	}
}

// Idle and absolute ends.
func TestSessionEnds(t *testing.T) {
	s, _ := newSite(t, func(c *server.Config) { c.Sessions = server.Sessions{Idle: time.Hour, Absolute: 3 * time.Hour} })
	signedIn := func(b *tokeneptest.Browser) bool {
		return b.Open(t, path("site", "prompt", "none")).Redirected(t, tokeneptest.Callback).Get("error") == "consent_required"
	}
	for name, c := range map[string]struct {
		every time.Duration
		good  int // times
	}{"idle": {61 * time.Minute, 0}, "absolute": {50 * time.Minute, 3}} {
		t.Run(name, func(t *testing.T) {
			b := s.Browser()
			b.Open(t, tokeneptest.SignInPath)
			b.SignIn(t, "ann")
			for i := range c.good + 1 {
				s.Clock.Advance(c.every)
				if got := signedIn(b); got != (i < c.good) {
					t.Fatalf("after %s: signed in is %v", time.Duration(i+1)*c.every, got)
				}
			}
		})
	}
}

// RFC 9700 §4.16 and §2.1: what the page brings back is of this browser, this server and this half
// hour, and leads nowhere else.
func TestSignInAttacks(t *testing.T) {
	s, _ := newSite(t)
	victim := func() *tokeneptest.Browser {
		b := s.Browser()
		b.Open(t, path("site"))
		return b
	}
	t.Run("a form of another site", func(t *testing.T) {
		b := victim()
		b.Header.Set("Sec-Fetch-Site", "cross-site")
		if a := b.SignIn(t, "ann"); a.Status != http.StatusBadRequest || b.Cookies["__Host-oauth_session"] != "" {
			t.Errorf("%d %s", a.Status, b.Text())
		}
	})
	t.Run("a flow of another browser", func(t *testing.T) {
		attacker, b := victim(), s.Browser()
		if a := b.Open(t, attacker.At()); a.Status != http.StatusBadRequest || !strings.Contains(b.Text(), "another browser") {
			t.Errorf("%d %s", a.Status, b.Text())
		}
	})
	t.Run("an old flow", func(t *testing.T) {
		b := victim()
		s.Clock.Advance(31 * time.Minute)
		if a := b.SignIn(t, "ann"); a.Status != http.StatusBadRequest || b.Cookies["__Host-oauth_session"] != "" {
			t.Errorf("%d %s", a.Status, b.Text())
		}
	})
	t.Run("return parameters", func(t *testing.T) {
		b := s.Browser()
		b.Open(t, tokeneptest.SignInPath+"?return_to=https://evil.example&next=//evil.example&redirect_uri=https://evil.example")
		if a := b.SignIn(t, "ann"); strings.Contains(a.Header.Get("Location"), "evil") {
			t.Errorf("sent to %s", a.Header.Get("Location"))
		}
	})
	t.Run("headers", func(t *testing.T) {
		h := s.Browser().Open(t, path("site")).Header
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "unsafe-none",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, h.Get(name), want)
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("policy %q", csp)
		}
	})
}
