package endpoint_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// pagesOfPeople are the paths of all pages, and what each of them takes.
var pagesOfPeople = map[string][]string{
	tokeneptest.SignInPath:    {"flow", "username", "password", "decision"},
	tokeneptest.SignOutPath:   {"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "page", "decision", "logout_hint", "ui_locales"},
	tokeneptest.AuthorizePath: {"flow", "page", "decision", "redirect_uri", "request_uri", "state", "login_hint", "id_token_hint", "ui_locales", "response_mode", "prompt"},
	tokeneptest.AccountPath:   {"page", "view", "notice", "action", "id", "name", "note", "service"},
}

// Nobody is sent to another site by what a link or a form says, and nothing on a page leads there,
// whatever parameter it is in, and whether somebody has signed in or not (RFC 9700 §4.11).
func TestNoOpenRedirect(t *testing.T) {
	s, _ := newSite(t)
	ann := s.Browser()
	ann.Open(t, tokeneptest.SignInPath)
	ann.SignIn(t, "ann")
	evil := []string{
		"https://evil.example/", "//evil.example/", `/\evil.example/`, "https:evil.example", "https://as.example@evil.example/",
		"javascript:alert(1)//evil.example", "data:text/html,evil.example", byeURI + "@evil.example", "%2f%2fevil.example", "https://evil.example/\r\nX: 1",
	}
	for path, own := range pagesOfPeople {
		for _, name := range append(own, "return_to", "next", "url", "redirect", "continue", "post_login_redirect_uri") {
			for _, value := range evil {
				base := url.Values{"client_id": {"site"}, "response_type": {"code"}}
				base.Set(name, value)
				for _, b := range []*tokeneptest.Browser{s.Browser(), ann} {
					leadsNowhere(t, b.Open(t, path+"?"+base.Encode()), path, name, value)
					r := tokeneptest.PostForm(base.Encode()).At(path)
					r.Header.Set("Cookie", browserCookie+"="+b.Cookies[browserCookie]+"; "+sessionCookie+"="+b.Cookies[sessionCookie])
					leadsNowhere(t, s.Send(t, r), path, name, value)
				}
			}
		}
	}
	if ann.Open(t, tokeneptest.AccountPath); !strings.Contains(ann.Text(), "ann") {
		t.Errorf("%s; want ann to be signed in still", ann.Text())
	}
	// And on, by the forms of the pages: to sign in, and out.
	for _, value := range evil {
		for _, name := range []string{"return_to", "next", "flow", "state", "post_logout_redirect_uri"} {
			b := s.Browser()
			if a := b.Open(t, tokeneptest.SignInPath+"?"+url.Values{name: {value}}.Encode()); a.Status == http.StatusOK {
				leadsNowhere(t, b.SignIn(t, "ann"), tokeneptest.SignInPath, name, value)
			}
			a := b.Open(t, signOut("client_id", "site", name, value))
			if leadsNowhere(t, a, tokeneptest.SignOutPath, name, value); a.Status == http.StatusOK && strings.Contains(string(a.Body), `value="leave"`) {
				leadsNowhere(t, b.Submit(t, "leave"), tokeneptest.SignOutPath, name, value)
			}
		}
	}
}

// leadsNowhere holds an answer to this server and to what the client has registered.
func leadsNowhere(t *testing.T, a tokeneptest.Answer, path, name, value string) {
	t.Helper()
	bad := func(to string) bool {
		return to != "" && !strings.HasPrefix(to, tokeneptest.Callback+"?") && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`))
	}
	if to := a.Header.Get("Location"); bad(to) {
		t.Errorf("%s, %s=%q: sent to %s", path, name, value, to)
	}
	if a.Header.Get("X") != "" {
		t.Errorf("%s, %s=%q: sets a header", path, name, value)
	}
	page, err := html.Parse(bytes.NewReader(a.Body))
	if err != nil || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		return
	}
	for n := range page.Descendants() {
		for _, at := range n.Attr {
			if to := at.Val; bad(to) && (at.Key == "href" || at.Key == "action" || at.Key == "src" || at.Key == "formaction") && strings.Contains(to, "evil") {
				t.Errorf("%s, %s=%q: <%s %s=%q>", path, name, value, n.Data, at.Key, to)
			}
		}
	}
}

// Every page has the headers that keep it out of frames, caches and referrers; and whatever follows
// a form is a 303, which carries no password on (RFC 9700 §4.12, §4.16).
func TestHeadersOfEveryPage(t *testing.T) {
	s, _ := newSite(t, func(c *server.Config) { c.Exchange.APITokens.AllowNever = true })
	b := s.Browser()
	seen := map[string]bool{}
	check := func(what string, a tokeneptest.Answer) {
		t.Helper()
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Fatalf("%s: %d %v is no page", what, a.Status, a.Header)
		}
		seen[what] = true
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			if a.Header.Get(name) != want {
				t.Errorf("%s: %s: %q, want %q", what, name, a.Header.Get(name), want)
			}
		}
		csp := a.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %s", what, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", what, a.Header)
		}
	}
	check("sign in", b.Open(t, path("site", "response_mode", "form_post")))
	check("wrong password", b.Submit(t, "", "username", "ann", "password", "x"))
	check("consent", b.SignIn(t, "ann"))
	check("form_post", b.Submit(t, "allow"))
	check("an error for the client, by form_post", b.Open(t, path("site", "response_mode", "form_post", "scope", "unknown")))
	check("an error of the request", b.Open(t, path("nobody")))
	check("an error of a form", b.Open(t, tokeneptest.SignInPath+"?flow=x"))
	check("select account", b.Open(t, path("site", "prompt", "select_account")))
	check("account", b.Open(t, tokeneptest.AccountPath))
	check("new token", b.Open(t, tokeneptest.AccountPath+"?view=new"))
	check("sign out", b.Open(t, signOut()))
	check("signed out", b.Submit(t, "leave"))
	check("a method", s.Send(t, tokeneptest.Request{Method: http.MethodPost, Path: tokeneptest.SignInPath, Header: http.Header{"Content-Type": {"text/plain"}}}))
}

// Whatever follows a form is a 303 (RFC 9700 §4.12).
func TestEveryRedirectAfterAFormIs303(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	forms := 0
	// A browser follows a 303 alone, so that each of these steps would stop at any other.
	for _, step := range []func() tokeneptest.Answer{
		func() tokeneptest.Answer { b.Open(t, path("site")); return b.SignIn(t, "ann") },
		func() tokeneptest.Answer { return b.Submit(t, "allow") },
		func() tokeneptest.Answer { b.Open(t, path("site", "prompt", "consent")); return b.Submit(t, "other") },
		func() tokeneptest.Answer { return b.Submit(t, "continue") },
		func() tokeneptest.Answer { return b.Submit(t, "deny") },
		func() tokeneptest.Answer { b.Open(t, signOut()); return b.Submit(t, "stay") },
		func() tokeneptest.Answer {
			b.Open(t, signOut("client_id", "site", "post_logout_redirect_uri", byeURI))
			return b.Submit(t, "leave")
		},
	} {
		if a := step(); a.Status/100 == 3 && a.Status != http.StatusSeeOther {
			t.Errorf("step %d: %d, want 303", forms, a.Status)
		}
		forms++
	}
}
