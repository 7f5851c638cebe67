package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// assertionScript gets a token with each key of a client, by assertions for the issuer and, as
// older clients do, for the token endpoint. It serves nothing: the keys are in the place to which
// the test has put them.
const assertionScript = `
import * as client from 'openid-client';
const [issuer, keys] = process.argv.slice(2);
const insecure = { execute: [client.allowInsecureRequests] };
const got = [];
for (const [id, jwk] of Object.entries(JSON.parse(keys))) {
	const algorithm = { 'ES256': { name: 'ECDSA', namedCurve: 'P-256' }, 'Ed25519': { name: 'Ed25519' }, 'PS256': { name: 'RSA-PSS', hash: 'SHA-256' } }[jwk.alg];
	const { alg, use, key_ops, ...rest } = jwk;
	const key = await crypto.subtle.importKey('jwk', rest, algorithm, false, ['sign']);
	for (const change of [{}, { [client.modifyAssertion]: (header, payload) => { payload.aud = payload.aud + '/oauth/token'; } }]) {
		const config = await client.discovery(new URL(issuer), id, undefined, client.PrivateKeyJwt({ key, kid: jwk.kid }, change), insecure);
		const tokens = await client.clientCredentialsGrant(config, {}).catch((e) => ({ token_type: e.error }));
		await client.tokenRevocation(config, tokens.access_token ?? 'x').catch(() => {});
		got.push(id + ' ' + tokens.token_type);
	}
}
console.log(JSON.stringify(got));
`

// makeKeysScript makes a key for each algorithm, by Node's own cryptography.
const makeKeysScript = `
const made = {};
for (const [alg, algorithm] of Object.entries({
	'ES256': { name: 'ECDSA', namedCurve: 'P-256' }, 'Ed25519': { name: 'Ed25519' },
	'PS256': { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
})) {
	const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
	const jwk = async (key) => { const { key_ops, ext, ...rest } = await crypto.subtle.exportKey('jwk', key); return { ...rest, kid: 'key of ' + alg, alg }; };
	made[alg] = { private: await jwk(pair.privateKey), public: await jwk(pair.publicKey) };
}
console.log(JSON.stringify(made));
`

// TestOpenIDClientPrivateKeyJWT lets the npm package openid-client authenticate by private_key_jwt,
// with keys that Node made: as jwks, and at a jwks_uri. A strict client is refused what is for the
// token endpoint.
func TestOpenIDClientPrivateKeyJWT(t *testing.T) {
	var made map[string]struct{ Private, Public json.RawMessage }
	inNode(t, "make-keys.mjs", makeKeysScript, &made)
	set := func(alg string) json.RawMessage {
		return json.RawMessage(`{"keys":[` + string(made[alg].Public) + `]}`)
	}
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set("PS256")) }))
	defer served.Close()
	clients := []tokenep.Client{
		{ID: "a", JWKS: set("ES256")},
		{ID: "b", JWKS: set("Ed25519"), AssertionAudience: tokenep.AudienceStrict, AuthSigningAlg: "Ed25519"},
		{ID: "c", JWKSURI: served.URL + "/keys", AuthSigningAlg: "PS256"},
	}
	for i := range clients {
		clients[i].GrantTypes, clients[i].Scope = []string{"client_credentials"}, verify.Scope{"read"}
	}
	keys, err := json.Marshal(map[string]json.RawMessage{"a": made["ES256"].Private, "b": made["Ed25519"].Private, "c": made["PS256"].Private})
	if err != nil {
		t.Fatal(err)
	}
	issuer := oracleServer(t, func(c *server.Config) { c.Clients = append(c.Clients, clients...) })
	var got []string
	inNode(t, "private-key-jwt.mjs", assertionScript, &got, issuer, string(keys))
	want := []string{"a bearer", "a bearer", "b bearer", "b invalid_client", "c bearer", "c bearer"}
	if !tokeneptest.EqualJSON(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
