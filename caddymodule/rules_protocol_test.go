package caddymodule_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify/policy"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// The rules that tie code, scripts and metadata together.

// TestMetadataListsExactlyWhatIsThere compares the metadata (RFC 8414 §2) with the files that
// implement a grant or a method, and with what the token endpoint does.
func TestMetadataListsExactlyWhatIsThere(t *testing.T) {
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	for _, tc := range []struct {
		name    string
		offered bool
		grants  []string
	}{
		{"without token exchange and people", false, []string{"client_credentials"}},
		{"with both", true, []string{
			"client_credentials", "authorization_code", "refresh_token", "password", "urn:ietf:params:oauth:grant-type:device_code", exchange,
			"urn:ietf:params:oauth:grant-type:jwt-bearer",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			routes := mounted(t, tc.offered)
			var metadata struct {
				Grants  []string `json:"grant_types_supported"`
				Methods []string `json:"token_endpoint_auth_methods_supported"`
			}
			answer := httptest.NewRecorder()
			routes.Find("/.well-known/oauth-authorization-server").ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
			if err := json.Unmarshal(answer.Body.Bytes(), &metadata); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(metadata.Grants, tc.grants) {
				t.Errorf("grant_types_supported %v, want %v", metadata.Grants, tc.grants)
			}
			if n := implementations(t, "tokenep/grant", "all.go", "delegation.go", "exchanged.go", "renewal.go", "requested.go"); tc.offered && len(metadata.Grants) != n {
				t.Errorf("grant_types_supported %v, but tokenep/grant has %d files with a grant", metadata.Grants, n)
			}
			if n := implementations(t, "tokenep/clientauth", "all.go", "secret.go", "secret_slow.go", "keys.go", "certificates.go", "decoy.go"); tc.offered && len(metadata.Methods) != n {
				t.Errorf("token_endpoint_auth_methods_supported %v, but tokenep/clientauth has %d files with a method", metadata.Methods, n)
			}
			for _, method := range []string{"client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth"} {
				if slices.Contains(metadata.Methods, method) != tc.offered {
					t.Errorf("token_endpoint_auth_methods_supported %v, and %s is offered: %t", metadata.Methods, method, tc.offered)
				}
			}
			for _, grantType := range []string{"client_credentials", exchange, "authorization_code", "refresh_token", "password", "implicit",
				"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code"} {
				if listed, found := slices.Contains(metadata.Grants, grantType), offers(t, routes, grantType); listed != found {
					t.Errorf("%s: listed %t, offered %t", grantType, listed, found)
				}
			}
		})
	}
}

// mounted returns the endpoints of a server, which offers all that it can, or
// nothing that has to be asked for.
func mounted(t *testing.T, all bool) *server.Routes {
	t.Helper()
	config := server.Config{Issuer: "https://id.example", Store: memory.New(memory.Options{}), Logger: slog.New(slog.DiscardHandler)}
	if all {
		config.Exchange.Enabled = true
		config.ClientCertificates = new(server.ClientCertificates)
		trusted := verifytest.New("https://idp.example", "x").Trust()
		who, err := policy.CompileValue("claims.sub")
		if err != nil {
			t.Fatal(err)
		}
		config.Subjects = []*subject.Source{{Issuer: &trusted, Policies: []subject.Policy{{Name: "x", Grants: []string{grant.JWTBearerType}, Subject: who}}}}
		config.Clients = []tokenep.Client{{ID: "mac", AuthMethod: tokenep.AuthSecretJWT, Secrets: []tokenep.Secret{{Key: make([]byte, 32)}}}}
		config.Users, config.PasswordGrant, config.DeviceCode.Offered = new(tokenep.UserSource), true, true
		config.User = func(*http.Request) (tokenep.User, error) { return tokenep.User{}, nil }
	}
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	routes, err := s.Mount(server.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// offers reports whether the token endpoint has a grant. It says so before it authenticates the
// client.
func offers(t *testing.T, routes *server.Routes, grantType string) bool {
	t.Helper()
	form := url.Values{"grant_type": {grantType}}
	request := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	routes.Find("/oauth/token").ServeHTTP(answer, request)
	var refused struct{ Error string }
	if err := json.Unmarshal(answer.Body.Bytes(), &refused); err != nil || refused.Error == "" {
		t.Fatalf("%s: %s %v", grantType, answer.Body, err)
	}
	return refused.Error != "unsupported_grant_type"
}

// implementations counts the source files of a folder, without the others.
func implementations(t *testing.T, folder string, others ...string) (n int) {
	t.Helper()
	for _, s := range sources(t) {
		if name := strings.TrimPrefix(s.path, folder+"/"); s.under(folder) && !s.isTest() && name != "doc.go" && !slices.Contains(others, name) {
			n++
		}
	}
	return n
}
