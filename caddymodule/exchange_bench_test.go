package caddymodule_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// BenchmarkExchange compares exchanges with client_credentials, in the same Caddy: of an API token,
// and of JWTs of another issuer, each a new one, whose keys are known. It also compares the
// exchange of a JWT for which ten policies have a condition, of which the last one holds, with that
// for which the only policy has none (ten-of-one), and a server of a thousand issuers with one of
// ten (thousand-of-ten).
func BenchmarkExchange(b *testing.B) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		b.Run(algorithm, func(b *testing.B) {
			x := runExchanges(b, algorithm)
			credentials := side{"client_credentials", dial(b, x.at["one"]), func(int) string { return x.post("gateway", "grant_type=client_credentials") }}
			b.Run("api-token", func(b *testing.B) {
				token := x.apiToken(b)
				ours := x.post("gateway", "grant_type="+grant.TokenExchangeType+"&subject_token_type=urn:x:api-token&subject_token="+token)
				compare(b, side{"api-token", dial(b, x.at["one"]), func(int) string { return ours }}, credentials, "of-client-credentials")
			})
			b.Run("jwt", func(b *testing.B) { compare(b, x.side(b, "one"), credentials, "of-client-credentials") })
			b.Run("ten-conditions", func(b *testing.B) { compare(b, x.side(b, "ten"), x.side(b, "one"), "ten-of-one") })
			b.Run("thousand-issuers", func(b *testing.B) { compare(b, x.side(b, "issuers1000"), x.side(b, "issuers10"), "thousand-of-ten") })
		})
	}
}

// exchanges is a Caddy with several servers, by what they are configured for.
type exchanges struct {
	people
	at  map[string]string
	idp *verifytest.Issuer
}

// side exchanges a new JWT in each request.
func (x *exchanges) side(b *testing.B, name string) side {
	return side{name, dial(b, x.at[name]), func(n int) string {
		token := x.idp.Sign(verifytest.Claims{"aud": "https://as.example", "jti": fmt.Sprint(name, n), "ref": "refs/heads/main"}, verifytest.Header("typ", "JWT"))
		return x.post("gateway", url.Values{"grant_type": {grant.TokenExchangeType}, "subject_token_type": {grant.JWTType}, "subject_token": {token}}.Encode())
	}}
}

// post returns a request to the token endpoint.
func (x *exchanges) post(client, form string) string {
	return x.people.post("/oauth/token", client, form)
}

// apiToken makes an API token at the first server.
func (x *exchanges) apiToken(b *testing.B) string {
	b.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("oauth_server")
	if err != nil {
		b.Fatal(err)
	}
	s, err := app.(*oauthserver.App).Server("one")
	if err != nil {
		b.Fatal(err)
	}
	text, _, err := s.Server().APITokens.Create(b.Context(), state.APIToken{Owner: "ada", Service: "orders"})
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// runExchanges has Caddy run the servers.
func runExchanges(b *testing.B, algorithm string) *exchanges {
	x := &exchanges{at: map[string]string{}, idp: verifytest.New("https://idp0.example", "", algorithm)}
	jwks := filepath.Join(b.TempDir(), "jwks.json")
	if err := os.WriteFile(jwks, x.idp.JWKS(), 0o600); err != nil {
		b.Fatal(err)
	}
	condition := func(n int) string { return fmt.Sprintf("when `claims.ref == \"refs/heads/%d\"`\n", n) }
	policies := func(issuer, n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "policy p%d_%d {\nsubject claims.sub\naudience orders\n", issuer, i)
			switch {
			case i < n-1:
				text.WriteString(condition(i))
			case n > 1:
				text.WriteString("when `claims.ref == \"refs/heads/main\"`\n")
			}
			text.WriteString("}\n")
		}
		return text.String()
	}
	var global, sites strings.Builder
	server := func(name string, issuers, each int) {
		x.at[name] = "127.0.0.1:" + mustFreePort(b)
		fmt.Fprintf(&global, "oauth_server %s {\nissuer https://as.example/%s\nstore memory\ntoken_exchange {\napi_tokens {\ntoken_type urn:x:api-token\n}\n}\n", name, name)
		global.WriteString("client gateway {\nsecret demo\ngrants token_exchange client_credentials\naudience orders\n}\n")
		for i := range issuers {
			fmt.Fprintf(&global, "subject jwt https://idp%d.example {\njwks_file %s\naudience https://as.example\nprofile jwt\n%s}\n", i, jwks, policies(i, each))
		}
		global.WriteString("}\n")
		fmt.Fprintf(&sites, "http://%s {\noauth_token {\nserver %s\ntoken_endpoint /oauth/token\n}\n}\n", x.at[name], name)
	}
	server("one", 1, 1)
	server("ten", 1, 10)
	server("issuers10", 10, 1)
	server("issuers1000", 1000, 1)
	loadBench(b, "{\nadmin off\npersist_config off\nlog {\noutput discard\n}\n"+global.String()+"}\n"+sites.String())
	return x
}
