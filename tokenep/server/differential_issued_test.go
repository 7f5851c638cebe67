package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const introspectPath = "/oauth/introspect"

func revoke(token string, pairs ...string) tokeneptest.Request {
	return post(append([]string{"token", token}, pairs...)...).At(revokePath)
}

// introspect asks about a token as site.
func introspect(token string, pairs ...string) tokeneptest.Request {
	return post(append([]string{"token", token}, pairs...)...).At(introspectPath).By("site")
}

// Reasons for more than one row.
const (
	whyHint       = "RFC 7009 §2.1: a hint may be wrong or missing, and all kinds of tokens are searched; the library searches one"
	whySilent     = "RFC 7009 §2.1, §2.2.1: who may not revoke is told so; the library answers 200, and the token stays good"
	whyNoDocument = "RFC 8414 §3: a client finds out what there is; the library leaves documents to whoever uses it"
)

// revocationComparisons revoke tokens (RFC 7009 §2).
func revocationComparisons() []comparison {
	access := func(of issued) tokeneptest.Request { return introspect(of.access) }
	refresh := func(of issued) tokeneptest.Request { return tokeneptest.Refresh("site", of.refresh) }
	revokeAccess := func(of issued) tokeneptest.Request { return revoke(of.access).By("site") }
	revokeRefresh := func(pairs ...string) func(of issued) tokeneptest.Request {
		return func(of issued) tokeneptest.Request { return revoke(of.refresh, pairs...).By("site") }
	}
	hinted := revokeRefresh("token_type_hint", "refresh_token")
	ofOther := func(of issued) tokeneptest.Request { return revoke(of.access).By("other") }
	refreshOfOther := func(of issued) tokeneptest.Request {
		return revoke(of.refresh, "token_type_hint", "refresh_token").By("other")
	}
	unnamed := func(of issued) tokeneptest.Request { return revoke(of.access) }
	native := func(of issued) tokeneptest.Request {
		return revoke(of.refresh, "token_type_hint", "refresh_token", "client_id", "native")
	}
	return []comparison{
		{name: "an access token", ask: after("site", revokeAccess), want: "200 nothing"},
		{name: "an access token, and then it", ask: after("site", revokeAccess, access), want: "200 inactive"},
		{name: "an access token, and then the refresh token", ask: after("site", revokeAccess, refresh), want: granted,
			jmondi: "400 invalid_request", provider: "400 invalid_grant",
			why: "RFC 7009 §2.1: with an access token a server may revoke the refresh token; here it goes on, as the client says nothing of it"},
		{name: "a refresh token, and then it", ask: after("site", hinted, refresh), want: "400 invalid_grant",
			jmondi: "400 invalid_request", why: whyBadGrant},
		{name: "a refresh token, and then what came of it", ask: after("site", hinted, access), want: "200 inactive"},
		{name: "a refresh token without a hint", ask: after("site", revokeRefresh(), refresh), want: "400 invalid_grant",
			jmondi: granted, why: whyHint},
		{name: "a refresh token with the wrong hint", ask: after("site", revokeRefresh("token_type_hint", "access_token"), refresh),
			want: "400 invalid_grant", jmondi: granted, why: whyHint},
		{name: "that of a public client", ask: after("native", native), want: "200 nothing"},
		{name: "that of a public client, and then it",
			ask:  after("native", native, func(of issued) tokeneptest.Request { return tokeneptest.Refresh("native", of.refresh) }),
			want: "400 invalid_grant", jmondi: granted, why: "RFC 7009 §2.1, §5: a public client revokes its own; the library asks for the client credentials grant"},
		{name: "an access token of another", ask: after("site", ofOther), want: "400 invalid_grant",
			jmondi: "200 nothing", provider: "400 invalid_request", why: whySilent + "; RFC 6749 §5.2: another client's is invalid_grant"},
		{name: "an access token of another, and then it", ask: after("site", ofOther, access), want: "200 active"},
		{name: "a refresh token of another", ask: after("site", refreshOfOther), want: "400 invalid_grant",
			jmondi: "200 nothing", provider: "400 invalid_request", why: whySilent + "; RFC 6749 §5.2: another client's is invalid_grant"},
		{name: "a refresh token of another, and then it", ask: after("site", refreshOfOther, refresh), want: granted},
		{name: "without client", ask: after("site", unnamed), want: "401 invalid_client",
			jmondi: "200 nothing", provider: "400 invalid_request", why: whySilent + "; " + whyNoClient},
		{name: "without client, and then it", ask: after("site", unnamed, access), want: "200 active"},
		{name: "with a wrong secret", ask: sends(revoke("unknown").Basic("site", "wrong")), want: "401 invalid_client",
			jmondi: "200 nothing", why: whySilent},
		{name: "an unknown token", ask: sends(revoke("unknown").By("site")), want: "200 nothing"},
		{name: "an unknown hint", ask: sends(revoke("unknown", "token_type_hint", "magic").By("site")), want: "200 nothing"},
		{name: "no token", ask: sends(post("x", "y").At(revokePath).By("site")), want: "400 invalid_request",
			jmondi: "200 nothing", why: whySilent},
		{name: "token twice", ask: sends(revoke("unknown", "token", "unknown").By("site")), want: "400 invalid_request",
			jmondi: "200 nothing", why: whyRepeated},
		{name: "GET", ask: sends(get(revokePath + "?token=unknown").By("site")), want: "405 invalid_request",
			jmondi: "404 nothing", provider: "404 nothing", why: whyMethod},
	}
}

// introspectionComparisons ask what tokens are (RFC 7662 §2).
func introspectionComparisons() []comparison {
	// of asks about an access token that site got for itself.
	of := func(requests ...func(own string) tokeneptest.Request) func(*testing.T, *party) string {
		return func(t *testing.T, p *party) string {
			own := p.Send(t, tokeneptest.ClientCredentials("scope", "read").By("site")).AccessToken()
			if own == "" {
				t.Fatal("no token")
			}
			var last tokeneptest.Answer
			for _, request := range requests {
				last = p.Send(t, request(own))
			}
			return told(last)
		}
	}
	ask := func(own string) tokeneptest.Request { return introspect(own) }
	refresh := func(pairs ...string) func(issued) tokeneptest.Request {
		return func(of issued) tokeneptest.Request { return introspect(of.refresh, pairs...) }
	}
	return []comparison{
		{name: "its own", ask: of(ask), want: "200 active"},
		{name: "its own, by a wrong hint", want: "200 active",
			ask: of(func(own string) tokeneptest.Request { return introspect(own, "token_type_hint", "refresh_token") })},
		{name: "revoked", ask: of(func(own string) tokeneptest.Request { return revoke(own).By("site") }, ask), want: "200 inactive"},
		{name: "of another client", ask: of(func(own string) tokeneptest.Request { return introspect(own).By("other") }), want: "200 inactive",
			jmondi: "200 active", provider: "200 active",
			why: "RFC 7662 §2.2, §4: whoever may not know of a token is told that it is not active; oidc-provider has that as an option"},
		{name: "a refresh token", ask: after("site", refresh("token_type_hint", "refresh_token")), want: "200 active"},
		{name: "a refresh token without a hint", ask: after("site", refresh()), want: "200 active", jmondi: "200 inactive",
			why: "RFC 7662 §2.1: without a hint, or with a wrong one, all kinds of tokens are searched; the library searches one"},
		{name: "unknown", ask: sends(introspect("unknown")), want: "200 inactive"},
		{name: "cut off", ask: of(func(own string) tokeneptest.Request { return introspect(own[:len(own)-3]) }), want: "200 inactive"},
		{name: "no token", ask: sends(post("x", "y").At(introspectPath).By("site")), want: "400 invalid_request"},
		{name: "without client", ask: of(func(own string) tokeneptest.Request { return post("token", own).At(introspectPath) }),
			want: "401 invalid_client", jmondi: "400 invalid_request", provider: "400 invalid_request", why: whyNoClient},
		{name: "with a wrong secret", ask: of(func(own string) tokeneptest.Request { return introspect(own).Basic("site", "wrong") }),
			want: "401 invalid_client"},
		{name: "by a public client",
			ask: of(func(own string) tokeneptest.Request {
				return post("token", own, "client_id", "native").At(introspectPath)
			}),
			want: "400 unauthorized_client", jmondi: "401 invalid_client", provider: "200 inactive",
			why: "RFC 7662 §2.1: there must be some form of authorization, and a public client has none: unauthorized_client"},
		{name: "GET", ask: of(func(own string) tokeneptest.Request { return get(introspectPath + "?token=" + own).By("site") }),
			want: "405 invalid_request", jmondi: "404 nothing", provider: "404 nothing", why: whyMethod},
	}
}

// documentComparisons read what the server says of itself (RFC 8414 §2), and its keys (RFC 7517
// §5).
func documentComparisons() []comparison {
	const metadata = "/.well-known/oauth-authorization-server"
	says := func(name string) func(*testing.T, *party) string {
		return func(t *testing.T, p *party) string {
			a := p.Send(t, get(metadata))
			text, err := json.Marshal(a.JSON[name])
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(a.Status, " ", string(text))
		}
	}
	return []comparison{
		{name: "response_types_supported", ask: says("response_types_supported"), want: `200 ["code"]`, jmondi: "404 null",
			provider: `200 ["code id_token","code","id_token","none"]`, why: "RFC 9700 §2.1.2: code alone; " + whyNoDocument},
		{name: "grant_types_supported", ask: says("grant_types_supported"), want: `200 ["client_credentials","authorization_code","refresh_token"]`,
			jmondi: "404 null", provider: `200 ["implicit","authorization_code","refresh_token","client_credentials"]`,
			why: "RFC 9700 §2.1.2: not implicit; " + whyNoDocument},
		{name: "code_challenge_methods_supported", ask: says("code_challenge_methods_supported"), want: `200 ["S256"]`,
			jmondi: "404 null", why: whyNoDocument},
		{name: "authorization_response_iss_parameter_supported", ask: says("authorization_response_iss_parameter_supported"), want: "200 true",
			jmondi: "404 null", why: whyNoDocument},
		{name: "token_endpoint_auth_methods_supported", ask: says("token_endpoint_auth_methods_supported"),
			want: `200 ["client_secret_basic","client_secret_post","private_key_jwt","none"]`, jmondi: "404 null",
			provider: `200 ["client_secret_basic","client_secret_jwt","client_secret_post","private_key_jwt","none"]`,
			why:      "OpenID Connect Core §9, RFC 6749 §2.3.1: client_secret_jwt needs the secret itself, and here its hash is kept; " + whyNoDocument},
		{name: "the issuer is the iss of an answer", ask: func(t *testing.T, p *party) string {
			issuer, _ := p.Send(t, get(metadata)).JSON["issuer"].(string)
			to, err := url.Parse(p.visit(t, asks("site")).Header.Get("Location"))
			return fmt.Sprint(err == nil && issuer != "" && to.Query().Get("iss") == issuer)
		}, want: "true", jmondi: "false", why: "RFC 9207 §2.4: clients compare them; " + whyNoDocument},
		{name: "keys", ask: func(t *testing.T, p *party) string {
			a := p.Send(t, get(tokeneptest.JWKSPath))
			keys, _ := a.JSON["keys"].([]any)
			return fmt.Sprintf("%d, keys: %t, secret ones: %t", a.Status, len(keys) > 0, strings.Contains(string(a.Body), `"d":`))
		}, want: "200, keys: true, secret ones: false", jmondi: "404, keys: false, secret ones: false", why: whyNoDocument},
	}
}
