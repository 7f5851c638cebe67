package endpoint_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 8414 §3, OpenID Connect Discovery 1.0 §4: the places of the document, and what is in it.
func TestDiscovery(t *testing.T) {
	f := tokeneptest.New(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		a := f.Send(t, get(path))
		if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, a.Status, a.Header)
		}
		for name, want := range map[string]any{
			"issuer": issuer, "token_endpoint": issuer + tokenPath, "jwks_uri": issuer + "/oauth/jwks", "revocation_endpoint": issuer + revokePath,
			"grant_types_supported": []string{cc, exchange}, "response_types_supported": []string{},
			"token_endpoint_auth_methods_supported":      []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
			"revocation_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
			"id_token_signing_alg_values_supported":      []string{"ES256"},
			"scopes_supported":                           []string{"orders:read", "orders:write", "invoices", "reports"},
		} {
			if got := a.JSON[name]; !tokeneptest.EqualJSON(got, want) {
				t.Errorf("%s: %s is %v, want %v", path, name, got, want)
			}
		}
		for name, value := range a.JSON {
			if value == nil {
				t.Errorf("%s: %s is null", path, name)
			}
		}
		head := get(path)
		head.Method = http.MethodHead
		if h := f.Send(t, head); h.Status != http.StatusOK || len(h.Body) != 0 || h.Header.Get("Content-Length") != a.Header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v", path, h.Status, h.Header)
		}
		r := post().At(path)
		b := f.Send(t, r)
		b.Refused(t, 405, tokenep.InvalidRequest)
		if b.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: Allow: %s", path, b.Header.Get("Allow"))
		}
	}
}

func TestDocumentWithoutAJSONFormIsRefused(t *testing.T) {
	if e, err := endpoint.Metadata(map[string]any{"level": math.NaN()}); err == nil {
		t.Errorf("there is an endpoint %q", e.Name)
	}
}

// The URLs come from the configuration, never from the request; the path of an issuer is inserted
// as RFC 8414 §3.1 says.
func TestDiscoveryPaths(t *testing.T) {
	for _, row := range []struct {
		issuer string
		want   []string
	}{
		{"https://as.example", []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth/introspect", "/oauth/jwks", "/oauth/revoke", "/oauth/token", "/oauth/token/leaked"}},
		{"https://as.example/", []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth/introspect", "/oauth/jwks", "/oauth/revoke", "/oauth/token", "/oauth/token/leaked"}},
		{"http://localhost:8080/a/b", []string{"/.well-known/oauth-authorization-server/a/b", "/.well-known/openid-configuration/a/b",
			"/a/b/.well-known/openid-configuration", "/a/b/oauth/introspect", "/a/b/oauth/jwks", "/a/b/oauth/revoke", "/a/b/oauth/token", "/a/b/oauth/token/leaked"}},
	} {
		s, err := server.New(server.Config{Issuer: row.issuer, Store: memory.New(memory.Options{}), Clients: tokeneptest.Clients()})
		if err != nil {
			t.Fatal(err)
		}
		routes, err := s.Mount(server.Paths{})
		if err != nil {
			t.Fatal(err)
		}
		if got := routes.Paths(); !slices.Equal(got, row.want) {
			t.Errorf("%s: routes %q, want %q", row.issuer, got, row.want)
		}
		for _, path := range routes.Paths() {
			if !strings.Contains(path, "/.well-known/") {
				continue
			}
			w := record(routes.Find(path), path, map[string]string{"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"})
			var document map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || document["issuer"] != row.issuer {
				t.Errorf("%s: issuer is %v, %v", path, document["issuer"], err)
			}
			if endpoint := strings.TrimRight(row.issuer, "/") + "/oauth/token"; document["token_endpoint"] != endpoint {
				t.Errorf("%s: token_endpoint is %v, want %s", path, document["token_endpoint"], endpoint)
			}
		}
	}
	for _, bad := range []string{
		"", "as.example", "http://as.example", "ftp://as.example", "https://as.example?x", "https://as.example?", "https://as.example#", "https://as.example/#x",
		"https://me@as.example", "https://", "https://as.example/%zz", "http://127.0.0.1.example",
	} {
		if _, err := server.New(server.Config{Issuer: bad, Store: memory.New(memory.Options{})}); err == nil {
			t.Errorf("issuer %q is accepted", bad)
		}
	}
}

// record sends a GET without a connection, so that a test can set any Host.
func record(h http.Handler, path string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.Host = header["Host"]
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
