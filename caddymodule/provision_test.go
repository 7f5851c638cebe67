package caddymodule_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// What cannot be checked when a Caddyfile is adapted is checked when the configuration is loaded.
// The error says where and what is wrong.
func TestProvisionErrors(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("WRONG", "http://ü")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "empty.json"), `{"keys":[]}`)
	const good = "oauth_server {\nissuer https://auth.example\nstore memory\n}\n"
	server := func(block string) string { return "oauth_server {\nstore memory\n" + block + "\n}\n" }
	client := func(block string) string {
		return server("issuer https://auth.example\nclient billing {\n" + block + "\n}")
	}
	guard := func(block string) string { return "%SITE% {\noauth_verify {\n" + block + "\n}\n}\n" }
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(verifytest.New("https://idp.example", "a").JWKS()))
	two := func(authorization string) string {
		return guard("audience a\nserver default\nissuer https://idp.example {\njwks_file %DIR%/jwks.json\n}\n" + authorization)
	}
	const person = "one issuer must be trusted"
	for _, row := range []struct{ name, global, sites, want string }{
		{"people of two issuers, by value", good, two("authorization value key-{http.auth.user.sub} {\nsend header X-Key\n}"), person},
		{"people of two issuers, by user", good, two("authorization basic {http.auth.user.email} {env.PATH}"), person},
		{"people of two issuers, by password", good, two("authorization basic {env.PATH} {http.auth.user.id}"), person},
		{"people of two issuers, by file", good, two("authorization file %DIR%/empty.json {\nsend header X-Key\n}"), person},
		{"people of two issuers, by program", good, two("authorization ask https://keys.example {\nsend header X-Key\n}"), person},
		{"issuer placeholder", server("issuer {env.NO_SUCH_VARIABLE}"), "", "{env.NO_SUCH_VARIABLE}"},
		{"initial access token unset", server("issuer https://auth.example\nregistration {\ninitial_access_token {env.NO_SUCH_VARIABLE}\ngrants client_credentials\n}"), "", "registration: "},
		{"initial access token too short", server("issuer https://auth.example\nregistration {\ninitial_access_token {env.WRONG}\ngrants client_credentials\n}"), "", "initial_access_token {env.WRONG}: an initial access token must be 22"},
		{"issuer over http", server("issuer {env.WRONG}"), "", `issuer {env.WRONG}: issuer "http://ü": the scheme must be https`},
		{"secret unset", client("secret {env.NO_SUCH_VARIABLE}"), "", `client "billing": secret:`},
		{"secret empty", client("secret {env.EMPTY}"), "", `client "billing": secret:`},
		{"secret file", client("secret {file.%DIR%/none}"), "", `none}: open `},
		{"one file for two", "oauth_server {\nissuer https://a.example\nstore bolt %DIR%/x\n}\noauth_server b {\nissuer https://b.example\nstore bolt %DIR%/./x\n}", "", "the same store"},
		{"no app for oauth_token", "", "%SITE% {\noauth_token\n}\n", "the global option oauth_server"},
		{"endpoint path", good, "%SITE% {\noauth_token {\npath jwks {env.WRONG}\n}\n}\n", "jwks {env.WRONG}: endpoint path"},
		{"path of another endpoint", good, "%SITE% {\noauth_token {\npath jwks /oauth/token\n}\n}\n", "share the path"},
		{"nobody to trust", "", guard("audience a"), "no issuer is trusted"},
		{"key file", "", guard("audience a\nissuer https://idp.example {\njwks_file %DIR%/none.json\n}"), "none.json"},
		{"no usable key", "", guard("audience a\nissuer https://idp.example {\njwks_file %DIR%/empty.json\n}"), "no usable key"},
		{"wrong realm", good, guard("audience a\nrealm {env.WRONG}"), "realm {env.WRONG}: the realm"},
		{"realm", good, guard("audience a\nrealm {env.EMPTY}"), "realm"},
	} {
		err := c.validate(c.config(row.global, row.sites))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %s", row.name, err, row.want)
		}
	}
	if err := c.validate(c.config(good, two("authorization basic orders {env.PATH}"))); err != nil {
		t.Errorf("one credential for all, of two issuers: %v", err)
	}
}

// The same, for what only JSON can say.
func TestProvisionErrorsOfJSON(t *testing.T) {
	c := newCaddy(t)
	app := func(text string) string { return `"oauth_server":{"servers":{` + text + `}}` }
	handler := func(text string) string {
		return `"http":{"servers":{"a":{"listen":["127.0.0.1:0"],"routes":[{"handle":[` + text + `]}]}}},` +
			app(`"default":{"issuer":"https://a.example","store":{"module":"memory"}}`)
	}
	server := func(more string) string {
		return app(`"default":{"issuer":"https://a.example","store":{"module":"memory"},` + more + `}`)
	}
	client := func(more string) string { return server(`"clients":[{"client_id":"billing",` + more + `}]`) }
	token := func(more string) string { return handler(`{"handler":"oauth_token",` + more + `}`) }
	guard := func(more string) string { return handler(`{"handler":"oauth_verify",` + more + `}`) }
	foreign := func(more string) string {
		return guard(`"issuers":[{"issuer":"https://idp.example","jwks_file":"a.json","audience":["a"],` + more + `}]`)
	}
	const hash = `"secrets":[{"hash":"$sha256$jZae727K08KaOmKSgOaGzww_XVqGr_PKEgIMkjrcbJI"}]`
	for _, row := range []struct{ name, apps, want string }{
		{"issuer missing", app(`"default":{}`), `server "default": issuer is missing`},
		{"issuer over http", app(`"default":{"issuer":"http://a.example"}`), `server "default": issuer "http://a.example": the scheme must be https`},
		{"algorithm", server(`"signing_alg":"HS256"`), "HS256"},
		{"life", server(`"access_token_ttl":"500ms"`), "a second at least"},
		{"audience", server(`"audience":["a"` + strings.Repeat(`,"a"`, 64) + `]`), "audience"},
		{"origin with a path", server(`"cors_origins":["https://app.example/"]`), "cors_origins"},
		{"API token prefix", server(`"token_exchange":{"api_tokens":{"prefix":"De_mo"}}`), "prefix"},
		{"API tokens of one user", server(`"token_exchange":{"api_tokens":{"max_per_user":501}}`), "between 1 and 500; it is 501"},
		{"API token type", server(`"token_exchange":{"api_tokens":{"token_types":["urn:ietf:params:oauth:token-type:jwt"]}}`), "must not be among them"},
		{"default scope", client(hash + `,"scope":"a","default_scope":"b"`), "default_scope"},
		{"scope", client(`"scope":"a\\b"`), `scope`},
		{"scope by placeholder", client(`"scope":"{env.SCOPE}"`), "{env.SCOPE} would not be resolved"},
		{"method without secret", client(`"token_endpoint_auth_method":"client_secret_basic"`), "needs a secret"},
		{"secret and none", client(hash + `,"token_endpoint_auth_method":"none"`), "auth_method none"},
		{"life of a client", client(hash + `,"access_token_ttl":"500ms"`), "a second at least"},
		{"grant without secret", client(`"token_endpoint_auth_method":"none","grant_types":["client_credentials"]`), "needs a secret"},
		{"grant without exchange", client(hash + `,"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]`), "has no token_exchange"},
		{"no such server", token(`"server":"other"`), `no oauth_server "other"`},
		{"server to trust", guard(`"server":"other","audience":["a"]`), `no oauth_server "other"`},
		{"endpoint path", token(`"paths":{"jwks":["keys"]}`), "must begin with a slash"},
		{"shared path", token(`"paths":{"jwks":["/a"],"revocation":["/a"]}`), "share the path"},
		{"no audience", guard(`"realm":"a"`), "an audience is required"},
		{"no audience of an issuer", guard(`"issuers":[{"issuer":"https://idp.example","jwks_file":"a.json"}]`), "issuer https://idp.example: an audience is required"},
		{"no key file", guard(`"audience":["a"],"issuers":[{"issuer":"https://idp.example"}]`), "jwks_file, jwks_uri, discovery or jwks is missing"},
		{"reserved header", guard(`"audience":["a"],"headers":[{"header":"Host","claim":["sub"]}]`), "Host"},
		{"header twice", guard(`"audience":["a"],"headers":[{"header":"X-A","claim":["sub"]},{"header":"x_a","claim":["sub"]}]`), "set twice"},
		{"scope token", guard(`"audience":["a"],"scope":["a\\b"]`), "scope-token"},
		{"scope of a guard by placeholder", guard(`"audience":["a"],"any_scope":["{env.SCOPE}"]`), "{env.SCOPE} would not be resolved"},
		{"header by placeholder", guard(`"audience":["a"],"headers":[{"header":"X-User-Id","claim":["{env.CLAIM}"]}]`), "{env.CLAIM} would not be resolved"},
		{"strip with a comma", guard(`"audience":["a"],"strip":["X-A,X-B"]`), "write strip X-A X-B"},
		{"audience with a space", guard(`"audience":["a b"]`), "no white space; write audience a b"},
		{"refused claims with a comma", foreign(`"refuse_claims":["events,at_hash"]`), "write refuse_claims events at_hash"},
		{"refused claims by placeholder", foreign(`"refuse_claims":["{env.CLAIM}"]`), "{env.CLAIM} would not be resolved"},
		{"required claims with a comma", foreign(`"require_claims":["a=b,c=d,e"]`), "write require_claims a=b c=d e"},
		{"required claims by placeholder", foreign(`"require_claims":["azp={file./run/azp}"]`), "would not be resolved"},
		{"types with a comma", foreign(`"types":["at+jwt,jwt"]`), "write types at+jwt jwt"},
		{"literal initial access token", server(`"registration":{"initial_access_tokens":["an-initial-access-token-1"],"grant_types":["client_credentials"]}`), "must be hashes or placeholders"},
		{"registration for nobody", server(`"registration":{"grant_types":["client_credentials"]}`), "registration: it must be either open"},
		{"redirect URIs with a placeholder", server(`"registration":{"open":true,"redirect_uris":["{env.X}"]}`), "would not be resolved"},
		{"clients with a comma", client(hash + `,"exchange_from":["a,b"]`), "write exchange_from a b"},
		{"origins with a comma", server(`"cors_origins":["https://a.example,b.example"]`), "write cors_origins https://a.example b.example"},
		{"API token types with a comma", server(`"token_exchange":{"api_tokens":{"token_types":["urn:x:a,urn:x:b"]}}`), "write token_type urn:x:a urn:x:b"},
		{"paths with a comma", token(`"paths":{"jwks":["/a,/b"]}`), "write path jwks /a /b"},
		{"ignored parameters with a comma", token(`"token_endpoints":[{"path":"/t","ignore":["a,b"]}]`), "write ignore a b"},
		{"leeway", guard(`"audience":["a"],"leeway":"1h"`), "leeway"},
		{"small tokens", guard(`"audience":["a"],"max_token_size":100`), "100 bytes"},
		{"literal secret", app(`"default":{"issuer":"https://a.example","clients":[{"client_id":"billing","secrets":[{"hash":"` + marker + `"}]}]}`),
			`client "billing": secrets in JSON must be hashes or placeholders`},
		{"unknown grant", app(`"default":{"issuer":"https://a.example","clients":[{"client_id":"billing","secrets":[{"hash":"$sha256$jZae727K08KaOmKSgOaGzww_XVqGr_PKEgIMkjrcbJI"}],"grant_types":["implicit"]}]}`), `unknown grant "implicit"`},
		{"no client", app(`"default":{"issuer":"https://a.example","clients":[null]}`), "a client must not be null"},
		{"no server", app(`"default":null`), "must not be null"},
		{"name", app(`"../etc":{"issuer":"https://a.example"}`), "a name must have 1 to 64"},
		{"memory", app(`"default":{"issuer":"https://a.example","store":{"module":"memory","max_records":-1}}`), "max_records"},
		{"member", app(`"default":{"issuer":"https://a.example","isuer":""}`), "isuer"},
		{"subject token error", handler(`{"handler":"oauth_token","token_endpoints":[{"path":"/t","subject_token_error":"x"}]}`), "subject_token_error"},
		{"endpoint without path", handler(`{"handler":"oauth_token","token_endpoints":[{}]}`), "token_endpoint is missing"},
		{"no issuer", handler(`{"handler":"oauth_verify","audience":["a"],"issuers":[null]}`), "an issuer must not be null"},
		{"token size", handler(`{"handler":"oauth_verify","audience":["a"],"max_token_size":-1}`), "token size"},
	} {
		err := c.validate([]byte(`{"storage":{"module":"file_system","root":"` + c.dir + `"},"apps":{` + row.apps + `}}`))
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %v; want %s", row.name, err, row.want)
		}
	}
	// None of them keeps a store in use: the memory of a server is gone as soon as the server is.
	c.mustLoad(runServer("memory", ""), site(""))
	keys := c.get(c.site+"/oauth/jwks", "").want(t, "keys", http.StatusOK).body
	c.mustLoad("", "")
	c.mustLoad(runServer("memory", ""), site(""))
	if again := c.get(c.site+"/oauth/jwks", "").want(t, "keys", http.StatusOK).body; again == keys {
		t.Error("a configuration that was refused keeps the store memory in use")
	}
	// And the file can be opened by others.
	c.mustLoad(runServer("bolt", ""), site(""))
	c.mustLoad("", "")
	file, err := bolt.Open(filepath.Join(caddy.AppDataDir(), "oauth_server", "default.db"), bolt.Options{})
	if err != nil {
		t.Fatalf("a configuration that was refused keeps the store bolt in use: %v", err)
	}
	_ = file.Close()
}

// While the server has not started, both handlers answer 503 with Retry-After, so that no client
// discards its credentials. They do not wait for the body.
func TestNotStarted(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{WriterRaw: []byte(`{"output":"discard"}`)}},
		}},
		AppsRaw: caddy.ModuleMap{"oauth_server": []byte(`{"servers":{"default":{
			"issuer":"https://auth.example","store":{"module":"bolt","path":"` + folder + `/store.db"}}}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, folder, "in its place")
	app, err := ctx.App("oauth_server")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.(caddy.CleanerUpper).Cleanup() }()
	if err := app.(caddy.App).Start(); err == nil {
		t.Fatal("the server started without its store")
	}
	passed := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return errors.New("it passed") })
	for id, config := range map[string]string{"oauth_token": "{}", "oauth_verify": `{"audience":["orders"]}`} {
		module, err := ctx.LoadModuleByID("http.handlers."+id, []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		status := http.StatusOK
		request := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader("a=b"))
		if err := module.(caddyhttp.MiddlewareHandler).ServeHTTP(w, request, passed); err == nil {
			status = w.Code
		} else if refusal, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
			status = refusal.StatusCode
		}
		if h := w.Header(); status != http.StatusServiceUnavailable || h.Get("Retry-After") != "5" || h.Get("Connection") != "close" {
			t.Errorf("%s: %d %v", id, status, h)
		}
	}
}

// A reload resets no counter, and no label is a user, a client or a token.
func TestMetrics(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("memory", ""), site(""))
	c.token(marker)
	c.mustLoad(runServer("memory", "access_token_ttl 5m"), site(""))
	c.get(c.site+"/orders", c.token(marker)).want(t, "good", http.StatusOK)
	c.get(c.site+"/orders", "junk").want(t, "bad", http.StatusUnauthorized)
	c.get(c.site+"/orders", "").want(t, "none", http.StatusUnauthorized)
	c.post("/oauth/token", marker, "grant_type", "strange-grant").want(t, "unknown grant", http.StatusBadRequest)
	text := c.get("http://"+c.admin+"/metrics", "").want(t, "metrics", http.StatusOK).body
	for _, want := range []string{
		`caddy_oauth_token_requests_total{error="",grant="client_credentials",server="default"} `,
		`caddy_oauth_token_requests_total{error="unsupported_grant_type",grant="",server="default"} `,
		`caddy_oauth_token_duration_seconds_count{grant="client_credentials",server="default"} `,
		`caddy_oauth_verify_requests_total{result="ok",server="default"} `,
		`caddy_oauth_verify_requests_total{result="no_token",server="default"} `,
		`caddy_oauth_verify_requests_total{result="invalid_token",server="default"} `,
		`caddy_oauth_verify_duration_seconds_count{server="default"} `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	// What is in the registry is what the source declares, and so what the manual says.
	declared := declaredMetrics(t)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "caddy_oauth_") {
			if _, err := metricsOf(bucketLabel.ReplaceAllString(line, ""), declared); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if strings.Contains(text, "billing") || strings.Contains(text, "strange") {
		t.Errorf("a label shows what a request said")
	}
}
