package endpoint_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// withServices offers API tokens for two services.
func withServices(c *server.Config) {
	c.Exchange.APITokens.Services = []server.APITokenService{
		{Audience: tokeneptest.Orders, Scope: []string{"read", "write"}}, {Audience: tokeneptest.Invoices},
	}
}

// account returns a browser with the page of ann's access.
func account(t *testing.T, changes ...tokeneptest.Change) (*tokeneptest.Server, *tokeneptest.Browser) {
	t.Helper()
	s, _ := newSite(t, append([]tokeneptest.Change{withServices}, changes...)...)
	b := s.Browser()
	b.Open(t, tokeneptest.AccountPath)
	if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "You are signed in as ann") {
		t.Fatalf("at %s: %s; want the page of ann's access", b.At(), b.Text())
	}
	return s, b
}

var secretOnPage = regexp.MustCompile(`<code id="secret"[^>]*>([^<]+)</code>`)

// secret returns the API token that a page shows.
func secret(t *testing.T, a tokeneptest.Answer) string {
	t.Helper()
	found := secretOnPage.FindSubmatch(a.Body)
	if a.Status != http.StatusOK || found == nil {
		t.Fatalf("%d %s; want a page with an API token", a.Status, a.Body)
	}
	return string(found[1])
}

func makeToken(t *testing.T, b *tokeneptest.Browser, pairs ...string) string {
	t.Helper()
	b.Open(t, tokeneptest.AccountPath+"?view=new")
	return secret(t, b.Submit(t, "make", append([]string{"name", "nightly", "service", "0", "scope.0.0", "on"}, pairs...)...))
}

// An API token is made for one service and exchanged (RFC 8693), and ends when it is revoked.
func TestAccountAPIToken(t *testing.T) {
	s, b := account(t)
	text := makeToken(t, b)
	a := s.Send(t, tokeneptest.ExchangeAPIToken(text))
	token, err := s.Verify(t, a.AccessToken())
	if err != nil || token.Subject != "ann" || token.Scope.String() != "read" || token.Audience[0] != tokeneptest.Orders {
		t.Fatalf("%d %s %v", a.Status, a.Body, err)
	}
	if page := b.Open(t, tokeneptest.AccountPath); strings.Contains(string(page.Body), text) || !strings.Contains(b.Text(), "nightly") {
		t.Errorf("%s; want the name, and not the secret", b.Text())
	}
	if b.Submit(t, "revoke"); !strings.Contains(b.Text(), "The API token was revoked.") {
		t.Fatalf("%s", b.Text())
	}
	s.Send(t, tokeneptest.ExchangeAPIToken(text)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
	if _, err := s.Verify(t, a.AccessToken()); err == nil {
		t.Error("the access token is still good")
	}
}

// What can be said in the form.
func TestAccountNewAPIToken(t *testing.T) {
	s, b := account(t, func(c *server.Config) { c.Exchange.APITokens.AllowNever = true })
	for name, c := range map[string]struct {
		pairs []string
		life  time.Duration // 0: it has no end
	}{
		"usual":     {nil, 90 * 24 * time.Hour},
		"preset":    {[]string{"days", "7"}, 7 * 24 * time.Hour},
		"custom":    {[]string{"days", "custom", "custom", "10"}, 10 * 24 * time.Hour},
		"never":     {[]string{"days", "never"}, 0},
		"limits":    {[]string{"allow_from", "192.0.2.0/24 ::1", "deny_from", "192.0.2.7", "rate", "10/1m", "quota", "5/1d", "not_before", "2026-03-05"}, 90 * 24 * time.Hour},
		"no scope":  {[]string{"scope.0.0", ""}, 90 * 24 * time.Hour},
		"two":       {[]string{"scope.0.1", "on"}, 90 * 24 * time.Hour},
		"elsewhere": {[]string{"service", "1"}, 90 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			text := makeToken(t, b, append([]string{"name", name}, c.pairs...)...)
			id := strings.Split(text, "_")[1]
			made, err := s.APITokens.Load(t.Context(), id)
			if err != nil || made.Owner != "ann" || made.NoExpiry != (c.life == 0) {
				t.Fatalf("%+v %v", made, err)
			}
			if life := made.Expires.Sub(made.Created); c.life != 0 && life != c.life {
				t.Errorf("it lives for %v, want %v", life, c.life)
			}
			if limits := len(made.AllowFrom) == 2 && len(made.DenyFrom) == 1 && made.Rate.N == 10 && made.Quota.N == 5 && made.NotBefore.Day() == 5; limits != (name == "limits") {
				t.Errorf("limits %v %v %v", made.AllowFrom, made.DenyFrom, made.Rate)
			}
		})
	}
}

// A secret is made only just after a sign-in, and once by each form.
func TestAccountSecretsNeedASignIn(t *testing.T) {
	s, b := account(t)
	makeToken(t, b)
	b.Open(t, tokeneptest.AccountPath+"?view=new")
	again := *b
	secret(t, b.Submit(t, "make", "name", "n", "service", "0"))
	if a := again.Submit(t, "make", "name", "n", "service", "0"); a.Status != http.StatusBadRequest || !strings.Contains(again.Text(), "answered before") {
		t.Errorf("the form once more: %d %s", a.Status, again.Text())
	}
	s.Clock.Advance(16 * time.Minute)
	if b.Open(t, tokeneptest.AccountPath+"?view=new"); !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
		t.Fatalf("at %s; want the page to sign in", b.At())
	}
	if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "Make an API token") {
		t.Errorf("at %s: %s; want the form", b.At(), b.Text())
	}
	s.Clock.Advance(16 * time.Minute)
	b.Open(t, tokeneptest.AccountPath)
	if b.Submit(t, "roll"); !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
		t.Fatalf("rolling: at %s; want the page to sign in", b.At())
	}
	if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "You have signed in again.") {
		t.Errorf("at %s: %s", b.At(), b.Text())
	}
}

func TestAccountRoll(t *testing.T) {
	s, b := account(t)
	old := makeToken(t, b)
	b.Open(t, tokeneptest.AccountPath)
	text := secret(t, b.Submit(t, "roll", "grace", "1h"))
	if text == old || strings.Split(text, "_")[1] != strings.Split(old, "_")[1] {
		t.Fatalf("%s of %s; want a new secret of the same token", text, old)
	}
	for _, token := range []string{text, old} {
		if a := s.Send(t, tokeneptest.ExchangeAPIToken(token)); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	s.Clock.Advance(time.Hour + time.Second)
	s.Send(t, tokeneptest.ExchangeAPIToken(old)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
}

// With end_reused, an old secret that is used after its end ends the token, once, with a reason.
func TestAccountReusedSecret(t *testing.T) {
	for _, ends := range []bool{false, true} {
		s, b := account(t, func(c *server.Config) { c.Exchange.APITokens.EndReused = ends })
		old := makeToken(t, b)
		b.Open(t, tokeneptest.AccountPath)
		text := secret(t, b.Submit(t, "roll", "grace", "1h"))
		s.Send(t, tokeneptest.ExchangeAPIToken("demo_000000000000_"+strings.Repeat("0", 49))).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
		if a := s.Send(t, tokeneptest.ExchangeAPIToken(old)); a.Status != http.StatusOK {
			t.Fatalf("within its time: %d %s", a.Status, a.Body)
		}
		s.Clock.Advance(time.Hour + time.Second)
		for range 2 {
			s.Send(t, tokeneptest.ExchangeAPIToken(old)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
		}
		if a := s.Send(t, tokeneptest.ExchangeAPIToken(text)); (a.Status == http.StatusOK) == ends {
			t.Errorf("end_reused %v: %d %s", ends, a.Status, a.Body)
		}
		b.Open(t, tokeneptest.AccountPath)
		if told := strings.Contains(b.Text(), "An old secret of it was used after its end."); told != ends {
			t.Errorf("end_reused %v: %s", ends, b.Text())
		}
	}
}

// Nobody sees or ends what is of somebody else.
func TestAccountOfAnother(t *testing.T) {
	s, b := account(t)
	_, of := s.NewAPIToken(t, state.APIToken{Owner: "bob"})
	makeToken(t, b)
	b.Open(t, tokeneptest.AccountPath)
	for _, action := range []string{"revoke", "roll"} {
		b.Open(t, tokeneptest.AccountPath)
		if b.Submit(t, action, "id", of.ID); !strings.Contains(b.Text(), "That could not be done.") {
			t.Errorf("%s: %s", action, b.Text())
		}
	}
	if got, err := s.APITokens.Load(t.Context(), of.ID); err != nil || !got.Revoked.IsZero() || !got.Rolled.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	other := s.Browser()
	other.Open(t, tokeneptest.AccountPath)
	if other.SignIn(t, "bob"); strings.Contains(other.Text(), "nightly") || !strings.Contains(other.Text(), of.ID) {
		t.Errorf("%s", other.Text())
	}
	// The form of ann's page in the browser of bob.
	b.Open(t, tokeneptest.AccountPath)
	b.Cookies = other.Cookies
	if a := b.Submit(t, "end_all"); a.Status != http.StatusBadRequest {
		t.Errorf("a page of another: %d %s", a.Status, b.Text())
	}
}

// RFC 6749 §10.2: what a person has allowed ends.
func TestAccountApplications(t *testing.T) {
	s, b := account(t)
	b.Open(t, path("site"))
	a := s.Send(t, tokeneptest.RedeemCode("site", b.Submit(t, "allow").Redirected(t, tokeneptest.Callback).Get("code")))
	b.Open(t, tokeneptest.AccountPath)
	if b.Submit(t, "forget"); !strings.Contains(b.Text(), "The application has no access any more.") || !strings.Contains(b.Text(), "You have allowed none.") {
		t.Fatalf("%s", b.Text())
	}
	s.Send(t, tokeneptest.Refresh("site", a.RefreshToken())).Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
	if _, err := s.Verify(t, a.AccessToken()); err == nil {
		t.Error("the access token is still good")
	}
}

func TestAccountSessions(t *testing.T) {
	s, b := account(t)
	other := s.Browser()
	other.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 <b>")
	other.Open(t, tokeneptest.AccountPath)
	other.SignIn(t, "ann")
	b.Open(t, tokeneptest.AccountPath)
	if !strings.Contains(b.Text(), "Firefox, Linux") || strings.Contains(b.Text(), "<b>") {
		t.Fatalf("%s; want the other browser", b.Text())
	}
	if b.Submit(t, "end"); !strings.Contains(b.Text(), "That browser is signed out.") {
		t.Fatalf("%s", b.Text())
	}
	if other.Open(t, tokeneptest.AccountPath); !strings.HasPrefix(other.At(), tokeneptest.SignInPath) {
		t.Errorf("at %s; want the other browser to be signed out", other.At())
	}
	other.SignIn(t, "ann")
	b.Open(t, tokeneptest.AccountPath)
	b.Submit(t, "end_all")
	for _, each := range []*tokeneptest.Browser{b, other} {
		if each.Open(t, tokeneptest.AccountPath); !strings.HasPrefix(each.At(), tokeneptest.SignInPath) {
			t.Errorf("at %s; want all to be signed out", each.At())
		}
	}
}

// The page of somebody whom others have signed in has no sessions; a secret needs a time.
func TestAccountOfAPlaceholder(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, withServices)
	b := s.Browser()
	b.Header.Set(tokeneptest.UserHeader, "ann")
	b.Open(t, tokeneptest.AccountPath)
	if text := b.Text(); strings.Contains(text, "Where you are signed in") || !strings.Contains(text, "No API token can be made here.") {
		t.Errorf("%s", text)
	}
	b.Header.Set(tokeneptest.SignInHeader, s.Clock.Now().Format(time.RFC3339))
	b.Open(t, tokeneptest.AccountPath+"?view=new")
	secret(t, b.Submit(t, "make", "name", "n", "service", "0"))
	s.Clock.Advance(16 * time.Minute)
	if a := b.Open(t, tokeneptest.AccountPath+"?view=new"); a.Status != http.StatusForbidden {
		t.Errorf("%d %s; want 403", a.Status, b.Text())
	}
}

// The list begins with what should be looked at.
func TestAccountOrder(t *testing.T) {
	s, b := account(t, func(c *server.Config) { c.Exchange.APITokens.AllowNever = true })
	for _, name := range []string{"used", "revoked", "unused", "forever"} {
		pairs := []string{"name", name, "days", "custom", "custom", "700"}
		if name == "forever" {
			pairs = []string{"name", name, "days", "never"}
		}
		text := makeToken(t, b, pairs...)
		if name == "used" || name == "forever" {
			s.Send(t, tokeneptest.ExchangeAPIToken(text))
		}
		if name == "revoked" {
			if err := s.APITokens.Revoke(t.Context(), strings.Split(text, "_")[1], "a reason"); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Clock.Advance(91 * 24 * time.Hour)
	b.Open(t, tokeneptest.AccountPath)
	b.SignIn(t, "ann")
	text, last := b.Text(), 0
	for _, want := range []string{"unused never used", "forever never expires", "used not used for 90 days", "revoked revoked", "a reason"} {
		at := strings.Index(text, want)
		if at < last {
			t.Errorf("%q is missing, or too early, in %s", want, text)
		}
		last = at
	}
}
