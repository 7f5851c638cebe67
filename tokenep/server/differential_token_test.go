package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// sends returns the ask of a row that is one request.
func sends(r tokeneptest.Request) func(*testing.T, *party) string {
	return func(t *testing.T, p *party) string { return told(p.Send(t, r)) }
}

// reads returns the ask of a row that is about one header of the answer: its first word.
func reads(header string, r tokeneptest.Request) func(*testing.T, *party) string {
	return func(t *testing.T, p *party) string {
		a := p.Send(t, r)
		first, _, _ := strings.Cut(a.Header.Get(header), " ")
		return fmt.Sprint(a.Status, " ", header, ": ", first)
	}
}

// Reasons for more than one row.
const (
	whyNoClient    = "RFC 6749 §5.2: where no client authentication is included, the error is invalid_client"
	whyBadBasic    = "RFC 6749 §5.2: a client that tried to authenticate by the header is told 401, whatever is wrong with it"
	whyUnscoped    = "RFC 6749 §3.3: a client that asks for no scope gets its default; the others give it none"
	whyRepeated    = "RFC 6749 §3.2: no parameter may be there more than once; the library's adapter reads the last"
	whyMayNot      = "RFC 6749 §5.2: the client is who it says, and may not use the grant: unauthorized_client"
	whyGrantFirst  = "RFC 6749 §3.2.1: the client is authenticated first; the library looks at grant_type before"
	whyMissingType = "RFC 6749 §5.2: what is missing is invalid_request; the library does not tell it from unknown"
	whyMethod      = "RFC 9110 §15.5.6: a known path with another method is 405, with Allow; elsewhere the router knows no such path"
)

// tokenComparisons are requests to the token endpoint for tokens of the client's own (RFC 6749
// §4.4), and what every request there has in common (§2.3, §3.2, §5).
func tokenComparisons() []comparison {
	own := tokeneptest.ClientCredentials
	read := own("scope", "read")
	return []comparison{
		{name: "by Basic", ask: sends(read.By("site")), want: "200 token for read"},
		{name: "in the body", ask: sends(own("scope", "read", "client_id", "site", "client_secret", "site-secret")), want: "200 token for read"},
		{name: "without scope", ask: sends(own().By("site")), want: "200 token for read write",
			jmondi: "200 token", provider: "200 token", why: whyUnscoped},
		{name: "an empty scope", ask: sends(own("scope", "").By("site")), want: "200 token for read write",
			jmondi: "200 token", provider: "200 token", why: whyUnscoped},
		{name: "an unknown parameter, twice", ask: sends(own("scope", "read", "x", "1", "x", "2").By("site")), want: "200 token for read"},
		{name: "id and secret with characters that are encoded", ask: sends(read.By("an odd:client")), want: "200 token for read",
			jmondi: "401 invalid_client", why: "RFC 6749 §2.3.1: id and secret are form-urlencoded in Basic; the library does not decode them"},
		{name: "the scheme in small letters", ask: sends(read.With("Authorization", "basic c2l0ZTpzaXRlLXNlY3JldA==")), want: "200 token for read",
			jmondi: "400 invalid_request", why: "RFC 9110 §11.1: the name of a scheme is case-insensitive"},
		{name: "a token is not stored", ask: reads("Cache-Control", read.By("site")), want: "200 Cache-Control: no-store"},

		{name: "a wrong secret by Basic", ask: sends(read.Basic("site", "wrong")), want: "401 invalid_client"},
		{name: "the challenge after that", ask: reads("WWW-Authenticate", read.Basic("site", "wrong")), want: "401 WWW-Authenticate: Basic",
			jmondi: "401 WWW-Authenticate: ", why: "RFC 6749 §5.2: a client that used the header is told the scheme"},
		{name: "a refusal is not stored", ask: reads("Cache-Control", read.Basic("site", "wrong")), want: "401 Cache-Control: no-store",
			jmondi: "401 Cache-Control: ", why: "RFC 6749 §5.1 asks for it where tokens are; a refusal here is not kept either"},
		{name: "a wrong secret in the body", ask: sends(own("client_id", "site", "client_secret", "wrong")), want: "401 invalid_client"},
		{name: "an unknown client", ask: sends(read.By("nobody")), want: "401 invalid_client"},
		{name: "no client", ask: sends(read), want: "401 invalid_client",
			jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyNoClient},
		{name: "a confidential client that only names itself", ask: sends(own("client_id", "site")), want: "401 invalid_client"},
		{name: "Basic that is not Base64", ask: sends(read.With("Authorization", "Basic *")), want: "401 invalid_client",
			jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyBadBasic},
		{name: "Basic without a colon", ask: sends(read.RawBasic("site")), want: "401 invalid_client",
			jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyBadBasic},
		{name: "another scheme", ask: sends(read.With("Authorization", "Bearer abc")), want: "401 invalid_client",
			jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyBadBasic},
		{name: "another scheme, and the secret in the body",
			ask:  sends(own("scope", "read", "client_id", "site", "client_secret", "site-secret").With("Authorization", "Bearer abc")),
			want: "200 token for read", provider: "400 invalid_request",
			why: "RFC 6749 §2.3: one method of client authentication is used; Bearer is none"},
		{name: "the Authorization header twice",
			ask:  sends(read.With("Authorization", "Basic c2l0ZTpzaXRlLXNlY3JldA==", "Basic c2l0ZTpzaXRlLXNlY3JldA==")),
			want: "400 invalid_request", jmondi: "200 token for read", provider: "200 token for read",
			why: "RFC 9110 §5.3: a field that is no list must not be there twice; the runtime of the others drops the second"},
		{name: "two methods", ask: sends(own("client_id", "site", "client_secret", "site-secret").By("site")), want: "400 invalid_request",
			jmondi: "200 token", why: "RFC 6749 §2.3: a client must not use more than one method in a request"},
		{name: "the id of another in the body", ask: sends(own("client_id", "other").By("site")), want: "400 invalid_request",
			jmondi: "401 invalid_client", why: "RFC 6749 §2.3: neither id is taken for the other; the library takes that of the body"},
		{name: "client_id twice", ask: sends(own("client_id", "site", "client_id", "site", "client_secret", "site-secret")),
			want: "400 invalid_request", jmondi: "200 token", why: whyRepeated},
		{name: "a public client with the grant", ask: sends(own("client_id", "tool")), want: "400 unauthorized_client",
			jmondi: "200 token", provider: "200 token", why: "RFC 6749 §4.4: the grant must be used by confidential clients alone"},
		{name: "a public client without the grant", ask: sends(own("client_id", "native")), want: "400 unauthorized_client",
			jmondi: "401 invalid_client", provider: "400 invalid_request", why: whyMayNot},
		{name: "a client without the grant", ask: sends(own().By("idle")), want: "400 unauthorized_client",
			jmondi: "401 invalid_client", provider: "400 invalid_request", why: whyMayNot},

		{name: "no grant_type", ask: sends(post("scope", "read").By("site")), want: "400 invalid_request",
			jmondi: "400 unsupported_grant_type", why: whyMissingType},
		{name: "an unknown grant_type", ask: sends(post("grant_type", "magic").By("site")), want: "400 unsupported_grant_type"},
		{name: "the password grant", ask: sends(post("grant_type", "password", "username", "a", "password", "b").By("site")),
			want: "400 unsupported_grant_type"},
		{name: "grant_type twice", ask: sends(own("grant_type", cc).By("site")), want: "400 invalid_request",
			jmondi: "200 token", why: whyRepeated},
		{name: "a wrong secret and an unknown grant_type", ask: sends(post("grant_type", "magic").Basic("site", "wrong")),
			want: "401 invalid_client", jmondi: "400 unsupported_grant_type", why: whyGrantFirst},

		{name: "a scope that the server does not know", ask: sends(own("scope", "read admin").By("site")), want: "400 invalid_scope",
			provider: "200 token for read", why: "RFC 6749 §5.2: an unknown scope is invalid_scope; §3.3 lets a server leave it out instead"},
		{name: "a scope that the client may not have", ask: sends(own("scope", "write").By("other")), want: "400 invalid_scope",
			jmondi: "401 unauthorized_scope", why: "RFC 6749 §5.2: the code is invalid_scope, and 401 is for invalid_client"},
		{name: "one scope twice", ask: sends(own("scope", "read read").By("site")), want: "200 token for read"},
		{name: "a malformed scope", ask: sends(own("scope", `read "write`).By("site")), want: "400 invalid_scope"},
		{name: "two spaces in the scope", ask: sends(own("scope", "read  write").By("site")), want: "400 invalid_scope"},
		{name: "scope twice", ask: sends(own("scope", "read", "scope", "write").By("site")), want: "400 invalid_request",
			jmondi: "200 token for write", why: whyRepeated},

		{name: "a resource that the client may not have", ask: sends(own("scope", "read", "resource", "https://x.example").By("site")),
			want: "400 invalid_target", jmondi: "200 token for read", why: "RFC 8707 §2: invalid_target; the library does not know the parameter"},

		{name: "multipart", ask: sends(read.With("Content-Type", "multipart/form-data; boundary=x").By("site")), want: "400 invalid_request",
			jmondi: "400 unsupported_grant_type", why: whyMissingType},
		{name: "JSON", ask: sends(raw(`{"grant_type":"client_credentials"}`).With("Content-Type", "application/json").By("site")),
			want: "400 invalid_request", jmondi: "200 token", why: "RFC 6749 §3.2, appendix B: a form; JSON is for the paths that are configured to take it"},
		{name: "no Content-Type", ask: sends(dropType(read.By("site"))), want: "400 invalid_request",
			jmondi: "400 unsupported_grant_type", why: whyMissingType},
		{name: "GET", ask: sends(get(tokeneptest.TokenPath + "?" + read.Body).By("site")), want: "405 invalid_request",
			jmondi: "404 nothing", provider: "404 nothing", why: whyMethod},
		{name: "parameters in the query", ask: sends(post().At(tokeneptest.TokenPath + "?" + read.Body).By("site")),
			want: "400 invalid_request", jmondi: "400 unsupported_grant_type", why: whyMissingType},
		{name: "the secret in the query", ask: sends(read.At(tokeneptest.TokenPath + "?client_id=site&client_secret=site-secret")),
			want: "401 invalid_client", jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyNoClient},
	}
}

func dropType(r tokeneptest.Request) tokeneptest.Request {
	r.Header = http.Header{"Authorization": r.Header["Authorization"]}
	return r
}
