package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// These tests use clients that others wrote, and that know nothing of this project.

const oracleSecret = "p%3Art+of a:secret" // reads differently with and without form-urlencoding

// oracleServer listens on loopback, under an issuer that is its own URL.
func oracleServer(t *testing.T, changes ...tokeneptest.Change) (issuer string) {
	t.Helper()
	mux := http.NewServeMux()
	listening := httptest.NewServer(mux)
	t.Cleanup(listening.Close)

	state := memory.New(memory.Options{})
	t.Cleanup(func() { _ = state.Close() })
	config := server.Config{
		Issuer: listening.URL + "/tenant",
		Store:  state,
		Clients: []tokenep.Client{{
			ID: "billing", Secrets: []tokenep.Secret{{Hash: tokenep.HashSecret(oracleSecret)}},
			GrantTypes: []string{"client_credentials"}, Scope: verify.Scope{"orders:read", "orders:write"}, Audience: []string{"orders"},
		}},
	}
	for _, change := range changes {
		change(&config)
	}
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	routes, err := s.Mount(server.Paths{Token: []server.TokenPath{{Path: "/tenant/oauth/token", Dialect: tokenep.Dialect{JSON: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", routes.Handler(http.NotFoundHandler()))
	return s.Config.Issuer
}

// TestForeignClientCredentials lets golang.org/x/oauth2 get a token in each of the ways it knows,
// and go-oidc verify it by the metadata and the key set.
func TestForeignClientCredentials(t *testing.T) {
	issuer := oracleServer(t)
	for name, style := range map[string]oauth2.AuthStyle{
		"header": oauth2.AuthStyleInHeader, "body": oauth2.AuthStyleInParams, "whichever works": oauth2.AuthStyleAutoDetect,
	} {
		t.Run(name, func(t *testing.T) {
			provider, err := oidc.NewProvider(t.Context(), issuer)
			if err != nil {
				t.Fatal("discovery:", err)
			}
			config := clientcredentials.Config{
				ClientID: "billing", ClientSecret: oracleSecret, TokenURL: provider.Endpoint().TokenURL, Scopes: []string{"orders:read"},
				AuthStyle: style, EndpointParams: url.Values{"audience": {"orders"}},
			}
			token, err := config.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(token.Expiry); left <= 59*time.Minute || left > time.Hour || token.Extra("scope") != "orders:read" {
				t.Errorf("life %s, scope %q", left, token.Extra("scope"))
			}
			verified, err := provider.Verifier(&oidc.Config{ClientID: "orders"}).Verify(t.Context(), token.AccessToken)
			if err != nil {
				t.Fatal("go-oidc:", err)
			}
			if verified.Subject != "client:billing" {
				t.Errorf("sub is %q", verified.Subject)
			}
		})
	}
}

// telnyxScript is the code sample of that SDK's documentation, against this server: by form, by
// JSON, and with the token that the SDK gets by itself.
const telnyxScript = `
import Telnyx from 'telnyx';
const [base, clientID, clientSecret] = process.argv.slice(2);
const toUs = (url, init) => fetch(String(url).replace('https://api.telnyx.com/v2', base), init);
const plain = new Telnyx({ baseURL: base, apiKey: 'unused', maxRetries: 0 });
const request = { grant_type: 'client_credentials', client_id: clientID, client_secret: clientSecret };
const form = await plain.oauth.token(request);
const json = await plain.oauth.token(request, { headers: { 'Content-Type': 'application/json' } });
const refused = await plain.oauth.token({ ...request, client_secret: 'wrong' }).catch((e) => ({ status: e.status, error: e.error?.error }));
let seen;
const automatic = new Telnyx({ baseURL: base, apiKey: null, clientID, clientSecret, maxRetries: 0, fetch: (url, init) => {
	if (!String(url).includes('/oauth/token')) seen = new Headers(init.headers).get('authorization');
	return toUs(url, init);
} });
const keys = await automatic.oauth.retrieveJwks();
const introspected = await automatic.oauth.introspect({ token: form.access_token });
console.log(JSON.stringify({ form, json, refused, seen, keys, introspected }));
`

// npmPackages are what scripts import, as .ci/run installs them.
const npmPackages = "telnyx@7.24.0 openid-client@6.8.9 simple-oauth2@5.1.0 @jmondi/oauth2-server@4.3.7 oidc-provider@9.13.3 openai@7.59.0"

// npmScript returns the file of a script, beside the npm packages that it imports. Without them the
// test is skipped, or fails with CI=true.
func npmScript(t *testing.T, name, script string) (file string) {
	t.Helper()
	folder := os.Getenv("NPM_CLIENTS")
	if _, err := exec.LookPath("node"); err != nil || folder == "" {
		servertest.Check(t, fmt.Errorf("the npm packages are %w: install node, run: npm install --prefix DIR %s, and set NPM_CLIENTS=DIR",
			servertest.ErrMissing, npmPackages))
	}
	file = filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// inNode runs a script, and decodes the JSON that it prints into result.
func inNode(t *testing.T, name, script string, result any, args ...string) {
	t.Helper()
	file := npmScript(t, name, script)
	command := exec.CommandContext(t.Context(), "node", append([]string{file}, args...)...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if err := json.Unmarshal(output, result); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// TestTelnyxSDK gets tokens by the npm package telnyx.
func TestTelnyxSDK(t *testing.T) {
	type answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	var got struct {
		Form, JSON answer
		Refused    struct {
			Status int
			Error  string
		}
		Seen string
		Keys struct{ Keys []any }

		Introspected struct {
			Active   bool
			ClientID string `json:"client_id"`
		}
	}
	inNode(t, "telnyx.mjs", telnyxScript, &got, oracleServer(t), "billing", oracleSecret)
	for name, a := range map[string]answer{"form": got.Form, "JSON": got.JSON} {
		if a.AccessToken == "" || a.TokenType != "Bearer" || a.ExpiresIn < 3590 || a.Scope != "orders:read orders:write" {
			t.Errorf("by %s: %+v", name, a)
		}
	}
	if got.Refused.Status != http.StatusUnauthorized || got.Refused.Error != "invalid_client" {
		t.Errorf("a wrong secret: %+v", got.Refused)
	}
	if !got.Introspected.Active || got.Introspected.ClientID != "billing" {
		t.Errorf("introspected: %+v", got.Introspected)
	}
	if len(got.Seen) < len("Bearer ")+100 || len(got.Keys.Keys) == 0 {
		t.Errorf("with a token of its own it sent %q and got %d keys", got.Seen, len(got.Keys.Keys))
	}
}
