package tokenep_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// RFC 7591 §5: a pattern never lets another host in, nor another path.
func TestRedirectPattern(t *testing.T) {
	for _, row := range []struct {
		pattern tokenep.RedirectPattern
		good    []string
		bad     []string
	}{
		{"https://app.example/cb", []string{"https://app.example/cb"},
			[]string{"https://app.example/cb/", "https://app.example/cb?x=1", "https://APP.example/cb", "https://app.example:443/cb", "http://app.example/cb"}},
		{"https://*.app.example/cb", []string{"https://a.app.example/cb", "https://A-1.App.Example/cb"}, []string{
			"https://app.example/cb", "https://.app.example/cb", "https://a.b.app.example/cb", "https://a.app.example./cb", "https://a.app.example:8443/cb",
			"https://evil.example/.app.example/cb", "https://evil.example?a.app.example/cb", "https://a@b.app.example/cb", "https://*.app.example/cb",
			"https://a%2eb.app.example/cb", "https://evil.example%2f.app.example/cb", "https://a_b.app.example/cb", "https://a;b.app.example/cb", "https://a.app.example/CB",
			`https://evil.example\.app.example/cb`, "http://a.app.example/cb", "https://a.app.example", "https://a.app.example/cb#", "https://а.app.example/cb",
		}},
		{"https://a.*.app.example:8443/*", []string{"https://a.b.app.example:8443/", "https://a.b.app.example:8443/x/y"},
			[]string{"https://a.b.app.example/", "https://a.b.app.example:8443", "https://b.b.app.example:8443/"}},
		{"https://app.example/oauth/*", []string{"https://app.example/oauth/", "https://app.example/oauth/x/y", "https://app.example/oauth/x..y", "https://app.example/oauth/%2F"}, []string{
			"https://app.example/oauth", "https://app.example/oauthx", "https://app.example/oauth/../x", "https://app.example/oauth/./x", "https://app.example/oauth/x/..",
			"https://app.example/oauth/%2e%2E/x", "https://app.example/oauth/.%2e", "https://app.example/oauth/x?next=y", "https://app.example/oauth/x#y", "https://app.example:1/oauth/x",
		}},
		{"http://127.0.0.1/*", []string{"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"},
			[]string{"http://localhost/cb", "https://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:x/cb", "http://127.0.0.1:1/../cb"}},
		{"http://localhost/cb", []string{"http://localhost:3334/cb", "http://localhost/cb"}, []string{"http://localhost/cb/x", "http://localhost.evil.example/cb"}},
		{"com.example.app:/cb", []string{"com.example.app:/cb"}, []string{"com.example.app:/cb2", "com.example:/cb"}},
	} {
		if err := row.pattern.Validate(); err != nil {
			t.Error(err)
		}
		for _, uri := range row.good {
			if !row.pattern.Match(uri) {
				t.Errorf("%s refuses %s", row.pattern, uri)
			}
		}
		for _, uri := range row.bad {
			if row.pattern.Match(uri) {
				t.Errorf("%s takes %s", row.pattern, uri)
			}
		}
	}
}

func TestRedirectPatternThatIsNone(t *testing.T) {
	for _, pattern := range []tokenep.RedirectPattern{
		"", "*", "https://*", "https://*/cb", "https://*.example/cb", "https://app.*/cb", "https://app.*.example/cb*", "https://a*.app.example/cb", "https://**.app.example/cb",
		"https://app.example/*/cb", "https://app.example/cb?*", "https://app.example/cb?x=/*", "https://app.example/../*", "https://app.example*", "https://app.example:*/cb", "http://app.example/*",
		"http://*.app.example/cb", "*://app.example/cb", "com.example.app:/*", "com.example.app://*", "javascript:*", "https://u@*.app.example/cb", "https://*.app.example/cb#x", "http://app.example/cb",
	} {
		if err := pattern.Validate(); err == nil {
			t.Errorf("%q is taken", pattern)
		}
	}
}

// A URI that fits a pattern with * is of its scheme, of as many labels, and below its path, as
// net/url reads it.
func FuzzRedirectPattern(f *testing.F) {
	f.Add("https://*.app.example/cb", "https://a.app.example/cb")
	f.Add("https://app.example/x/*", "https://app.example/x/../y")
	f.Add("http://[::1]/*", "http://[::1]:80/x")
	f.Fuzz(func(t *testing.T, text, uri string) {
		pattern := tokenep.RedirectPattern(text)
		if pattern.Validate() != nil || !strings.Contains(text, "*") || !pattern.Match(uri) {
			return
		}
		want, err := url.Parse(strings.ReplaceAll(text, "*", "x"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := url.Parse(uri)
		if err != nil || got.Scheme != want.Scheme || got.User != nil || got.Fragment != "" {
			t.Fatalf("%s takes %s: %v", text, uri, err)
		}
		labels, of := strings.Split(strings.ToLower(got.Hostname()), "."), strings.Split(strings.ToLower(want.Hostname()), ".")
		n := len(of)
		if len(labels) != n || labels[n-1] != of[n-1] || n > 1 && labels[n-2] != of[n-2] || got.Scheme == "https" && got.Port() != want.Port() {
			t.Errorf("%s takes %s", text, uri)
		}
		if below, wild := strings.CutSuffix(want.EscapedPath(), "x"); wild && strings.HasSuffix(text, "*") && !strings.HasPrefix(got.JoinPath().EscapedPath(), below) {
			t.Errorf("%s takes %s", text, uri)
		}
	})
}
