package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

// The path of every endpoint can be changed. The token endpoint can have several paths with options
// of their own. A request for any other path passes through.
func TestEndpointsElsewhere(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("memory", "cors_origins https://app.example.com"), `
%SITE% {
	rewrite /old/token /token
	oauth_token {
		token_endpoint /token
		token_endpoint /v1/tokens /v2/tokens {
			json
			ignore scope
		}
		path jwks /keys
		path revocation /revoke
		path introspection /introspect
		path metadata /about
	}
	respond "passed through"
}
`)
	const form, object = "application/x-www-form-urlencoded", "application/json"
	credentials := `"client_id":"billing","client_secret":"` + marker + `"`
	for _, row := range []struct {
		name, path, contentType, body string
		status                        int
	}{
		{"form", "/token", form, "grant_type=client_credentials", http.StatusOK},
		{"after a rewrite", "/old/token", form, "grant_type=client_credentials", http.StatusOK},
		{"a parameter to ignore", "/v1/tokens", form, "grant_type=client_credentials&scope=everything", http.StatusOK},
		{"a parameter not to ignore", "/token", form, "grant_type=client_credentials&scope=everything", http.StatusBadRequest},
		{"JSON", "/v2/tokens", object, `{"grant_type":"client_credentials",` + credentials + `}`, http.StatusOK},
		{"JSON where it is off", "/token", object, `{"grant_type":"client_credentials",` + credentials + `}`, http.StatusBadRequest},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+row.path, strings.NewReader(row.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", row.contentType)
		r.Header.Set("Origin", "https://app.example.com")
		if row.contentType == form {
			r.SetBasicAuth("billing", marker)
		}
		a := c.send(r).want(t, row.name, row.status)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "https://app.example.com" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", row.name, got)
		}
	}
	metadata := c.get(c.site+"/about", "").want(t, "metadata", http.StatusOK).body
	for member, path := range map[string]string{"token_endpoint": "/token", "jwks_uri": "/keys", "revocation_endpoint": "/revoke"} {
		if want := `"` + member + `":"` + c.site + path + `"`; !strings.Contains(metadata, want) {
			t.Errorf("the metadata lack %s: %s", want, metadata)
		}
	}
	if keys := c.get(c.site+"/keys", "").want(t, "keys", http.StatusOK).body; !strings.HasPrefix(keys, `{"keys":[`) {
		t.Errorf("keys: %s", keys)
	}
	for _, path := range []string{"/oauth/token", "/oauth/jwks", "/oauth/revoke", "/token/", "/Token", "/.well-known/openid-configuration"} {
		if a := c.get(c.site+path, ""); a.body != "passed through" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// Two servers in one process do not trust each other.
func TestTwoServers(t *testing.T) {
	c := newCaddy(t)
	second := strings.NewReplacer("oauth_server {", "oauth_server partners {", "issuer %SITE%", "issuer %SITE%/partners").Replace(runServer("memory", ""))
	c.mustLoad(runServer("memory", "")+"\n"+second, `
%SITE% {
	oauth_token
	oauth_token {
		server partners
	}
	oauth_verify /partners/* {
		server partners
		audience orders
	}
	oauth_verify /orders {
		audience orders
	}
	test_whoami
}
`)
	own := c.token(marker)
	c.get(c.site+"/orders", own).want(t, "own token", http.StatusOK)
	c.get(c.site+"/partners/orders", own).want(t, "the other's token", http.StatusUnauthorized)
	c.post("/partners/oauth/token", marker, "grant_type", "client_credentials").want(t, "the other's endpoint", http.StatusOK)
	c.get(c.site+"/.well-known/oauth-authorization-server/partners", "").want(t, "the other's metadata (RFC 8414 §3.1)", http.StatusOK)
}
