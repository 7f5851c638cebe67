package endpoint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// OpenID Connect Core §3.1.2.1: prompt=login asks once, and asks at all, also where the clocks of
// two nodes differ by more than people take to type.
func TestSignInAgainOnTwoNodes(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"behind": -5 * time.Minute, "ahead": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			one, people := newSite(t)
			now := func() time.Time { return one.Clock.Now().Add(ahead) }
			c := tokeneptest.Config(one.Store, now)
			for _, change := range []tokeneptest.Change{tokeneptest.WithPeople, withOpenID, people.SignIn} {
				change(&c)
			}
			two := one.Next(t, c)
			if err := two.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := two.Browser()
			b.Open(t, tokeneptest.SignInPath)
			b.SignIn(t, "ann")

			b.Server = one
			one.Clock.Advance(time.Second)
			b.Open(t, path("site", "prompt", "login"))
			_, flow, _ := strings.Cut(b.At(), "?")
			if b.Open(t, tokeneptest.AuthorizePath+"?"+flow); !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
				t.Errorf("at %s; want the page to sign in: ann has not done it again", b.At())
			}
			b.Server = two
			if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "You are ann") {
				t.Fatalf("at %s: %s; want the page that asks ann for consent", b.At(), b.Text())
			}
			b.Server = one
			if got := b.Submit(t, "allow").Redirected(t, tokeneptest.Callback); got.Get("code") == "" {
				t.Errorf("%v; want a code", got)
			}
		})
	}
}

// Who signed in for a request is not whoever is there later, in the same browser.
func TestSignInAgainIsOfOnePerson(t *testing.T) {
	s, _ := newSite(t)
	b, _ := signedIn(t, s)
	b.Open(t, path("site", "prompt", "login"))
	b.SignIn(t, "ann")
	after := b.At()
	b.Open(t, tokeneptest.SignInPath)
	b.SignIn(t, "bob")
	if b.Open(t, after); !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
		t.Errorf("at %s: %s; want bob to sign in", b.At(), b.Text())
	}
	if b.SignIn(t, "bob"); !strings.Contains(b.Text(), "You are bob") {
		t.Errorf("at %s: %s; want the page that asks bob for consent", b.At(), b.Text())
	}
}

// A form that was shown just after a sign-in, and is sent long after it, makes no secret.
func TestAccountFormThatLiesOpen(t *testing.T) {
	s, b := account(t)
	token := makeToken(t, b)
	s.Clock.Advance(10 * time.Minute)
	for view, button := range map[string]string{"?view=new": "make", "": "roll"} {
		b.Open(t, tokeneptest.AccountPath+view)
		page := *b
		s.Clock.Advance(6 * time.Minute)
		if a := page.Submit(t, button, "name", "n", "service", "0"); !strings.HasPrefix(page.At(), tokeneptest.SignInPath) {
			t.Errorf("%s: %d at %s: %s; want the page to sign in", button, a.Status, page.At(), page.Text())
		}
		s.Clock.Advance(-6 * time.Minute)
	}
	if a := s.Send(t, tokeneptest.ExchangeAPIToken(token)); a.Status != http.StatusOK {
		t.Errorf("%d %s; want the token to be as before", a.Status, a.Body)
	}
}
