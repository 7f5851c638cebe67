package tokenep_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 7591 §2 and §3.2.1: the members of a client's JSON have the names of the client metadata, and
// scope is one string. What is written is read back as it was.
func TestClientJSON(t *testing.T) {
	full := tokenep.Client{
		ID: "billing", Name: "Billing", URI: "https://app.example", LogoURI: "https://app.example/logo", PolicyURI: "https://app.example/policy", TOSURI: "https://app.example/tos", Secrets: []tokenep.Secret{{Hash: "$sha256$x", Expires: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
		JWKS: verifytest.New(issuer, orders).JWKS(), JWKSFile: "keys.json", JWKSURI: "https://app.example/keys",
		TLSSubjectDN: "CN=billing", TLSSANDNS: "app.example", TLSSANURI: "spiffe://app.example", TLSSANIP: "192.0.2.1", TLSSANEmail: "billing@app.example",
		AuthMethod: tokenep.AuthBasic, AuthMethods: []string{tokenep.AuthPost}, AuthSigningAlg: "ES256", AssertionAudience: "strict",
		GrantTypes: []string{cc, exchange}, RedirectURIs: []string{"https://app.example/done"}, SkipConsent: true, RequireOfflineAccess: true, RequirePAR: true, DPoPBound: true, CertificateBound: true, InsecurePlainPKCE: true, InsecureNoPKCE: true, IDTokenAlg: "ES256",
		PostLogoutRedirectURIs: []string{"https://a.example/bye"},
		Scope:                  verify.Scope{"orders:read", "orders:write"}, DefaultScope: verify.Scope{"orders:read"},
		Audience: []string{orders}, AccessTokenTTL: tokenep.Duration(36 * time.Hour),
		ExchangeFrom: []string{"*"}, ExchangeTo: []string{orders}, MayActFor: []string{"iss=" + issuer}, ActorFrom: []string{"client_id=gateway"}, MayAct: []string{"client_id=gateway"}, Introspect: []string{orders}, SecretWithoutID: true, InsecureUnsecuredSubject: true, IssuedAt: 1767225600, RegistrationID: "R", SelfRegistered: true, UnusedUntil: 1767225601,
	}
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("the test does not set %s", v.Type().Field(i).Name)
		}
	}
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"access_token_ttl", "actor_from", "assertion_audience", "audience", "client_id", "client_id_issued_at", "client_name", "client_uri", "default_scope", "dpop_bound_access_tokens", "exchange_from", "exchange_to",
		"grant_types", "id_token_signed_response_alg", "insecure_no_pkce", "insecure_plain_pkce", "insecure_unsecured_subject", "introspect", "jwks", "jwks_file", "jwks_uri", "logo_uri", "may_act", "may_act_for", "policy_uri", "post_logout_redirect_uris", "redirect_uris", "registration_id", "require_offline_access",
		"require_pushed_authorization_requests",
		"scope", "secret_without_id", "secrets", "self_registered", "skip_consent",
		"tls_client_auth_san_dns", "tls_client_auth_san_email", "tls_client_auth_san_ip", "tls_client_auth_san_uri", "tls_client_auth_subject_dn", "tls_client_certificate_bound_access_tokens", "token_endpoint_auth_method", "token_endpoint_auth_methods", "token_endpoint_auth_signing_alg", "tos_uri", "unused_until",
	}
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, want) {
		t.Errorf("members %q, want %q", got, want)
	}
	for name, want := range map[string]any{
		"scope": "orders:read orders:write", "default_scope": "orders:read", "access_token_ttl": "36h", "client_id_issued_at": 1767225600.0, "registration_id": "R",
	} {
		if members[name] != want {
			t.Errorf("%s is %v, want %v", name, members[name], want)
		}
	}
	var again tokenep.Client
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, full) {
		t.Errorf("it is read as %+v, %v; want %+v", again, err, full)
	}
	if text, err := json.Marshal(tokenep.Client{ID: "app"}); err != nil || string(text) != `{"client_id":"app"}` {
		t.Errorf("a client without anything: %s, %v", text, err)
	}
}
