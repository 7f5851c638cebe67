package caddymodule_test

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// beside returns a configuration with oauth_verify as a provider beside http_basic, which knows
// bob by the password pw.
func beside(t *testing.T, c *running, options string) []byte {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("pw"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"admin":{"listen":%q},"apps":{
		"oauth_verify":{"policies":{"lax":{"optional":true,"headers":[{"header":"X-User-Id","claim":["sub"]}]}}},
		"http":{"servers":{"s":{"listen":[%q],"automatic_https":{"disable":true},"routes":[{"handle":[
			{"handler":"authentication","providers":{
				"http_basic":{"hash":{"algorithm":"bcrypt"},"accounts":[{"username":"bob","password":%q}]},
				"oauth_verify":{%s "issuers":[{"issuer":"https://idp.example","jwks_file":%q,"audience":["orders"]}]}
			}},
			{"handler":"test_whoami"}
		]}]}}}}}`, c.admin, strings.TrimPrefix(c.site, "http://"), hash, options, filepath.Join(c.dir, "jwks.json"))
}

// Caddy asks the providers of its handler authentication in any order. Whoever lets a request in,
// it goes on in the same way each time, and one that oauth_verify does not know is left as it is.
func TestAuthenticationBesideAnother(t *testing.T) {
	idp := verifytest.New("https://idp.example", "orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	if err := caddy.Load(beside(t, c, `"token_cookies":["session"],"token_headers":[{"header":"X-Token"}],`), true); err != nil {
		t.Fatal(err)
	}
	sent := http.Header{"X~token": {"a"}, "Connection": {"X-Token"}, "Cookie": {"a=b; session=junk"}, "X-Token": {"junk"}}
	for range 24 { // half of them meet http_basic first
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+"/?a=1", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(r.Header, sent)
		r.SetBasicAuth("bob", "pw")
		told := seen(t, c.send(r).want(t, "by name and password", http.StatusOK))
		headers := told["headers"].(map[string]any)
		if told["id"] != "bob" || headers["Authorization"] == nil || told["query"] != "a=1" {
			t.Fatalf("another provider's request: %v", told)
		}
		for name, want := range sent {
			if got := fmt.Sprint(headers[name]); got != fmt.Sprint(want) {
				t.Fatalf("%s is %s, want %s", name, got, want)
			}
		}
		told = seen(t, c.get(c.site, idp.Sign(nil)).want(t, "by token", http.StatusOK))
		if headers := told["headers"].(map[string]any); told["id"] != "alice" || headers["Authorization"] != nil {
			t.Fatalf("the request of a token: %v", told)
		}
		c.get(c.site, "").want(t, "nobody", http.StatusUnauthorized)
	}
}

// What changes each request, or its answer, is nothing for a provider: another one may be asked.
func TestAuthenticationOptions(t *testing.T) {
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(verifytest.New("https://idp.example", "orders").JWKS()))
	for options, want := range map[string]string{
		`"headers":[{"header":"X-User-Id","claim":["sub"]}],`:            "headers: ",
		`"strip":["X-Remote-User"],`:                                     "strip: ",
		`"authorization":{"value":"k","send":"header","field":"X-Key"},`: "authorization: ",
		`"authorization":{"basic":{"user":"a","password":"b"}},`:         "authorization: ",
		`"optional":true,`:                  "optional: ",
		`"cors_origins":["*"],`:             "cors_origins: ",
		`"allow_preflight":true,`:           "allow_preflight: ",
		`"insecure_query_token":true,`:      "insecure_query_token: ",
		`"close_streams":true,`:             "close_streams: ",
		`"error_body":"json",`:              "error_body: ",
		`"resource":"https://api.example",`: "resource: ",
		`"policy":"lax",`:                   "headers: ",
		`"authorization":{"keep":true},`:    "",
		`"authorization":{},"scope":["read"],"rules":["true"],"leeway":"1m","form_token":true,"insecure_any_path":true,`: "",
	} {
		err := c.validate(beside(t, c, options))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", options, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "directive oauth_verify")):
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
}
