package server_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// withRegistration is a Change: clients with an initial access token register themselves.
func withRegistration(c *server.Config) {
	tokeneptest.WithPeople(c)
	c.Registration = &server.Registration{
		InitialAccessTokens: []string{tokenep.HashSecret("the-initial-access-token")}, Management: true,
		Template: endpoint.RegistrationTemplate{
			GrantTypes:   []string{"authorization_code", "refresh_token", "client_credentials"},
			Scope:        verify.Scope{"openid", "read"},
			RedirectURIs: []tokenep.RedirectPattern{"https://site.example/*"},
		},
	}
}

const openIDRegistrationScript = `
import * as client from 'openid-client';
` + browserScript + `
const [issuer] = process.argv.slice(2);
const options = { initialAccessToken: 'the-initial-access-token', execute: [client.allowInsecureRequests] };
const redirect_uri = 'https://site.example/callback';
const flow = async (metadata, authentication) => {
	const config = await client.dynamicClientRegistration(new URL(issuer), { redirect_uris: [redirect_uri], ...metadata }, authentication, options);
	const verifier = client.randomPKCECodeVerifier(), nonce = client.randomNonce();
	const to = await browse(client.buildAuthorizationUrl(config, {
		redirect_uri, scope: 'openid read', nonce, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
	}));
	const tokens = await client.authorizationCodeGrant(config, to, { pkceCodeVerifier: verifier, expectedNonce: nonce });
	const { client_secret, registration_client_uri, registration_access_token, scope } = config.clientMetadata();
	const managed = await fetch(registration_client_uri, { headers: { authorization: 'Bearer ' + registration_access_token } });
	return { sub: tokens.claims().sub, refreshes: !!tokens.refresh_token, secret: !!client_secret, scope, managed: (await managed.json()).client_name };
};
const refused = await client.dynamicClientRegistration(new URL(issuer), { redirect_uris: ['https://evil.example/'] }, undefined, options).catch((e) => e.error);
const unknown = await client.dynamicClientRegistration(new URL(issuer), { redirect_uris: [redirect_uri] }, undefined, { execute: options.execute })
	.catch((e) => e.status ?? e.cause?.[0]?.scheme ?? String(e));
console.log(JSON.stringify({ refused, unknown, flows: [
	await flow({ client_name: 'A' }),
	await flow({ client_name: 'B', grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'none', scope: 'openid read all' }, client.None()),
] }));
`

// TestOpenIDClientRegisters lets the npm package openid-client register itself (RFC 7591), and sign
// a user in.
func TestOpenIDClientRegisters(t *testing.T) {
	var got map[string]any
	inNode(t, "openid-client-register.mjs", openIDRegistrationScript, &got, oracleServer(t, withRegistration))
	if !tokeneptest.EqualJSON(got, map[string]any{"refused": "invalid_redirect_uri", "unknown": 401, "flows": []any{
		map[string]any{"sub": "alice", "refreshes": false, "secret": true, "scope": "openid read", "managed": "A"},
		map[string]any{"sub": "alice", "refreshes": true, "secret": false, "scope": "openid read", "managed": "B"},
	}}) {
		t.Errorf("%v", got)
	}
}

const telnyxRegistrationScript = `
import Telnyx from 'telnyx';
const [issuer] = process.argv.slice(2);
const client = new Telnyx({ baseURL: issuer, apiKey: 'the-initial-access-token', maxRetries: 0 });
const made = await client.oauth.register({
	client_name: 'Calls', grant_types: ['client_credentials', 'authorization_code'], redirect_uris: ['https://site.example/callback'], response_types: ['code'],
	scope: 'read', token_endpoint_auth_method: 'client_secret_post', logo_uri: 'https://site.example/logo.png', policy_uri: 'https://site.example/policy',
	tos_uri: 'https://site.example/tos',
});
const token = await client.oauth.token({ grant_type: 'client_credentials', client_id: made.client_id, client_secret: made.client_secret });
const refused = await client.oauth.register({ grant_types: ['client_credentials'], scope: 'all' }).catch((e) => e.status + ' ' + e.error?.error);
console.log(JSON.stringify({ name: made.client_name, grants: made.grant_types, issued: typeof made.client_id_issued_at, scope: token.scope, refused }));
`

// TestTelnyxRegisters does so by the npm package telnyx, which gets a token for itself.
func TestTelnyxRegisters(t *testing.T) {
	var got map[string]any
	inNode(t, "telnyx-register.mjs", telnyxRegistrationScript, &got, oracleServer(t, withRegistration))
	if !tokeneptest.EqualJSON(got, map[string]any{
		"name": "Calls", "grants": []any{"authorization_code", "client_credentials"}, "issued": "number", "scope": "read", "refused": "400 invalid_client_metadata",
	}) {
		t.Errorf("%v", got)
	}
}
