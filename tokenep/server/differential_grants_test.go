package server_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// issued is what alice gave a client.
type issued struct{ code, access, refresh string }

// code returns a code that alice gave a client, which asked as asks does.
func (p *party) code(t *testing.T, client string, pairs ...string) string {
	t.Helper()
	a := p.visit(t, asks(client, pairs...))
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("no code: %s", told(a))
	}
	return to.Query().Get("code")
}

// tokens returns the tokens for such a code.
func (p *party) tokens(t *testing.T, client string, pairs ...string) issued {
	t.Helper()
	code := p.code(t, client, pairs...)
	a := p.Send(t, tokeneptest.RedeemCode(client, code))
	refresh, _ := a.JSON["refresh_token"].(string)
	if a.AccessToken() == "" || refresh == "" {
		t.Fatalf("no tokens: %d %s", a.Status, a.Body)
	}
	return issued{code, a.AccessToken(), refresh}
}

// after returns the ask of a row whose requests are about the tokens of a client: the answer to the
// last one is told.
func after(client string, requests ...func(of issued) tokeneptest.Request) func(*testing.T, *party) string {
	return func(t *testing.T, p *party) string {
		of := p.tokens(t, client)
		var last tokeneptest.Answer
		for _, request := range requests {
			last = p.Send(t, request(of))
		}
		return told(last)
	}
}

// with returns the ask of a row that is one request with a new code of a client.
func with(owner string, request func(code string) tokeneptest.Request) func(*testing.T, *party) string {
	return func(t *testing.T, p *party) string { return told(p.Send(t, request(p.code(t, owner)))) }
}

// Reasons for more than one row.
const (
	whyBadGrant    = "RFC 6749 §5.2: a code or refresh token that is not good, or is another client's, is invalid_grant"
	whyBadVerifier = "RFC 7636 §4.6: a code_verifier that is not that of the code_challenge is invalid_grant, also where it is malformed or missing"
	whyCodeScope   = "RFC 6749 §3.3, §5.2: the token has the scope that was asked for, or there is none; §4.1.3 knows no scope, and the others ignore it"
	granted        = "200 token and refresh token for read"
)

// codeComparisons redeem codes (RFC 6749 §4.1.3, RFC 7636 §4.6).
func codeComparisons() []comparison {
	redeem := func(client string, pairs ...string) func(string) tokeneptest.Request {
		return func(code string) tokeneptest.Request { return tokeneptest.RedeemCode(client, code, pairs...) }
	}
	unnamed := func(code string, pairs ...string) tokeneptest.Request {
		return post(append([]string{"grant_type", grant.AuthorizationCodeType, "code", code, "code_verifier", tokeneptest.Verifier}, pairs...)...)
	}
	again := func(of issued) tokeneptest.Request { return tokeneptest.RedeemCode("site", of.code) }
	const wrong = "another-code-verifier-of-43-characters-12345"
	return []comparison{
		{name: "of a confidential client", ask: with("site", redeem("site")), want: granted},
		{name: "of a public client", ask: with("native", redeem("native")), want: granted},
		{name: "again", ask: after("site", again), want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "again, and then the access token", ask: after("site", again, func(of issued) tokeneptest.Request { return introspect(of.access) }),
			want: "200 inactive"},
		{name: "again, and then the refresh token",
			ask:  after("site", again, func(of issued) tokeneptest.Request { return tokeneptest.Refresh("site", of.refresh) }),
			want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "a wrong code_verifier", ask: with("site", redeem("site", "code_verifier", wrong)), want: "400 invalid_grant"},
		{name: "a code_verifier that is too short", ask: with("site", redeem("site", "code_verifier", "short")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyBadVerifier},
		{name: "no code_verifier", ask: with("site", redeem("site", "code_verifier", "")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", why: whyBadVerifier},
		{name: "a wrong code_verifier, and then the right one", ask: func(t *testing.T, p *party) string {
			code := p.code(t, "site")
			p.Send(t, tokeneptest.RedeemCode("site", code, "code_verifier", wrong))
			return told(p.Send(t, tokeneptest.RedeemCode("site", code)))
		}, want: granted},
		{name: "another redirect_uri", ask: with("site", redeem("site", "redirect_uri", "https://evil.example/callback")),
			want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "no redirect_uri", ask: with("site", redeem("site", "redirect_uri", "")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", provider: granted,
			why: "RFC 6749 §4.1.3: it is required where the authorization request had one, also of a client with only one; " + whyBadGrant},
		{name: "the code of another client", ask: with("site", redeem("other")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "by a client without the grant", ask: with("site", redeem("idle")), want: "400 unauthorized_client",
			jmondi: "401 invalid_client", provider: "400 invalid_request", why: whyMayNot},
		{name: "by a confidential client that only names itself", ask: with("site", func(code string) tokeneptest.Request {
			return unnamed(code, "redirect_uri", tokeneptest.Callback, "client_id", "site")
		}), want: "401 invalid_client"},
		{name: "without client", ask: with("native", func(code string) tokeneptest.Request {
			return unnamed(code, "redirect_uri", tokeneptest.RedirectURI("native"))
		}), want: "401 invalid_client", jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyNoClient},
		{name: "by a public client with a secret", ask: with("native", redeem("native", "client_secret", "x")), want: "401 invalid_client",
			jmondi: granted, why: "RFC 6749 §5.2: a secret of a client that has none is not good; the library does not look at it"},
		{name: "a scope that is narrower than the code's", ask: func(t *testing.T, p *party) string {
			return told(p.Send(t, tokeneptest.RedeemCode("site", p.code(t, "site", "scope", "read write"), "scope", "read")))
		}, want: granted, jmondi: "200 token and refresh token for read write", provider: "200 token and refresh token for read write", why: whyCodeScope},
		{name: "a scope that is wider than the code's", ask: with("site", redeem("site", "scope", "read write")), want: "400 invalid_scope",
			jmondi: granted, provider: granted, why: whyCodeScope},
		{name: "code twice", ask: with("site", func(code string) tokeneptest.Request {
			r := tokeneptest.RedeemCode("site", code)
			r.Body += "&code=x"
			return r
		}), want: "400 invalid_request"},
		{name: "a refresh token in the place of the code",
			ask:  after("site", func(of issued) tokeneptest.Request { return tokeneptest.RedeemCode("site", of.refresh) }),
			want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "an unknown code", ask: sends(tokeneptest.RedeemCode("site", "unknown")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "no code", ask: sends(tokeneptest.RedeemCode("site", "")), want: "400 invalid_request"},
	}
}

// refreshComparisons use refresh tokens (RFC 6749 §6).
func refreshComparisons() []comparison {
	by := func(client string, pairs ...string) func(issued) tokeneptest.Request {
		return func(of issued) tokeneptest.Request { return tokeneptest.Refresh(client, of.refresh, pairs...) }
	}
	rotates := func(client string) func(*testing.T, *party) string {
		return func(t *testing.T, p *party) string {
			of := p.tokens(t, client)
			a := p.Send(t, tokeneptest.Refresh(client, of.refresh))
			return fmt.Sprint(a.Status, " rotated: ", a.JSON["refresh_token"] != of.refresh)
		}
	}
	return []comparison{
		{name: "of a confidential client", ask: after("site", by("site")), want: granted},
		{name: "of a public client", ask: after("native", by("native")), want: granted},
		{name: "a new one for a confidential client", ask: rotates("site"), want: "200 rotated: false", jmondi: "200 rotated: true",
			why: "RFC 9700 §4.14.2 asks for rotation, or a bound sender, of public clients; this one proves who it is each time"},
		{name: "a new one for a public client", ask: rotates("native"), want: "200 rotated: true"},
		{name: "again, of a confidential client", ask: after("site", by("site"), by("site")), want: granted,
			jmondi: "400 invalid_request", why: "RFC 9700 §4.14.2: it was not rotated, and is still good; " + whyBadGrant},
		{name: "again, of a public client", ask: after("native", by("native"), by("native")), want: granted,
			jmondi: "400 invalid_request", provider: "400 invalid_grant",
			why: "RFC 9700 §4.14.2 leaves open how a replay is told: within a few seconds it is a client that lost the answer, by default; " + whyBadGrant},
		{name: "a narrower scope", ask: func(t *testing.T, p *party) string {
			return told(p.Send(t, by("site", "scope", "read")(p.tokens(t, "site", "scope", "read write"))))
		}, want: granted},
		{name: "a narrower scope, and then none", ask: func(t *testing.T, p *party) string {
			narrow := p.Send(t, by("site", "scope", "read")(p.tokens(t, "site", "scope", "read write")))
			next, _ := narrow.JSON["refresh_token"].(string)
			return told(p.Send(t, tokeneptest.Refresh("site", next)))
		}, want: "200 token and refresh token for read write", jmondi: granted,
			why: "RFC 6749 §6: the scope of a new refresh token is that of the old one; a narrower one is of the access token alone"},
		{name: "a scope that was not allowed", ask: after("site", by("site", "scope", "read write")), want: "400 invalid_scope"},
		{name: "a scope that the server does not know", ask: after("site", by("site", "scope", "admin")), want: "400 invalid_scope"},
		{name: "a malformed scope", ask: after("site", by("site", "scope", `"`)), want: "400 invalid_scope"},
		{name: "of another client", ask: after("site", by("other")), want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "of another client, and then by its own", ask: after("site", by("other"), by("site")), want: granted},
		{name: "of a confidential client, by a public one", ask: after("site", by("native")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "an unknown token", ask: sends(tokeneptest.Refresh("site", "unknown")), want: "400 invalid_grant",
			jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "an access token", ask: after("site", func(of issued) tokeneptest.Request { return tokeneptest.Refresh("site", of.access) }),
			want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "a code", ask: with("site", func(code string) tokeneptest.Request { return tokeneptest.Refresh("site", code) }),
			want: "400 invalid_grant", jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "no token", ask: sends(tokeneptest.Refresh("site", "")), want: "400 invalid_request"},
		{name: "without client", ask: after("native", func(of issued) tokeneptest.Request {
			return post("grant_type", grant.RefreshTokenType, "refresh_token", of.refresh)
		}), want: "401 invalid_client", jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyNoClient},
	}
}
