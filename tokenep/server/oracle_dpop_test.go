package server_test

import (
	"net/http"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// dpopScript gets a bound token with a key of each kind, and calls a resource with it: twice, since
// the first answer has the nonce for the next proof.
const dpopScript = `
import * as client from 'openid-client';
const [issuer, secret] = process.argv.slice(2);
const config = await client.discovery(new URL(issuer), 'billing', undefined, client.ClientSecretPost(secret), { execute: [client.allowInsecureRequests] });
const got = [];
for (const alg of ['ES256', 'Ed25519', 'PS256', 'RS256']) {
	const keys = await client.randomDPoPKeyPair(alg);
	const DPoP = client.getDPoPHandle(config, keys);
	const tokens = await client.clientCredentialsGrant(config, {}, { DPoP });
	const called = [];
	for (const url of [issuer + '/orders', issuer + '/orders?page=2']) {
		const answer = await client.fetchProtectedResource(config, tokens.access_token, new URL(url), 'GET', null, null, { DPoP });
		called.push(answer.status);
	}
	const other = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg));
	const stolen = await client.fetchProtectedResource(config, tokens.access_token, new URL(issuer + '/orders'), 'GET', null, null, { DPoP: other }).catch((e) => e);
	got.push({ alg, type: tokens.token_type, called, stolen: stolen.cause?.at(-1)?.parameters?.error ?? String(stolen.status) });
}
console.log(JSON.stringify(got));
`

// withOrders adds a resource of the server's own, which takes its tokens.
func withOrders(c *server.Config) {
	c.Endpoints = append(c.Endpoints, func(s *server.Server) (tokenep.Endpoint, error) {
		guard := &verify.Guard{Verifier: s.Verifier, Scope: verify.Scope{"orders:read"}}
		answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
		return tokenep.Endpoint{Name: "orders", Path: "/orders", Methods: []string{http.MethodGet}, Handler: guard.Handler(http.HandlerFunc(answer))}, nil
	})
}

// TestOpenIDClientDPoP lets the npm package openid-client get tokens that are bound to its keys,
// and use them (RFC 9449): without nonces, and with.
func TestOpenIDClientDPoP(t *testing.T) {
	for name, nonce := range map[string]bool{"no nonces": false, "nonces": true} {
		t.Run(name, func(t *testing.T) {
			issuer := oracleServer(t, withOrders, func(c *server.Config) { c.DPoP.RequireNonce = nonce })
			var got []struct {
				Alg, Type, Stolen string
				Called            []int
			}
			inNode(t, "openid-client-dpop.mjs", dpopScript, &got, issuer, oracleSecret)
			if len(got) != 4 {
				t.Errorf("%+v", got)
			}
			for _, g := range got {
				if g.Type != "dpop" || len(g.Called) != 2 || g.Called[0] != http.StatusNoContent || g.Called[1] != http.StatusNoContent || g.Stolen != "invalid_token" {
					t.Errorf("%+v", g)
				}
			}
		})
	}
}
