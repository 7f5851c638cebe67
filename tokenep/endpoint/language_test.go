package endpoint_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// OpenID Connect Core §3.1.2.1, RP-Initiated Logout 1.0 §2: ui_locales is the language of all pages
// on the way.
func TestLanguageIsKept(t *testing.T) {
	s, _ := newSite(t, withTV, withServices)
	pushed := func(client string) string {
		return s.Pushed(t, tokeneptest.Push(client, "ui_locales", "de", "prompt", "consent")).Path
	}
	type step func(t *testing.T, b *tokeneptest.Browser) tokeneptest.Answer
	open := func(path string) step {
		return func(t *testing.T, b *tokeneptest.Browser) tokeneptest.Answer { return b.Open(t, path) }
	}
	press := func(button string, pairs ...string) step {
		return func(t *testing.T, b *tokeneptest.Browser) tokeneptest.Answer { return b.Submit(t, button, pairs...) }
	}
	signIn := func(t *testing.T, b *tokeneptest.Browser) tokeneptest.Answer { return b.SignIn(t, "ann") }
	const de = "?ui_locales=de"
	elsewhere := func(t *testing.T, _ *tokeneptest.Browser) tokeneptest.Answer {
		other := s.Browser()
		other.Open(t, tokeneptest.AccountPath+de)
		return other.SignIn(t, "ann")
	}
	_, userCode := askForCode(t, s)
	for name, steps := range map[string][]step{
		"a client":             {open(path("site", "ui_locales", "de")), signIn, press("other"), signIn},
		"a pushed request":     {open(pushed("site")), signIn, press("other"), signIn},
		"a sealed one":         {open(pushed("native")), signIn, press("other"), press("", "username", "ann", "password", "wrong"), signIn},
		"their access":         {elsewhere, open(tokeneptest.AccountPath + de), signIn, press("end", "id", "gone")},
		"an API token":         {open(tokeneptest.AccountPath + "?view=new&ui_locales=de"), signIn, press("make", "name", " "), press("make", "name", "n"), open(tokeneptest.AccountPath + de), press("revoke")},
		"every session":        {open(tokeneptest.AccountPath + de), signIn, press("end_all")},
		"signing out":          {open(tokeneptest.SignInPath + de), signIn, open(tokeneptest.SignOutPath + de), press("stay"), open(tokeneptest.SignOutPath + de), press("leave")},
		"a device":             {open(devicePath + de), signIn, press("", "user_code", "BBBB-BBBB"), press("", "user_code", userCode), press("deny")},
		"a device with a code": {open(devicePath + de + "&user_code=BBBB-BBBB"), signIn},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.Browser()
			b.Header.Set("Accept-Language", "en")
			for i, take := range steps {
				a := take(t, b)
				if got := a.Header.Get("Content-Language"); got != "de" {
					t.Fatalf("step %d: %d at %s in %q, want de: %s", i, a.Status, b.At(), got, b.Text())
				}
			}
			for _, link := range []string{tokeneptest.SignInPath, tokeneptest.SignOutPath, tokeneptest.AccountPath} {
				if page := string(b.Open(t, b.At()).Body); strings.Contains(page, `href="`+link+`"`) {
					t.Errorf("a link to %s loses the language", link)
				}
			}
		})
	}
	form := tokeneptest.PostForm(strings.TrimPrefix(path("site", "ui_locales", "de", "client_id", "nobody"), tokeneptest.AuthorizePath+"?")).At(tokeneptest.AuthorizePath)
	if a := s.Send(t, form); a.Status != http.StatusBadRequest || a.Header.Get("Content-Language") != "de" {
		t.Errorf("a form: %d in %q, want de", a.Status, a.Header.Get("Content-Language"))
	}
}
