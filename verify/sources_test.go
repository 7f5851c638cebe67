package verify_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Tokens are taken from where the guard says, from one place at a time, and what carried one never
// reaches the upstream.
func TestTokenSources(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{
		TokenHeaders: []verify.TokenHeader{{Name: "X-Access-Token"}, {Name: "X-Forwarded-Authorization", Scheme: "Bearer"}},
		TokenCookies: []string{"session"}, FormToken: true, InsecureQueryToken: true,
		Headers: []verify.HeaderClaim{{Header: "X-User-Id", Claim: verify.ClaimPath{"sub"}}},
	})
	for _, c := range []struct {
		name, headers string
		status        int
		code          string
	}{
		{"Authorization", "Authorization: Bearer TOKEN\n", 200, ""},
		{"a header alone", "X-Access-Token: TOKEN\n", 200, ""},
		{"a header with a scheme", "X-Forwarded-Authorization: bearer TOKEN\n", 200, ""},
		{"a cookie", "Cookie: a=b; session=TOKEN; c=d\n", 200, ""},
		{"the last of several lines of cookies", "Cookie: a=b\nCookie: session=TOKEN\n", 200, ""},
		{"a cookie beside an empty one", "Cookie: session=; session=TOKEN\n", 200, ""},
		{"another scheme is no token", "X-Forwarded-Authorization: Basic dTpw\nX-Access-Token: TOKEN\n", 200, ""},
		{"nothing", "", 401, ""},
		{"another scheme alone", "X-Forwarded-Authorization: Basic dTpw\n", 401, ""},
		{"an empty cookie", "Cookie: session=\n", 401, ""},
		{"another cookie", "Cookie: Session=TOKEN\n", 401, ""},
		{"another spelling of the header", "X_Access_Token: TOKEN\n", 401, ""},
		{"two headers", "X-Access-Token: TOKEN\nX-Forwarded-Authorization: Bearer TOKEN\n", 400, "invalid_request"},
		{"Authorization and a header", "Authorization: Bearer TOKEN\nX-Access-Token: TOKEN\n", 400, "invalid_request"},
		{"Authorization and a cookie", "Authorization: Bearer TOKEN\nCookie: session=TOKEN\n", 400, "invalid_request"},
		{"a header and a cookie", "X-Access-Token: TOKEN\nCookie: session=TOKEN\n", 400, "invalid_request"},
		{"two lines", "X-Access-Token: TOKEN\nX-Access-Token: TOKEN\n", 400, "invalid_request"},
		{"two cookies", "Cookie: session=TOKEN; session=TOKEN\n", 400, "invalid_request"},
		{"a quoted cookie", "Cookie: session=\"TOKEN\"\n", 400, "invalid_request"},
		{"a header with a space", "X-Access-Token: Bearer TOKEN\n", 400, "invalid_request"},
		{"an empty header", "X-Access-Token:\n", 400, "invalid_request"},
		{"a scheme alone", "X-Forwarded-Authorization: Bearer\n", 400, "invalid_request"},
		{"a bad token", "Cookie: session=TOKENx\n", 401, "invalid_token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := f.raw(t, "GET /orders HTTP/1.1\nHost: h\n"+c.headers+"Connection: close\n\n")
			if c.status != 200 {
				a.refused(t, c.status, c.code)
				return
			}
			s := a.seen(t)
			if got := s.Header.Get("X-User-Id"); got != "alice" {
				t.Errorf("X-User-Id %q", got)
			}
			for name, values := range s.Header {
				if strings.Contains(strings.Join(values, " "), "eyJ") {
					t.Errorf("the token goes on in %s: %q", name, values)
				}
			}
			if strings.Contains(c.headers, "a=b") && !strings.HasPrefix(s.Header.Get("Cookie"), "a=b") {
				t.Errorf("Cookie %q", s.Header["Cookie"])
			}
		})
	}
	for name, request := range map[string]string{
		"query and cookie": "GET /orders?access_token=TOKEN HTTP/1.1\nHost: h\nCookie: session=TOKEN\nConnection: close\n\n",
		"form and header": "POST /orders HTTP/1.1\nHost: h\nX-Access-Token: TOKEN\nContent-Type: application/x-www-form-urlencoded\n" +
			"Content-Length: 14\nConnection: close\n\naccess_token=a",
	} {
		if a := f.raw(t, request); a.StatusCode != 400 || !strings.Contains(a.Header.Get("WWW-Authenticate"), "more than one place") {
			t.Errorf("%s: %d %q", name, a.StatusCode, a.Header)
		}
	}
}

// A refused request goes to an error handler without the token; one without a token passes without
// the cookie, good or not, where that is optional.
func TestSourcesAreHidden(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier(), Preflight: true, Optional: true,
		TokenCookies: []string{"session", "old"}, TokenHeaders: []verify.TokenHeader{{Name: "X-Access-Token"}}}
	for _, method := range []string{"GET", "OPTIONS"} {
		for _, token := range []string{issuer.Sign(nil), "bad", ""} {
			r, _ := http.NewRequestWithContext(t.Context(), method, "http://h/", nil)
			r.Header["Cookie"] = []string{"session=" + token + ";x=y; old=", "old=" + "; z=1"}
			r.Header.Set("Origin", "https://elsewhere.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
			_, _ = guard.Admit(r)
			if want := []string{"x=y", "z=1"}; !slices.Equal(r.Header["Cookie"], want) {
				t.Errorf("%s %q: %q, want %q", method, token, r.Header["Cookie"], want)
			}
			r.Header["Cookie"] = []string{"session=a"}
			r.Header["X-Access-Token"] = []string{"a"}
			_, _ = guard.Admit(r)
			if len(r.Header["Cookie"]) > 0 || len(r.Header["X-Access-Token"]) > 0 {
				t.Errorf("%s: %q", method, r.Header)
			}
		}
	}
}

// A browser sends cookies by itself, whoever asks it to: what is not safe needs to come from the
// same origin (Fetch Metadata, RFC 6454).
func TestCookiesNeedTheSameOrigin(t *testing.T) {
	guard := &verify.Guard{TokenCookies: []string{"session"}}
	strict := newFront(t, newIssuer(), guard)
	loose := newFront(t, newIssuer(), &verify.Guard{TokenCookies: []string{"session"}, InsecureAnyOrigin: true})
	guard.OverTLS = func(r *http.Request) bool { return r.Header.Get("X-Forwarded-Proto") == "https" }
	for _, c := range []struct {
		name, method, headers string
		passes                bool
	}{
		{"safe", "GET", "", true},
		{"safe, from elsewhere", "GET", "Sec-Fetch-Site: cross-site\nOrigin: https://evil.example\n", true},
		{"same origin", "POST", "Sec-Fetch-Site: same-origin\n", true},
		{"by the person", "POST", "Sec-Fetch-Site: none\n", true},
		{"same site", "POST", "Sec-Fetch-Site: same-site\nOrigin: https://h\n", false},
		{"cross site", "DELETE", "Sec-Fetch-Site: cross-site\nOrigin: https://h\n", false},
		{"two values", "POST", "Sec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site\n", false},
		{"by Origin", "POST", "Origin: https://H\n", true},
		{"another host", "POST", "Origin: https://evil.example\n", false},
		{"another port", "POST", "Origin: https://h:8443\n", false},
		{"without TLS", "POST", "Origin: http://h\n", true},
		{"without TLS, to a request over TLS", "POST", "X-Forwarded-Proto: https\nOrigin: http://h\n", false},
		{"over TLS", "POST", "X-Forwarded-Proto: https\nOrigin: https://h\n", true},
		{"over TLS, which a proxy takes off", "POST", "Origin: https://h\n", true},
		{"another scheme", "POST", "Origin: app://h\n", false},
		{"null", "POST", "Origin: null\n", false},
		{"two origins", "POST", "Origin: https://h\nOrigin: https://evil.example\n", false},
		{"neither", "POST", "", false},
		{"a method of one's own", "PURGE", "", false},
		{"a WebSocket from elsewhere", "GET", "Upgrade: websocket\nOrigin: https://evil.example\n", false},
		{"a WebSocket", "GET", "Upgrade: websocket\nOrigin: https://h\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := c.method + " /orders HTTP/1.1\nHost: h\nCookie: session=TOKEN\n" + c.headers + "Connection: close\nContent-Length: 0\n\n"
			if a := strict.raw(t, request); c.passes {
				a.seen(t)
			} else {
				a.refused(t, 403, "access_denied")
			}
			loose.raw(t, request).seen(t)
		})
	}
}

// A header or cookie with two uses, or without a name, is a mistake.
func TestSourcesAreChecked(t *testing.T) {
	for name, guard := range map[string]*verify.Guard{
		"Authorization":         {TokenHeaders: []verify.TokenHeader{{Name: "authorization"}}},
		"Cookie":                {TokenHeaders: []verify.TokenHeader{{Name: "Cookie"}}},
		"Host":                  {TokenHeaders: []verify.TokenHeader{{Name: "Host"}}},
		"twice":                 {TokenHeaders: []verify.TokenHeader{{Name: "X-Token"}, {Name: "x_token"}}},
		"also stripped":         {TokenHeaders: []verify.TokenHeader{{Name: "X-Token"}}, Strip: []string{"X-Token"}},
		"also set":              {TokenHeaders: []verify.TokenHeader{{Name: "X-Token"}}, Headers: []verify.HeaderClaim{{Header: "X-Token", Claim: verify.ClaimPath{"sub"}}}},
		"no header":             {TokenHeaders: []verify.TokenHeader{{}}},
		"no scheme":             {TokenHeaders: []verify.TokenHeader{{Name: "X-Token", Scheme: "a b"}}},
		"no cookie":             {TokenCookies: []string{""}},
		"no name of a cookie":   {TokenCookies: []string{"a;b"}},
		"the same cookie twice": {TokenCookies: []string{"a", "a"}},
	} {
		if guard.Verifier = newIssuer().Verifier(); guard.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
