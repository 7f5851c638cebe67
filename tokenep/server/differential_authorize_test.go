package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// asks is tokeneptest.Authorize with a scope.
func asks(client string, pairs ...string) tokeneptest.Request {
	return tokeneptest.Authorize(client, append([]string{"scope", "read"}, pairs...)...)
}

// visits returns the ask of a row that is one request of the browser.
func visits(r tokeneptest.Request) func(*testing.T, *party) string {
	return func(t *testing.T, p *party) string { return told(p.visit(t, r)) }
}

// unsigned takes the user away.
func unsigned(r tokeneptest.Request) tokeneptest.Request {
	r.Header = http.Header{}
	return r
}

// more adds a parameter as it is written.
func more(r tokeneptest.Request, parameter string) tokeneptest.Request {
	r.Path += "&" + parameter
	return r
}

// Reasons for more than one row.
const (
	whySeeOther  = "RFC 9700 §4.12: the status is 303; RFC 9207 §2: iss tells the client who answers"
	whyNoPage    = "RFC 6749 §4.1.2.1: the person is told, on a page; the library leaves that to whoever uses it"
	whyNotSent   = "RFC 6749 §4.1.2.1: the error goes to the redirect URI; the library leaves that to whoever uses it"
	whyExactly   = "RFC 9700 §4.1.3: redirect URIs are compared exactly, but for the port of a loopback one (RFC 8252 §7.3)"
	whyNotOpenID = "OpenID Connect Core §3.1.2.6: what cannot be done is refused; the library knows nothing of OpenID Connect"
)

// authorizeComparisons are requests to the authorization endpoint (RFC 6749 §4.1.1). The clients
// need no consent.
func authorizeComparisons() []comparison {
	return append(goodAuthorizations(), append(redirectComparisons(), refusedAuthorizations()...)...)
}

func goodAuthorizations() []comparison {
	path, form, _ := strings.Cut(asks("site").Path, "?")
	posted := tokeneptest.PostForm(form).At(path).With(tokeneptest.UserHeader, "alice")
	return []comparison{
		{name: "a good request", ask: visits(asks("site")), want: "303 code iss state", jmondi: "302 code state", why: whySeeOther},
		{name: "by POST", ask: visits(posted), want: "303 code iss state", jmondi: "404 nothing", provider: "404 nothing",
			why: "RFC 6749 §3.1 leaves POST open, and OpenID Connect Core §3.1.2.1 asks for it; oidc-provider has it as an option"},
		{name: "a native app on a port of its own", ask: visits(asks("native")), want: "303 code iss state", jmondi: "302 code state", why: whySeeOther},
		{name: "without state", ask: visits(asks("site", "state", "")), want: "303 code iss", jmondi: "302 code", why: whySeeOther},
		{name: "without the only redirect_uri", ask: visits(asks("site", "redirect_uri", "")), want: "303 code iss state",
			jmondi: "302 code state", why: whySeeOther},
		{name: "an unknown parameter, twice", ask: visits(more(more(asks("site"), "x=1"), "x=2")), want: "303 code iss state",
			jmondi: "302 code state", why: whySeeOther},
		{name: "state comes back as it was", ask: func(t *testing.T, p *party) string {
			const state = `a b+c&d=%41"~`
			to, err := url.Parse(p.visit(t, asks("site", "state", state)).Header.Get("Location"))
			return fmt.Sprint(err == nil && to.Query().Get("state") == state)
		}, want: "true"},
		{name: "without scope", ask: visits(asks("site", "scope", "")), want: "303 code iss state",
			jmondi: "302 code state", provider: "303 access_denied iss state", why: whyUnscoped + "; " + whySeeOther},
		{name: "an empty redirect_uri", ask: visits(more(asks("site", "redirect_uri", ""), "redirect_uri=")), want: "303 code iss state",
			jmondi: "302 code state", why: whySeeOther},
		{name: "response_mode form_post", ask: visits(asks("site", "response_mode", "form_post")), want: "200 page",
			jmondi: "302 code state", why: "OAuth 2.0 Form Post Response Mode §2, RFC 6749 §3.1; the library does not know the parameter"},
		{name: "prompt none, and it was allowed before", ask: func(t *testing.T, p *party) string {
			p.visit(t, asks("site"))
			return told(p.visit(t, asks("site", "prompt", "none")))
		}, want: "303 code iss state", jmondi: "302 code state", why: whySeeOther},
	}
}

// redirectComparisons are about the client and its redirect URI: nothing is sent to one that is not
// good.
func redirectComparisons() []comparison {
	callback := func(uri string) tokeneptest.Request { return asks("site", "redirect_uri", uri) }
	return []comparison{
		{name: "no client_id", ask: visits(asks("site", "client_id", "")), want: "400 page", jmondi: "400 invalid_request", why: whyNoPage},
		{name: "an unknown client", ask: visits(asks("nobody")), want: "400 page", jmondi: "401 invalid_client", why: whyNoPage},
		{name: "another redirect_uri", ask: visits(callback("https://evil.example/callback")), want: "400 page",
			jmondi: "401 invalid_client", why: whyNoPage},
		{name: "the redirect_uri with a query", ask: visits(callback(tokeneptest.Callback + "?x=1")), want: "400 page",
			jmondi: "302 code state x", why: whyExactly},
		{name: "the redirect_uri on another port", ask: visits(callback("https://site.example:8443/callback")), want: "400 page",
			jmondi: "302 code state at https://site.example:8443/callback", why: whyExactly},
		{name: "the redirect_uri with another path", ask: visits(callback(tokeneptest.Callback + "/")), want: "400 page",
			jmondi: "401 invalid_client", why: whyNoPage},
		{name: "the redirect_uri over http", ask: visits(callback("http://site.example/callback")), want: "400 page",
			jmondi: "401 invalid_client", why: whyNoPage},
		{name: "the redirect_uri in capitals", ask: visits(callback("https://SITE.example/callback")), want: "400 page",
			jmondi: "302 code state at https://SITE.example/callback", why: whyExactly},
		{name: "the redirect_uri with dots", ask: visits(callback("https://site.example/x/../callback")), want: "400 page",
			jmondi: "302 code state at https://site.example/x/../callback", why: whyExactly},
		{name: "the redirect_uri as a user name", ask: visits(callback("https://site.example@evil.example/callback")), want: "400 page",
			jmondi: "401 invalid_client", why: whyNoPage},
		{name: "localhost in the place of 127.0.0.1", ask: visits(asks("native", "redirect_uri", "http://localhost:52345/callback")), want: "400 page",
			jmondi: "401 invalid_client", why: whyNoPage},
		{name: "a loopback redirect_uri with another path", ask: visits(asks("native", "redirect_uri", "http://127.0.0.1:52345/other")),
			want: "400 page", jmondi: "401 invalid_client", why: whyNoPage},
		{name: "the redirect_uri with a fragment", ask: visits(callback(tokeneptest.Callback + "#x")), want: "400 page",
			jmondi: "400 invalid_request", why: whyNoPage},
		{name: "redirect_uri twice", ask: visits(more(asks("site"), "redirect_uri=https://evil.example/callback")), want: "400 page",
			jmondi: "401 invalid_client", provider: "303 invalid_request iss state",
			why: "RFC 6749 §4.1.2.1: a redirect URI that is not good gets nothing; oidc-provider goes on with the only registered one"},
	}
}

func refusedAuthorizations() []comparison {
	challenge := func(challenge, method string) tokeneptest.Request {
		return asks("site", "code_challenge", challenge, "code_challenge_method", method)
	}
	const refused = "303 invalid_request iss state"
	return []comparison{
		{name: "no response_type", ask: visits(asks("site", "response_type", "")), want: refused, jmondi: "400 unsupported_grant_type", why: whyNotSent},
		{name: "response_type token", ask: visits(asks("site", "response_type", "token")), want: "303 unsupported_response_type iss state",
			jmondi: "400 unsupported_grant_type", provider: "303 #unsupported_response_type iss state",
			why: "RFC 6749 §4.1.2.1: in the query; the fragment is for the implicit grant (§4.2.2.1), which RFC 9700 §2.1.2 advises against"},
		{name: "response_type magic", ask: visits(asks("site", "response_type", "magic")), want: "303 unsupported_response_type iss state",
			jmondi: "400 unsupported_grant_type", why: whyNotSent},
		{name: "response_mode magic", ask: visits(asks("site", "response_mode", "magic")), want: refused,
			jmondi: "302 code state", provider: "303 unsupported_response_mode iss state",
			why: "RFC 6749 §4.1.2.1: a parameter with an invalid value is invalid_request; the library does not know the parameter"},
		{name: "response_mode fragment", ask: visits(asks("site", "response_mode", "fragment")), want: refused,
			jmondi: "302 code state", provider: "303 #code iss state",
			why: "RFC 8414 §2: response_modes_supported does not have it; a code is for servers, which see no fragment"},
		{name: "state twice", ask: visits(more(asks("site"), "state=x")), want: "303 invalid_request iss", jmondi: "302 code state", why: whyRepeated},
		{name: "a client without the grant", ask: visits(asks("idle")), want: "303 unauthorized_client iss state",
			jmondi: "302 code state", provider: refused, why: "RFC 6749 §4.1.2.1: a client that may not get a code is told unauthorized_client"},

		{name: "no code_challenge", ask: visits(challenge("", "")), want: refused, jmondi: "400 invalid_request", provider: "303 code iss state",
			why: "RFC 9700 §2.1.1, RFC 7636 §4.4.1: confidential clients need one as well, unless they are registered as unable; " + whyNotSent},
		{name: "a public client without code_challenge", ask: visits(asks("native", "code_challenge", "", "code_challenge_method", "")),
			want: refused, jmondi: "400 invalid_request", why: whyNotSent},
		{name: "code_challenge_method plain", ask: visits(challenge(tokeneptest.Verifier, "plain")), want: refused,
			jmondi: "400 invalid_request", why: whyNotSent},
		{name: "no code_challenge_method", ask: visits(asks("site", "code_challenge_method", "")), want: refused,
			jmondi: "400 invalid_request", why: whyNotSent},
		{name: "code_challenge_method in small letters", ask: visits(asks("site", "code_challenge_method", "s256")), want: refused,
			jmondi: "400 invalid_request", why: whyNotSent},
		{name: "a code_challenge that is no SHA-256", ask: visits(asks("site", "code_challenge", "short")), want: refused,
			jmondi: "302 code state", why: "RFC 7636 §4.2: a code_challenge has 43 characters at least"},

		{name: "a scope that the server does not know", ask: visits(asks("site", "scope", "read admin")), want: "303 invalid_scope iss state",
			jmondi: "400 invalid_scope", provider: "303 code iss state",
			why: "RFC 6749 §4.1.2.1: an unknown scope is invalid_scope; §3.3 lets a server leave it out instead; " + whyNotSent},
		{name: "a scope that the client may not have", ask: visits(asks("native", "scope", "read write")), want: "303 invalid_scope iss state",
			jmondi: "401 unauthorized_scope", provider: "303 invalid_scope iss scope state",
			why: "RFC 6749 §4.1.2.1: the code is invalid_scope, and no parameter scope goes with it; " + whyNotSent},
		{name: "a malformed scope", ask: visits(asks("site", "scope", `read "write`)), want: "303 invalid_scope iss state",
			jmondi: "400 invalid_scope", why: whyNotSent},
		{name: "scope twice", ask: visits(more(asks("site"), "scope=write")), want: refused, jmondi: "302 code state", why: whyRepeated},

		{name: "a resource that the client may not have", ask: visits(asks("site", "resource", "https://x.example")), want: "303 invalid_target iss state",
			jmondi: "302 code state", why: "RFC 8707 §2: invalid_target; the library does not know the parameter"},

		{name: "a request object", ask: visits(asks("site", "request", "e30.e30.")), want: "303 request_not_supported iss state",
			jmondi: "302 code state", why: whyNotOpenID},
		{name: "a request object elsewhere", ask: visits(asks("site", "request_uri", "https://site.example/request")),
			want: "303 request_uri_not_supported iss state", jmondi: "302 code state", why: whyNotOpenID},
		{name: "nobody has signed in", ask: visits(unsigned(asks("site"))), want: "403 page", jmondi: "400 invalid_request", why: whyNoPage},
		{name: "prompt none, and nobody has signed in", ask: visits(unsigned(asks("site", "prompt", "none"))), want: "303 login_required iss state",
			jmondi: "400 invalid_request", why: whyNotOpenID},
		{name: "prompt login", ask: visits(asks("site", "prompt", "login")), want: "303 login_required iss state",
			jmondi: "302 code state", provider: "303 code iss state",
			why: "OpenID Connect Core §3.1.2.1: a server that cannot have the person sign in again, as this one, answers so"},
		{name: "a malformed max_age", ask: visits(asks("site", "max_age", "x")), want: refused, jmondi: "302 code state", why: whyNotOpenID},
		{name: "prompt none and login", ask: visits(asks("site", "prompt", "none login")), want: refused, jmondi: "302 code state", why: whyNotOpenID},
		{name: "an unknown prompt", ask: visits(asks("site", "prompt", "magic")), want: refused, jmondi: "302 code state", why: whyNotOpenID},
	}
}
