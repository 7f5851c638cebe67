package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// signOut returns the path of a request to sign out.
func signOut(pairs ...string) string {
	form := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return tokeneptest.SignOutPath + "?" + form.Encode()
}

// signedIn returns a browser in which ann has signed in, and the ID token that the client site got.
func signedIn(t *testing.T, s *tokeneptest.Server) (b *tokeneptest.Browser, hint string) {
	t.Helper()
	b = s.Browser()
	b.Open(t, path("site", "scope", "openid"))
	a := b.SignIn(t, "ann")
	if a.Status == http.StatusOK {
		a = b.Submit(t, "allow")
	}
	hint, _ = s.Send(t, tokeneptest.RedeemCode("site", a.Redirected(t, tokeneptest.Callback).Get("code"))).JSON["id_token"].(string)
	if hint == "" {
		t.Fatal("no ID token")
	}
	return b, hint
}

// isSignedIn reports whether somebody has signed in.
func isSignedIn(t *testing.T, b *tokeneptest.Browser) bool {
	t.Helper()
	return b.Open(t, path("site", "prompt", "none", "scope", "openid")).Redirected(t, tokeneptest.Callback).Get("code") != ""
}

// OpenID Connect RP-Initiated Logout 1.0 §2 to §4.
func TestSignOut(t *testing.T) {
	s, _ := newSite(t)
	t.Run("hint and redirect", func(t *testing.T) {
		b, hint := signedIn(t, s)
		a := b.Open(t, signOut("id_token_hint", hint, "post_logout_redirect_uri", byeURI, "state", "a b&c"))
		if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != byeURI+"?state=a+b%26c" {
			t.Errorf("%d %s", a.Status, to)
		}
		if isSignedIn(t, b) {
			t.Error("still signed in")
		}
	})
	t.Run("no state", func(t *testing.T) {
		b, hint := signedIn(t, s)
		if to := b.Open(t, signOut("id_token_hint", hint, "post_logout_redirect_uri", byeURI)).Header.Get("Location"); to != byeURI {
			t.Errorf("sent to %s", to)
		}
	})
	t.Run("a hint that has expired", func(t *testing.T) {
		b, hint := signedIn(t, s)
		s.Clock.Advance(6 * time.Hour)
		if b.Open(t, signOut("id_token_hint", hint)); !strings.Contains(b.Text(), "You are signed out") || isSignedIn(t, b) {
			t.Errorf("%s", b.Text())
		}
	})
	t.Run("no parameters", func(t *testing.T) {
		b, _ := signedIn(t, s)
		if b.Open(t, signOut()); !isSignedIn(t, b) {
			t.Fatal("signed out without a question")
		}
		b.Open(t, signOut())
		if b.Submit(t, "leave"); !strings.Contains(b.Text(), "You are signed out") || isSignedIn(t, b) {
			t.Errorf("%s", b.Text())
		}
	})
	t.Run("state alone", func(t *testing.T) {
		b, _ := signedIn(t, s)
		if a := b.Open(t, signOut("state", "x")); a.Header.Get("Location") != "" || !strings.Contains(b.Text(), "Sign out?") {
			t.Errorf("%d %s; want a question", a.Status, b.Text())
		}
		if a := b.Submit(t, "leave"); a.Header.Get("Location") != "" || isSignedIn(t, b) {
			t.Errorf("sent to %q", a.Header.Get("Location"))
		}
	})
	t.Run("a hint that others have signed", func(t *testing.T) {
		elsewhere, _ := newSite(t)
		_, hint := signedIn(t, elsewhere)
		b, _ := signedIn(t, s)
		if a := b.Open(t, signOut("id_token_hint", hint, "post_logout_redirect_uri", byeURI)); a.Header.Get("Location") != "" || !isSignedIn(t, b) {
			t.Errorf("%d, sent to %q; want a question", a.Status, a.Header.Get("Location"))
		}
	})
	t.Run("metadata", func(t *testing.T) {
		a := s.Send(t, tokeneptest.Get("/.well-known/openid-configuration"))
		if got := a.JSON["end_session_endpoint"]; got != tokeneptest.Issuer+tokeneptest.SignOutPath {
			t.Errorf("end_session_endpoint is %v", got)
		}
	})
	t.Run("client_id and redirect", func(t *testing.T) {
		b, _ := signedIn(t, s)
		b.Open(t, signOut("client_id", "site", "post_logout_redirect_uri", byeURI))
		if !strings.Contains(b.Text(), "site asks whether you want to sign out") {
			t.Fatalf("%s; want a question", b.Text())
		}
		if to := b.Submit(t, "leave").Header.Get("Location"); to != byeURI || isSignedIn(t, b) {
			t.Errorf("sent to %s", to)
		}
	})
	t.Run("the hint of somebody else", func(t *testing.T) {
		_, hint := signedIn(t, s)
		b := s.Browser()
		b.Open(t, tokeneptest.SignInPath)
		b.SignIn(t, "bob")
		if b.Open(t, signOut("id_token_hint", hint, "post_logout_redirect_uri", byeURI)); !strings.Contains(b.Text(), "Sign out?") {
			t.Errorf("%s; want a question", b.Text())
		}
	})
	t.Run("a form of another site", func(t *testing.T) {
		b, _ := signedIn(t, s)
		b.Open(t, signOut())
		b.Header.Set("Sec-Fetch-Site", "cross-site")
		if a := b.Submit(t, "leave"); a.Status != http.StatusBadRequest {
			t.Errorf("%d", a.Status)
		}
		b.Header.Del("Sec-Fetch-Site")
		if !isSignedIn(t, b) {
			t.Error("signed out")
		}
	})
}

// Nobody is redirected to a URI that the client has not registered exactly, and stays signed in.
func TestSignOutRefused(t *testing.T) {
	s, _ := newSite(t)
	b, hint := signedIn(t, s)
	unsigned := strings.Join([]string{"eyJhbGciOiJub25lIn0", strings.Split(hint, ".")[1], ""}, ".")
	for name, pairs := range map[string][]string{
		"another redirect":          {"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/bye"},
		"a query added":             {"id_token_hint", hint, "post_logout_redirect_uri", byeURI + "?x=1"},
		"a slash added":             {"id_token_hint", hint, "post_logout_redirect_uri", byeURI + "/"},
		"a redirect, and no client": {"post_logout_redirect_uri", byeURI},
		"a hint without signature":  {"id_token_hint", unsigned, "post_logout_redirect_uri", byeURI},
		"a hint that is changed":    {"id_token_hint", hint[:len(hint)-6] + "AAAAAA"},
		"no hint at all":            {"id_token_hint", "x"},
		"the hint of another":       {"id_token_hint", hint, "client_id", "native"},
		"an unknown client":         {"client_id", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.Open(t, signOut(pairs...))
			if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
				t.Errorf("%d %s; want a page that says what is wrong", a.Status, a.Header.Get("Location"))
			}
			if !isSignedIn(t, b) {
				t.Error("signed out")
			}
		})
	}
}

// A form of another site comes without the session, and ends nothing: the browser is sent to ask
// for the page by itself, which brings the cookie (§2: POST must be supported).
func TestSignOutByPost(t *testing.T) {
	s, _ := newSite(t)
	b, hint := signedIn(t, s)
	for _, form := range [][]string{{"x", "y"}, {"id_token_hint", hint, "post_logout_redirect_uri", byeURI}} {
		a := s.Send(t, tokeneptest.Post(form...).At(tokeneptest.SignOutPath).With("Sec-Fetch-Site", "cross-site"))
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), tokeneptest.SignOutPath) || len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("%v: %d %s %q", form, a.Status, a.Header.Get("Location"), a.Header["Set-Cookie"])
		}
		if len(form) == 2 {
			continue
		}
		if to := b.Open(t, a.Header.Get("Location")).Header.Get("Location"); to != byeURI || isSignedIn(t, b) {
			t.Errorf("sent to %s", to)
		}
	}
}
