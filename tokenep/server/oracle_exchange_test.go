package server_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2/google/externalaccount"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// withWorkloads is a Change: workloads of an issuer elsewhere, for which no client takes part, or
// any that authenticates.
func withWorkloads(t *testing.T, elsewhere *verifytest.Issuer) tokeneptest.Change {
	t.Helper()
	workload, err := policy.Compile(`claims.sub == "system:serviceaccount:shop:cart"`)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := policy.CompileValue("claims.sub")
	if err != nil {
		t.Fatal(err)
	}
	trusted := elsewhere.Trust()
	trusted.Profile = verify.ProfileJWT
	return func(c *server.Config) {
		c.Clients[0].GrantTypes = append(c.Clients[0].GrantTypes, grant.TokenExchangeType)
		c.Subjects = append(c.Subjects, &subject.Source{Name: elsewhere.Name, Issuer: &trusted, Policies: []subject.Policy{{
			Name: "workloads", When: workload, Subject: sub, Clients: []string{subject.NoClient, subject.AnyClient},
			Scope: verify.Scope{"orders:read"}, Audience: []string{"orders", googleAudience}, TTL: 10 * time.Minute,
		}}})
	}
}

const googleAudience = "//iam.googleapis.com/locations/global/workforcePools/pool/providers/provider"

// TestGoogleExternalAccount lets golang.org/x/oauth2/google/externalaccount exchange the token of a
// workload, which is in a file: for no client, with the options of a workforce pool, and for a
// client by Basic.
func TestGoogleExternalAccount(t *testing.T) {
	elsewhere := verifytest.New("https://kubernetes.default.svc", "https://as.example")
	issuer := oracleServer(t, withWorkloads(t, elsewhere))
	file := func(name, sub string) string {
		path := filepath.Join(t.TempDir(), name)
		text := `{"token":"` + elsewhere.Sign(verifytest.Claims{"sub": sub}) + `"}`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cart, other := file("cart", "system:serviceaccount:shop:cart"), file("other", "system:serviceaccount:shop:other")
	for _, test := range []struct {
		name, file string
		change     func(*externalaccount.Config)
		client     string // client_id of the access token; empty: it is refused
	}{
		{"no client", cart, func(*externalaccount.Config) {}, "policy:workloads"},
		{"as an ID token", cart, func(c *externalaccount.Config) { c.SubjectTokenType = subject.IDTokenType }, "policy:workloads"},
		{"a workforce pool", cart, func(c *externalaccount.Config) {
			c.Audience, c.WorkforcePoolUserProject = googleAudience, "1234"
		}, "policy:workloads"},
		{"a client", cart, func(c *externalaccount.Config) { c.ClientID, c.ClientSecret = "billing", oracleSecret }, "billing"},
		{"a client with a wrong secret", cart, func(c *externalaccount.Config) { c.ClientID, c.ClientSecret = "billing", "wrong" }, ""},
		{"another workload", other, func(*externalaccount.Config) {}, ""},
		{"another audience", cart, func(c *externalaccount.Config) { c.Audience = "invoices" }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := externalaccount.Config{
				Audience: "orders", SubjectTokenType: grant.JWTType, TokenURL: issuer + "/oauth/token", Scopes: []string{"orders:read"},
				CredentialSource: &externalaccount.CredentialSource{
					File: test.file, Format: externalaccount.Format{Type: "json", SubjectTokenFieldName: "token"},
				},
			}
			test.change(&config)
			source, err := externalaccount.NewTokenSource(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			token, err := source.Token()
			if (err == nil) != (test.client != "") {
				t.Fatalf("%v, want a token of client %q", err, test.client)
			}
			if err != nil {
				return
			}
			verified, err := resource(t, issuer, config.Audience).Verify(t.Context(), verify.Presentation{Token: token.AccessToken})
			if err != nil {
				t.Fatal(err)
			}
			if verified.ClientID != test.client || verified.Subject != "system:serviceaccount:shop:cart" || token.TokenType != "Bearer" {
				t.Errorf("%s token: %v", token.TokenType, verified.Claims)
			}
		})
	}
}

// resource verifies tokens of a server as a protected resource does: by the keys at its URL.
func resource(t *testing.T, issuer, audience string, changes ...func(*verify.Config)) *verify.Verifier {
	t.Helper()
	keys, err := verify.NewDiscoveredKeys(issuer, "", verify.URLKeysOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := verify.Config{Issuers: []verify.TrustedIssuer{{Name: issuer, Keys: keys, Audience: []string{audience}}}}
	for _, change := range changes {
		change(&c)
	}
	v, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// openaiScript calls an API of which the SDK thinks that it is OpenAI's, with the identity of a
// workload. The SDK exchanges it at a fixed address, which its fetch option replaces.
const openaiScript = `
import OpenAI from 'openai';
const [tokenURL, baseURL, good, bad] = process.argv.slice(2);
const sent = [];
const toUs = (url, init) => {
	if (String(url) !== 'https://auth.openai.com/oauth/token') return fetch(url, init);
	sent.push({ type: new Headers(init.headers).get('content-type'), members: Object.keys(JSON.parse(init.body)).sort() });
	return fetch(tokenURL, init);
};
const identity = (token, tokenType) => new OpenAI({ baseURL, maxRetries: 0, fetch: toUs, workloadIdentity: {
	identityProviderId: 'idp_1', serviceAccountId: 'sa_1', provider: { tokenType, getToken: async () => token },
} });
const client = identity(good, 'jwt');
const first = await client.models.list();
const second = await client.models.list(); // the API refuses the token once
const byID = await identity(good, 'id').models.list();
const refused = await identity(bad, 'jwt').models.list().catch((e) => ({ status: e.status, code: e.error_code ?? e.error?.error ?? e.message }));
console.log(JSON.stringify({ sent, models: [first.data, second.data, byID.data].flat(), refused }));
`

// TestOpenAIWorkloadIdentity lets the npm package openai exchange the token of a workload, by JSON,
// and call a protected resource with what it gets. When the resource refuses that, it exchanges
// again.
func TestOpenAIWorkloadIdentity(t *testing.T) {
	elsewhere := verifytest.New("https://kubernetes.default.svc", "https://as.example")
	issuer := oracleServer(t, withWorkloads(t, elsewhere))
	guard := &verify.Guard{Verifier: resource(t, issuer, "orders"), Scope: verify.Scope{"orders:read"}}
	var calls atomic.Int32
	api := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"object":"list","data":["` + token.Subject + `"]}`))
	}))
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 2 {
			r.Header.Set("Authorization", "Bearer of-before-the-keys-changed")
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)

	var got struct {
		Sent []struct {
			Type    string
			Members []string
		}
		Models  []string
		Refused struct {
			Status int
			Code   string
		}
	}
	sign := func(name string) string {
		return elsewhere.Sign(verifytest.Claims{"sub": "system:serviceaccount:shop:" + name})
	}
	inNode(t, "openai.mjs", openaiScript, &got, issuer+"/oauth/token", listening.URL+"/v1", sign("cart"), sign("other"))
	if strings.Join(got.Models, " ") != strings.TrimSpace(strings.Repeat("system:serviceaccount:shop:cart ", 3)) {
		t.Errorf("models: %v", got.Models)
	}
	if got.Refused.Status != http.StatusBadRequest {
		t.Errorf("another workload: %+v", got.Refused)
	}
	const members = "grant_type identity_provider_id service_account_id subject_token subject_token_type"
	if len(got.Sent) != 4 || got.Sent[0].Type != "application/json" || strings.Join(got.Sent[0].Members, " ") != members {
		t.Errorf("it sent %+v", got.Sent)
	}
}

// deviceScript is the program of a device, and beside it the browser of alice, who decides after
// the first poll. The program which is too fast is told so, and goes on. Time runs faster here.
const deviceScript = `
import * as client from 'openid-client';
const [issuer, header, faster] = process.argv.slice(2);
const wait = globalThis.setTimeout;
globalThis.setTimeout = (f, ms, ...rest) => wait(f, ms / faster, ...rest);
const errors = [];
let decide = () => undefined;
const config = await client.discovery(new URL(issuer), 'tv', undefined, client.None(), { execute: [client.allowInsecureRequests] });
config[client.customFetch] = async (url, init) => {
	const response = await fetch(url, init);
	if (response.status === 400) {
		errors.push((await response.clone().json()).error);
		await decide(errors.at(-1));
	}
	return response;
};
const run = async (decision, interval) => {
	const device = await client.initiateDeviceAuthorization(config, { scope: 'read' });
	device.interval = interval ?? device.interval;
	decide = async (error) => {
		if (interval && !(errors.includes('slow_down') && error === 'authorization_pending')) return;
		decide = () => undefined;
		const address = device.verification_uri_complete;
		const opened = await fetch(address, { headers: { [header]: 'alice' } });
		const cookie = opened.headers.getSetCookie().map((c) => c.split(';')[0]).join('; ');
		const page = (await opened.text()).match(/name="page" value="([^"]*)"/)[1];
		const body = new URLSearchParams({ page, decision });
		const answer = await fetch(device.verification_uri, { method: 'POST', body, headers: { [header]: 'alice', cookie, origin: new URL(issuer).origin } });
		if (!answer.ok) throw new Error(await answer.text());
	};
	return client.pollDeviceAuthorizationGrant(config, device).catch((e) => ({ error: e.error ?? String(e) }));
};
const allowed = await run('allow');
const refreshed = await client.refreshTokenGrant(config, allowed.refresh_token);
const denied = await run('deny');
const tooFast = await run('allow', 1);
console.log(JSON.stringify({ errors, scope: allowed.scope, token: refreshed.access_token, denied: denied.error, tooFast: tooFast.scope }));
`

// TestOpenIDClientDevice lets the npm package openid-client poll for a user (RFC 8628 §3.5).
func TestOpenIDClientDevice(t *testing.T) {
	const faster = 10
	start := time.Now()
	now := func() time.Time { return start.Add(faster * time.Since(start)) }
	issuer := oracleServer(t, withForeignPeople, func(c *server.Config) {
		c.Now = now
		c.Clients = append(c.Clients, tokenep.Client{
			ID: "tv", AuthMethod: tokenep.AuthNone, GrantTypes: []string{grant.DeviceCodeType, grant.RefreshTokenType},
			Scope: verify.Scope{"read"}, Audience: []string{"orders"},
		})
	})
	var got struct {
		Errors                        []string
		Scope, Token, Denied, TooFast string
	}
	inNode(t, "openid-client-device.mjs", deviceScript, &got, issuer, tokeneptest.UserHeader, strconv.Itoa(faster))
	if len(got.Errors) < 6 {
		t.Fatalf("errors: %v", got.Errors)
	}
	decided, slowed := strings.Join(got.Errors[:3], " "), strings.Join(slices.Compact(got.Errors[3:]), " ")
	if decided != "authorization_pending authorization_pending access_denied" || got.Denied != "access_denied" {
		t.Errorf("errors: %v; denied: %s", got.Errors, got.Denied)
	}
	if slowed != "authorization_pending slow_down authorization_pending" || got.TooFast != "read" {
		t.Errorf("whoever is too fast has %s, and scope %q", slowed, got.TooFast)
	}
	token, err := resource(t, issuer, "orders", func(c *verify.Config) { c.Now = now }).Verify(t.Context(), verify.Presentation{Token: got.Token})
	if err != nil || token.Subject != "alice" || token.ClientID != "tv" || got.Scope != "read" {
		t.Errorf("%+v (%v), scope %q", token, err, got.Scope)
	}
}
