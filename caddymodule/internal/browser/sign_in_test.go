package browser

import (
	"strings"
	"testing"
)

// withAndWithout runs a scene with scripts and without: nothing needs one.
func withAndWithout(t *testing.T, scene func(t *testing.T, scripts bool)) {
	t.Helper()
	t.Run("with scripts", func(t *testing.T) { scene(t, true) })
	t.Run("without", func(t *testing.T) { scene(t, false) })
}

// A person comes from an application, mistypes the password, signs in, allows, and comes back
// another time without being asked; then denies, and signs out. All of it by keyboard.
func TestPersonSignsInAndDecides(t *testing.T) {
	s := newSite(t, "")
	withAndWithout(t, func(t *testing.T, scripts bool) {
		b := newTab(t, scripts)
		b.open(s.asks("prompt", "consent"))
		b.sees("To go on to Notes for you")
		b.begins("username")
		b.keys("ada" + tabKey + "wrong" + enter)
		b.sees("The user name or the password is wrong.")
		b.begins("password")
		if got := b.attribute("#failed", "role"); got != "alert" {
			t.Errorf("the error has role %q", got)
		}
		for _, field := range []string{"#username", "#password"} {
			if invalid, by := b.attribute(field, "aria-invalid"), b.attribute(field, "aria-describedby"); invalid != "true" || by != "failed" {
				t.Errorf("%s: aria-invalid %q, aria-describedby %q", field, invalid, by)
			}
		}
		if fields := eval[string](b, "username.value + '/' + password.value"); fields != "ada/" {
			t.Errorf("fields %q, want the name there still, and not the password", fields)
		}
		b.keys("wonderland" + enter)
		b.sees("Allow access?")
		contains(t, b.text(), "Notes for you", "ada", "orders:read", "127.0.0.1")
		if strings.Contains(b.at(), "wonderland") {
			t.Errorf("at %s", b.at())
		}
		b.keys(tabKey)
		if b.focused() != "Deny" {
			t.Errorf("%q has the keyboard first, want Deny", b.focused())
		}
		b.keys(tabKey + enter)
		got := s.got(b)
		if got.method != "GET" || got.values.Get("state") != "af0ifjsldkj" || got.values.Get("iss") != s.url {
			t.Errorf("%s %v", got.method, got.values)
		}
		s.redeem(got.values.Get("code"))

		b.open(s.asks()) // and is not asked again
		if got := s.got(b); got.values.Get("code") == "" {
			t.Errorf("%v; want a code", got.values)
		}
		b.open(s.asks("prompt", "consent"))
		b.click(button("deny"))
		if got := s.got(b); got.values.Get("error") != "access_denied" {
			t.Errorf("%v; want access_denied", got.values)
		}
		signOut(t, s, b)
	})
}

// signOut is first not what the person wants, and then it is.
func signOut(t *testing.T, s *site, b *tab) {
	t.Helper()
	leave := s.url + "/oauth/sign-out?client_id=notes&post_logout_redirect_uri=" + s.client.URL + "/bye"
	b.open(leave)
	b.sees("Notes for you asks whether you want to sign out.")
	b.click(button("stay"))
	b.wait("!document.querySelector('button[value=stay]')")
	b.open(s.asks("prompt", "none"))
	if got := s.got(b); got.values.Get("code") == "" {
		t.Errorf("%v; want a code: they are still signed in", got.values)
	}
	b.open(leave)
	b.click(button("leave"))
	b.sees("Back at the application: /bye")
	b.open(s.asks("prompt", "none"))
	if got := s.got(b); got.values.Get("error") != "login_required" {
		t.Errorf("%v; want login_required", got.values)
	}
}

// The application wants a POST: a page sends itself with a script, and by a button without.
func TestFormPost(t *testing.T) {
	s := newSite(t, "")
	withAndWithout(t, func(t *testing.T, scripts bool) {
		b := newTab(t, scripts)
		b.open(s.asks("response_mode", "form_post", "prompt", "consent"))
		b.signIn()
		b.sees("Allow access?")
		b.click(button("allow"))
		if !scripts {
			b.sees("One moment")
			b.click("button[data-submit]")
		}
		got := s.got(b)
		if got.method != "POST" || got.values.Get("state") != "af0ifjsldkj" {
			t.Errorf("%s %v", got.method, got.values)
		}
		s.redeem(got.values.Get("code"))
	})
}

// Two answers to one page, and a page of another browser: the person is told on a page of ours.
func TestPageOfAnotherBrowser(t *testing.T) {
	s := newSite(t, "")
	a, b := newTab(t, true), newTab(t, true)
	a.open(s.asks())
	a.sees("Sign in")
	b.open(a.at()) // the URL was sent to somebody else
	b.sees("This does not work")
	contains(t, b.text(), "another browser", "They find it in their log by")
}

// An application that asks in a window of its own is told there how it went: no page cuts it off
// from the one that opened it. The page of people's access does.
func TestSignInInAWindow(t *testing.T) {
	s := newSite(t, services)
	b := newTab(t, true)
	b.open(s.otherSite("opener", s.asks()))
	window := b.opens(func() { b.click("button") })
	window.signIn()
	window.sees("Allow access?")
	window.click(button("allow"))
	b.wait("document.title == 'back at /callback'")
	if got := s.got(window); got.values.Get("code") == "" {
		t.Errorf("the application got %v", got)
	}

	b.open(s.otherSite("opener", s.url+"/oauth/account"))
	account := b.opens(func() { b.click("button") })
	account.sees("Your access")
	if eval[bool](account, "!!window.opener") {
		t.Error("the page of people's access has the other site as its opener")
	}
}
