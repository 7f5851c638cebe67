package server_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 8414 §3, OpenID Connect Discovery 1.0 §4: where the document is, and that issuer is what was asked for.
func TestDiscovery(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		a := f.do(t, get(path))
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		for name, want := range map[string]any{
			"issuer": issuer, "token_endpoint": issuer + tokenPath, "jwks_uri": issuer + "/oauth/jwks", "revocation_endpoint": issuer + revokePath,
			"grant_types_supported": []string{cc, exchange}, "response_types_supported": []string{},
			"token_endpoint_auth_methods_supported":      []string{"client_secret_basic", "client_secret_post", "none"},
			"revocation_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "none"},
			"id_token_signing_alg_values_supported":      []string{"ES256"},
			"scopes_supported":                           []string{"orders:read", "orders:write", "invoices", "reports"},
		} {
			if got := a.json[name]; !equal(got, want) {
				t.Errorf("%s: %s is %v, want %v", path, name, got, want)
			}
		}
		for name, value := range a.json {
			if value == nil {
				t.Errorf("%s: %s is null", path, name)
			}
		}
		head := get(path)
		head.method = http.MethodHead
		if h := f.do(t, head); h.status != http.StatusOK || len(h.body) != 0 || h.header.Get("Content-Length") != a.header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v", path, h.status, h.header)
		}
		r := post().at(path)
		b := f.do(t, r)
		refused(t, b, 405, tokenep.InvalidRequest)
		if b.header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: Allow: %s", path, b.header.Get("Allow"))
		}
	}
}

// The URLs come from the configuration, never from the request; the path of an issuer is put where RFC 8414 §3.1 wants it.
func TestDiscoveryPaths(t *testing.T) {
	for _, row := range []struct {
		issuer string
		want   []string
	}{
		{"https://as.example", []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth/jwks", "/oauth/revoke", "/oauth/token"}},
		{"https://as.example/", []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth/jwks", "/oauth/revoke", "/oauth/token"}},
		{"http://localhost:8080/a/b", []string{"/.well-known/oauth-authorization-server/a/b", "/.well-known/openid-configuration/a/b",
			"/a/b/.well-known/openid-configuration", "/a/b/oauth/jwks", "/a/b/oauth/revoke", "/a/b/oauth/token"}},
	} {
		s, err := server.New(server.Config{Issuer: row.issuer, Store: memory.New(memory.Options{}), Clients: clients})
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

// RFC 7517 §5, §9.2: public members only; kid is the RFC 7638 thumbprint, so that no two keys share one.
func TestJWKS(t *testing.T) {
	f := newFixture(t)
	a := f.do(t, get("/oauth/jwks"))
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Access-Control-Allow-Origin") != "*" ||
		a.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %v", a.status, a.header)
	}
	set, err := jwk.Parse(a.body)
	if err != nil || set.Len() != 2 {
		t.Fatalf("%v keys, %v; want one that signs and one that will", set, err)
	}
	for i := range set.Len() {
		key, _ := set.Key(i)
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil || key.KeyID() != base64.RawURLEncoding.EncodeToString(sum) {
			t.Errorf("kid %s is not the thumbprint, %v", key.KeyID(), err)
		}
		if key.Algorithm().String() != "ES256" || key.KeyUsage() != "sig" {
			t.Errorf("alg %s, use %s", key.Algorithm(), key.KeyUsage())
		}
	}
	for _, keys := range a.json["keys"].([]any) {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if _, there := keys.(map[string]any)[private]; there {
				t.Errorf("the key set has the private member %s", private)
			}
		}
	}
	if _, token := f.granted(t, plain.by("billing")); !strings.Contains(string(a.body), token.Header.KeyID) {
		t.Error("the key of a token is not published")
	}

	// RFC 9110 §13.1.2: a verifier that has the set is told so, also through a proxy that weakened the tag.
	etag := a.header.Get("ETag")
	for match, want := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
		b := f.do(t, get("/oauth/jwks").with("If-None-Match", match))
		if b.status != want || want == 304 && (len(b.body) != 0 || b.header.Get("ETag") != etag || b.header.Get("Cache-Control") == "") {
			t.Errorf("If-None-Match %s: %d %v", match, b.status, b.header)
		}
	}
	// A key that is turned away by hand stays, for its tokens; the new ones are there too, under another tag.
	b, token := f.granted(t, plain.by("billing"))
	if err := f.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	after := f.do(t, get("/oauth/jwks").with("If-None-Match", etag))
	if after.status != http.StatusOK || !strings.Contains(string(after.body), token.Header.KeyID) || len(after.json["keys"].([]any)) != 3 {
		t.Errorf("after a rotation: %d %s", after.status, after.body)
	}
	if _, err := f.verify(t, b.json["access_token"].(string)); err != nil {
		t.Errorf("a token from before the rotation: %v", err)
	}
	if _, next := f.granted(t, plain.by("billing")); next.Header.KeyID == token.Header.KeyID {
		t.Error("the retired key still signs")
	}
}

// A retired key stays published for as long as a verifier may take the last token that it signed.
func TestJWKSOutlivesTokens(t *testing.T) {
	f := newFixture(t)
	trusted := f.Trusted()
	trusted.InsecureAnyAudience = true
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Leeway: verify.MaxLeeway, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	last, _ := f.granted(t, plain.by("billing"))
	if err := f.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(4*time.Hour + verify.MaxLeeway - time.Second)
	if err := f.Keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: last.json["access_token"].(string)}); err != nil {
		t.Error(err)
	}
}

// CORS: an origin that is listed may read answers and errors, and nobody else's browser does.
func TestOrigins(t *testing.T) {
	const page = "https://app.example"
	for _, row := range []struct {
		name    string
		allowed tokenep.CORS
		origin  string
		want    string
		vary    bool
	}{
		{"none is allowed", nil, page, "", false},
		{"all are", tokenep.CORS{"*"}, page, "*", false},
		{"this one is", tokenep.CORS{"https://x.example", page}, page, page, true},
		{"another is", tokenep.CORS{"https://x.example"}, page, "", true},
		{"one is, and the request has none", tokenep.CORS{page}, "", "", true},
		{"in other letters", tokenep.CORS{page}, "https://APP.example", "", true},
		{"null", tokenep.CORS{page}, "null", "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, func(c *server.Config) { c.Origins = row.allowed })
			preflight := request{method: http.MethodOptions, path: tokenPath, header: http.Header{}}.with("Access-Control-Request-Method", "POST")
			for _, r := range []request{post("grant_type", cc).by("billing"), post("grant_type", cc).basic("billing", "x"), get(tokenPath), preflight,
				post("token", "x").at(revokePath)} {
				if row.origin != "" {
					r = r.with("Origin", row.origin)
				}
				a := f.do(t, r)
				if got := a.header.Get("Access-Control-Allow-Origin"); got != row.want {
					t.Errorf("%s %s: Access-Control-Allow-Origin %q, want %q", r.method, r.path, got, row.want)
				}
				if got := a.header.Get("Vary") == "Origin"; got != row.vary {
					t.Errorf("%s %s: Vary %q", r.method, r.path, a.header.Get("Vary"))
				}
				exposed := a.header.Get("Access-Control-Expose-Headers")
				if (exposed != "") != (row.want != "") || row.want != "" && !strings.Contains(exposed, "Retry-After") {
					t.Errorf("%s %s: Access-Control-Expose-Headers %q", r.method, r.path, exposed)
				}
				if a.header.Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials of a browser mean nothing here")
				}
				methods, headers := a.header.Get("Access-Control-Allow-Methods"), a.header.Get("Access-Control-Allow-Headers")
				if r.method == http.MethodOptions && row.want != "" && (methods != "POST, OPTIONS" || !strings.Contains(headers, "Authorization")) {
					t.Errorf("preflight: methods %q, headers %q", methods, headers)
				}
			}
		})
	}
}

// record answers a GET without a connection, so that a test can lie about Host.
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
