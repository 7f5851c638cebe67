package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// withForeignPeople is a Change: site and native of WithPeople, and who asks who the user is. The
// protected resource api introspects.
func withForeignPeople(c *server.Config) {
	tokeneptest.WithPeople(c)
	api := tokeneptest.NewClient("api")
	api.Introspect = []string{"*"}
	c.Clients = append(c.Clients, api)
	for i := range c.Clients {
		if client := &c.Clients[i]; client.ID == "site" || client.ID == "native" {
			client.Scope = append(verify.Scope{"openid"}, client.Scope...)
		}
	}
}

// browse goes through the authorization endpoint as the browser of alice does, and returns the URL
// to which she is sent back.
func browse(t *testing.T, address string) *url.URL {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method string, form url.Values) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(tokeneptest.UserHeader, "alice")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	_, page := send(http.MethodGet, nil)
	sealed := regexp.MustCompile(`name="page" value="([^"]*)"`).FindStringSubmatch(page)
	if sealed == nil {
		t.Fatalf("no page: %s", page)
	}
	response, body := send(http.MethodPost, url.Values{"page": {sealed[1]}, "decision": {"allow"}})
	to, err := response.Location()
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return to
}

// TestForeignCodeFlow lets golang.org/x/oauth2 and go-oidc sign a user in: discovery, code with
// PKCE, ID token, userinfo, refresh.
func TestForeignCodeFlow(t *testing.T) {
	issuer := oracleServer(t, withForeignPeople)
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal("discovery:", err)
	}
	for name, config := range map[string]oauth2.Config{
		"confidential": {ClientID: "site", ClientSecret: "site-secret", RedirectURL: tokeneptest.Callback},
		"public":       {ClientID: "native", RedirectURL: tokeneptest.RedirectURI("native")},
	} {
		t.Run(name, func(t *testing.T) {
			config.Endpoint, config.Scopes = provider.Endpoint(), []string{oidc.ScopeOpenID, "read"}
			verifier := oauth2.GenerateVerifier()
			to := browse(t, config.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("the nonce")))
			if to.Query().Get("state") != "the state" || to.Query().Get("iss") != issuer {
				t.Fatalf("sent back to %s", to)
			}
			token, err := config.Exchange(t.Context(), to.Query().Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := token.Extra("id_token").(string)
			idToken, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(t.Context(), raw)
			if err != nil || idToken.Subject != "alice" || idToken.Nonce != "the nonce" {
				t.Fatalf("%+v, %v", idToken, err)
			}
			if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
				t.Error("at_hash:", err)
			}
			user, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
			if err != nil || user.Subject != "alice" {
				t.Errorf("%+v, %v", user, err)
			}
			again, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
			if err != nil || again.AccessToken == token.AccessToken || again.RefreshToken == "" {
				t.Errorf("%+v, %v", again, err)
			}
		})
	}
}

// browserScript is browse, for scripts.
const browserScript = `
const browse = async (address) => {
	const headers = { 'Test-User': 'alice' };
	const page = await fetch(address, { headers, redirect: 'manual' });
	if (page.status === 303) return new URL(page.headers.get('location')); // it was allowed before
	const sealed = /name="page" value="([^"]*)"/.exec(await page.text())[1];
	const answer = await fetch(address, {
		method: 'POST', redirect: 'manual', headers: { ...headers, cookie: page.headers.getSetCookie()[0].split(';')[0] },
		body: new URLSearchParams({ page: sealed, decision: 'allow' }),
	});
	return new URL(answer.headers.get('location'));
};
`

const openIDClientScript = `
import * as client from 'openid-client';
` + browserScript + `
const [issuer] = process.argv.slice(2);
const insecure = { execute: [client.allowInsecureRequests] };
const flow = async (id, redirect, authentication) => {
	const config = await client.discovery(new URL(issuer), id, undefined, authentication, insecure);
	const verifier = client.randomPKCECodeVerifier(), state = client.randomState(), nonce = client.randomNonce();
	const to = await browse(client.buildAuthorizationUrl(config, {
		redirect_uri: redirect, scope: 'openid read', state, nonce,
		code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
	}));
	const tokens = await client.authorizationCodeGrant(config, to, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
	const user = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
	const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
	const active = id === 'site' ? (await client.tokenIntrospection(config, refreshed.access_token)).active : true;
	await client.tokenRevocation(config, refreshed.refresh_token);
	const after = await client.refreshTokenGrant(config, refreshed.refresh_token).catch((e) => e.error);
	return { sub: user.sub, scope: tokens.scope, refreshed: refreshed.access_token !== tokens.access_token, active, after };
};
console.log(JSON.stringify([
	await flow('site', 'https://site.example/callback', client.ClientSecretBasic('site-secret')),
	await flow('site', 'https://site.example/callback', client.ClientSecretPost('site-secret')),
	await flow('native', 'http://127.0.0.1:52345/callback', client.None()),
]));
`

// TestOpenIDClient signs a user in by the npm package openid-client: discovery, code with PKCE, ID
// token, userinfo, refresh, introspection, revocation.
func TestOpenIDClient(t *testing.T) {
	var got []map[string]any
	inNode(t, "openid-client.mjs", openIDClientScript, &got, oracleServer(t, withForeignPeople))
	for i, flow := range got {
		if !tokeneptest.EqualJSON(flow, map[string]any{"sub": "alice", "scope": "openid read", "refreshed": true, "active": true, "after": "invalid_grant"}) {
			t.Errorf("flow %d: %v", i, flow)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d flows", len(got))
	}
}

const simpleOAuth2Script = `
import { AuthorizationCode } from 'simple-oauth2';
import { createHash } from 'node:crypto';
` + browserScript + `
const [issuer] = process.argv.slice(2);
const at = new URL(issuer);
const client = new AuthorizationCode({
	client: { id: 'site', secret: 'site-secret' },
	auth: { tokenHost: at.origin, tokenPath: at.pathname + '/oauth/token', revokePath: at.pathname + '/oauth/revoke', authorizePath: at.pathname + '/oauth/authorize' },
});
const verifier = 'a'.repeat(43), redirect_uri = 'https://site.example/callback';
const to = await browse(client.authorizeURL({
	redirect_uri, scope: 'read', state: 's',
	code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
}));
const token = await client.getToken({ code: to.searchParams.get('code'), redirect_uri, code_verifier: verifier });
const refreshed = await token.refresh();
await refreshed.revokeAll();
const after = await refreshed.refresh().catch((e) => e.data?.payload?.error);
console.log(JSON.stringify({ scope: token.token.scope, refreshed: refreshed.token.access_token !== token.token.access_token, after }));
`

// TestSimpleOAuth2 does so by the npm package simple-oauth2.
func TestSimpleOAuth2(t *testing.T) {
	var got map[string]any
	inNode(t, "simple-oauth2.mjs", simpleOAuth2Script, &got, oracleServer(t, withForeignPeople))
	if !tokeneptest.EqualJSON(got, map[string]any{"scope": "read", "refreshed": true, "after": "invalid_grant"}) {
		t.Errorf("%v", got)
	}
}

const telnyxCodeScript = `
import Telnyx from 'telnyx';
import { createHash } from 'node:crypto';
` + browserScript + `
const [issuer] = process.argv.slice(2);
const client = new Telnyx({ baseURL: issuer, apiKey: 'unused', maxRetries: 0 });
const us = { client_id: 'site', client_secret: 'site-secret' };
const code_verifier = 'a'.repeat(43), redirect_uri = 'https://site.example/callback';
const results = [];
for (const headers of [undefined, { 'Content-Type': 'application/json' }]) {
	const ask = new URL(issuer + '/oauth/authorize');
	ask.search = new URLSearchParams({
		response_type: 'code', client_id: 'site', redirect_uri, scope: 'read', state: 's',
		code_challenge: createHash('sha256').update(code_verifier).digest('base64url'), code_challenge_method: 'S256',
	});
	const code = (await browse(ask)).searchParams.get('code');
	const token = await client.oauth.token({ grant_type: 'authorization_code', code, redirect_uri, code_verifier, ...us }, { headers });
	const refreshed = await client.oauth.token({ grant_type: 'refresh_token', refresh_token: token.refresh_token, ...us }, { headers });
	const again = await client.oauth.token({ grant_type: 'authorization_code', code, redirect_uri, code_verifier, ...us }, { headers })
		.catch((e) => e.status + ' ' + e.error?.error);
	results.push({ scope: token.scope, type: token.token_type, refreshed: refreshed.access_token !== token.access_token, again });
}
console.log(JSON.stringify(results));
`

// TestTelnyxCode does so by the npm package telnyx, by form and by JSON.
func TestTelnyxCode(t *testing.T) {
	var got []map[string]any
	inNode(t, "telnyx-code.mjs", telnyxCodeScript, &got, oracleServer(t, withForeignPeople))
	for i, flow := range got {
		if !tokeneptest.EqualJSON(flow, map[string]any{"scope": "read", "type": "Bearer", "refreshed": true, "again": "400 invalid_grant"}) {
			t.Errorf("flow %d: %v", i, flow)
		}
	}
	if len(got) != 2 {
		t.Errorf("%d flows", len(got))
	}
}
