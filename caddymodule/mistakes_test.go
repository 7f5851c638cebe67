package caddymodule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Mistakes that people make in a configuration. Each is refused, or warned about, by words that
// match want, in which LINE is file and line of the word HERE. What is refused ends with what would
// be right.
func TestMistakes(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("SHORT", "short")
	t.Setenv("ISSUER", "http://localhost:8080")
	c := newCaddy(t)
	c.mustLoad("", "") // from here on what is logged is in the file
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			text := c.vars.Replace(strings.Replace(runGlobal, "%GLOBAL%", m.global, 1) + m.site)
			at := "Caddyfile:" + strconv.Itoa(1+strings.Count(text[:max(0, strings.Index(text, "HERE"))], "\n"))
			said := c.said(t, strings.Replace(text, "HERE", "", 1))
			want := strings.Replace(m.want, "LINE", regexp.QuoteMeta(at)+`(\D|$)`, 1)
			if strings.Contains(m.want, "LINE") != strings.Contains(text, "HERE") {
				t.Fatal("LINE and HERE belong together")
			}
			if !regexp.MustCompile("(?m)" + want).MatchString(said) {
				t.Errorf("want %s\nit says %s", want, said)
			}
		})
	}
}

// said is what "caddy validate" prints of a Caddyfile that matters: an error, or warnings.
func (c *running) said(t *testing.T, text string) string {
	log := filepath.Join(c.dir, "log")
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	adapted, err := adapt([]byte(text))
	if err == nil {
		var parsed caddy.Config
		if err := json.Unmarshal(adapted, &parsed); err != nil {
			t.Fatal(err)
		}
		err = caddy.Validate(&parsed)
	}
	said := ""
	if err != nil {
		said = "refused: " + err.Error() + "\n"
	}
	for line := range strings.Lines(readFile(t, log)) {
		if strings.Contains(line, `"level":"warn"`) {
			said += strings.ReplaceAll(line, `\"`, `"`)
		}
	}
	return said
}

type mistake struct{ name, global, site, want string }

const (
	ofBilling = "secret $sha256$jZae727K08KaOmKSgOaGzww_XVqGr_PKEgIMkjrcbJI\ngrants client_credentials\nscope orders:read\naudience https://api.example/orders\n"
	billing   = "client billing {\n" + ofBilling + "}\n"
)

func withServer(lines string) string {
	return "oauth_server {\nissuer http://localhost:8080\nstore memory\n" + lines + "\n}\n"
}

func withClient(lines string) string { return withServer("client billing {\n" + lines + "\n}") }

// but is a client with one line changed.
func but(line, changed string) string {
	return withClient(strings.Replace(ofBilling, line+"\n", changed+"\n", 1))
}

// and is a client with one line more.
func and(line string) string { return withClient(ofBilling + line) }

// secret is a client with another secret.
func secret(is string) string { return but(strings.Split(ofBilling, "\n")[0], "secret "+is) }

// route is a site with a route that has these lines beside its audience.
func route(lines string) string { return guarded("audience https://api.example/orders\n" + lines) }

func guarded(lines string) string {
	return "%SITE% {\noauth_token\nhandle /orders {\noauth_verify {\n" + lines + "\n}\nrespond hi\n}\n}\n"
}

// foreign is a route that trusts an issuer elsewhere.
func foreign(lines string) string { return route("issuer https://idp.example {\n" + lines + "\n}") }

// jobs is a policy for tokens of others.
const jobs = "policy jobs {\nclients none\nsubject claims.sub\naudience https://api.example/orders\n}\n"

const grantCode = "grants authorization_code\nredirect_uris https://app.example/cb"

var mistakes = []mistake{
	// The server.
	{"no issuer", "oauth_server { HERE\nstore memory\n}", route(""), `issuer is missing: the URL .*such as https://auth.example.com, at LINE`},
	{"issuer with a query", "oauth_server {\nissuer http://localhost:8080/?x=1 HERE\n}", route(""), `without query and fragment .*such as https://auth.example.com, at LINE`},
	{"issuer over http", "oauth_server {\nissuer http://api.example.com HERE\n}", route(""), `the scheme must be https; http is for loopback hosts only, at LINE`},
	{"issuer empty", "oauth_server {\nissuer {$NOT_SET} HERE\n}", route(""), `issuer takes one argument, and there is none: is an empty \{\$VARIABLE\} there\?, at LINE`},
	{"two servers with one issuer", withServer(billing) + "oauth_server two {\nissuer http://localhost:8080 HERE\nstore memory\n}", route(""), `two servers have the same issuer: .*give each a URL of its own.*"server":"two","other":"default","issuer":"http://localhost:8080","at":"LINE`},
	{"two servers with one issuer, by variable", withServer(billing) + "oauth_server two {\nissuer {env.ISSUER} HERE\nstore memory\n}", route(""), `two servers have the same issuer: .*give each a URL of its own.*"server":"two","other":"default","issuer":"http://localhost:8080","at":"LINE`},
	{"option misspelt", withServer(billing + "acces_token_ttl 5m HERE"), route(""), `did you mean access_token_ttl\?, at LINE`},
	{"duration in words", withServer(billing + "access_token_ttl five HERE"), route(""), `must be a duration such as 30s, 4h or 730d, not "five", at LINE`},
	{"negative duration", withServer(billing + "access_token_ttl -5m HERE"), route(""), `must be a duration such as .* not "-5m", at LINE`},
	{"algorithm with a secret", withServer(billing + "signing_alg HS256 HERE"), route(""), `signing_alg must be one of ES256, .*, at LINE`},
	{"signing key missing", withServer(billing + "signing_key /nonexistent.pem HERE"), route(""), `server "default": signing key: open /nonexistent.pem: no such file or directory, at LINE$`},
	{"encryption key in clear", withServer(billing + "encryption_key abc HERE"), route(""), `encryption_key must be one placeholder, \{env.…\} or \{file.…\}.*, at LINE`},
	{"encryption key of an empty variable", withServer(billing + "encryption_key {env.EMPTY} HERE"), route(""), `server "default": encryption_key: .*\{env.EMPTY\} is empty, at LINE$`},
	{"encryption key that is short", withServer(billing + "encryption_key {env.SHORT} HERE"), route(""), `\{env.SHORT\} must be 32 random bytes .*openssl rand -base64 32, at LINE$`},
	{"no failure allowed", withServer(billing + "rate_limit 0 1s HERE"), route(""), `the number of failures must not be 0, at LINE`},
	{"origin with a path", withServer(billing + "cors_origins https://app.example.com/x HERE"), route(""), `must be \* or an origin such as https://app.example.com.*, at LINE`},
	{"option of another block", withServer(billing + "token_exchange {\nservice x HERE\n}"), route(""), `there are anonymous, api_tokens, max_chain, at LINE`},
	{"templates missing", withServer(billing + "pages {\nfolder /nonexistent HERE\n}"), route(""), `server "default": pages: .*/nonexistent.*no such file or directory, at LINE`},
	{"proxies that are believed", "servers {\ntrusted_proxies static private_ranges\n}\n" + withServer(billing), "%SITE% {\noauth_token HERE\n}\n", `add trusted_proxies_strict to servers in the global options.*"at":"LINE`},

	// Its store.
	{"store of nobody", "oauth_server {\nissuer http://localhost:8080\nstore mysql x HERE\n}", route(""), `there are bolt, .*memory, .*redis.*, at LINE`},
	{"store in no folder", "oauth_server {\nissuer http://localhost:8080\nstore bolt /dev/null/oauth/oauth.db HERE\n}", route(""), `server "default": bolt: opening /dev/null/oauth/oauth.db: .*not a directory, at LINE`},
	{"store in the home of a shell", "oauth_server {\nissuer http://localhost:8080\nstore bolt ~/oauth.db HERE\n}", route(""), `path of the store ~/oauth.db: .*write \{env.HOME\}, or a path that begins with /, at LINE`},
	{"address that is no URL of Redis", "oauth_server {\nissuer http://localhost:8080\nstore redis localhost:6379 HERE\n}", route(""), `expected redis://user:password@host:port/database.*, at LINE`},
	{"address by variable", "oauth_server {\nissuer http://localhost:8080\nstore redis {env.SHORT} HERE\n}", route(""), `server "default": redis: malformed URL: expected redis://.*, at LINE`},
	{"address that is none of PostgreSQL", "oauth_server {\nissuer http://localhost:8080\nstore postgres localhost:5432 HERE\n}", route(""), `expected postgres://user:password@host:port/database.*, at LINE`},

	{"one store for two", "oauth_server {\nissuer http://localhost:8080\nstore bolt %DIR%/a.db\n" + billing + "}\noauth_server two {\nissuer http://localhost:8080/two\nstore bolt %DIR%/a.db HERE\n}", route("server default"), `servers "default" and "two" have the same store; each needs its own, at LINE$`},

	// Its clients.
	{"secret empty", secret("{$NOT_SET} HERE"), route(""), `secret takes one value.*is an empty \{\$VARIABLE\} there\?, at LINE`},
	{"secret empty, in quotes", secret(`"{$NOT_SET}" HERE`), route(""), `the secret must not be empty: is an empty \{\$VARIABLE\} there\?, at LINE`},
	{"secret of an empty variable", secret("{env.EMPTY} HERE"), route(""), `server "default": client "billing": secret: .*\{?env.EMPTY\}?.* has to be set when the configuration is loaded, at LINE`},
	{"short secret", secret("short HERE"), route(""), `"client "billing": a secret of fewer than 16 characters can be guessed; make one with openssl rand -base64 32, at LINE`},
	{"short secret by variable", secret("{env.SHORT} HERE"), route(""), `a secret of fewer than 16 characters.*"server":"default","client":"billing","secret":"\{env.SHORT\}","at":"LINE`},
	{"secret as shells write it", secret("${BILLING_SECRET} HERE"), route(""), `client "billing": the secret is the name of a variable, and not its value: write \{\$NAME\}, .*, at LINE`},
	{"secret as Windows writes it", secret("%BILLING_SECRET% HERE"), route(""), `the secret is the name of a variable.*, at LINE`},
	{"secret of a placeholder that is none", secret("{environment.BILLING_SECRET} HERE"), route(""), `the secret is the name of a variable.*, at LINE`},
	{"id by variable", withServer("client {env.SHORT} { HERE\n" + ofBilling + "}"), route(""), `client: \{env.SHORT\} would not be resolved; .*, at LINE`},
	{"name by variable", and("name {env.SHORT} HERE"), route(""), `name: \{env.SHORT\} would not be resolved; .*, at LINE`},
	{"redirect without codes", and("redirect_uris https://app.example/cb HERE"), route(""), `redirect_uris does nothing without the grant authorization_code: give .*"client":"billing","option":"redirect_uris","at":"LINE`},
	{"exchange without the grant", and("exchange_to https://next.example HERE"), route(""), `exchange_to does nothing without the grant token_exchange.*"at":"LINE`},
	{"offline access without refreshing", and("require_offline_access HERE"), route(""), `require_offline_access does nothing without the grant refresh_token.*"at":"LINE`},
	{"no secret", but(strings.Split(ofBilling, "\n")[0], ""), route(""), `give it one, or write auth_method none if it is public, at `},
	{"secret of a public client", but("grants client_credentials", "grants client_credentials\nauth_method none"), route(""), `auth_method none and a secret.* exclude one another, at Caddyfile:`},
	{"no grants", withServer("client billing { HERE\n" + strings.Replace(ofBilling, "grants client_credentials\n", "", 1) + "}"), route(""), `give it grants other than refresh_token, or introspect.*"server":"default","client":"billing","at":"LINE`},
	{"nothing to refresh", withServer("client billing { HERE\n" + strings.Replace(ofBilling, "client_credentials", "refresh_token", 1) + "}"), route(""), `give it grants other than refresh_token, or introspect.*"client":"billing","at":"LINE`},
	{"option of a client misspelt", but("grants client_credentials", "grant client_credentials HERE"), route(""), `did you mean grants\?, at LINE`},
	{"unknown grant", but("grants client_credentials", "grants client_credential HERE"), route(""), `expected client_credentials, .*, at LINE`},
	{"client twice", withServer(billing + "client billing { HERE\n" + ofBilling + "}"), route(""), `client billing is given twice, at LINE`},
	{"life of a century", and("access_token_ttl 999999h HERE"), route(""), `make it shorter.*"client":"billing","access_token_ttl":"999999h","at":"LINE`},
	{"scope with a quote", but("scope orders:read", `scope a"b HERE`), route(""), `a scope is scope-tokens of printable ASCII without quote.*, at LINE`},
	{"scope with a comma", but("scope orders:read", "scope a,b HERE"), route(""), `write scope a b, at LINE`},
	{"default scope outside", "oauth_server {\nissuer http://localhost:8080\nclient billing { HERE\n" + ofBilling + "default_scope orders:write\n}\n}", route(""), `default_scope "orders:write" is not within scope "orders:read", at LINE`},
	{"redirect over http", withServer("client billing { HERE\n" + ofBilling + "redirect_uris http://app.example/cb\n}"), route(""), `"http://app.example/cb" must be https; http is for 127.0.0.1.*, at LINE`},
	{"code for nobody", withServer("client billing { HERE\n" + strings.Replace(ofBilling, "grants client_credentials", grantCode, 1) + "}"), route(""), `add users, or the option identity if .*"client":"billing","at":"LINE`},
	{"exchange that is not offered", but("grants client_credentials", "grants token_exchange"), route(""), `client "billing" has the grant token_exchange, .*add it, or remove the grant, at Caddyfile:`},
	{"exchange from nobody", withServer("token_exchange\nclient billing {\n" + strings.Replace(ofBilling, "client_credentials", "token_exchange", 1) + "exchange_from nobody HERE\n}"), route(""), `exchange_from names a client that is not in the configuration.*"client":"billing","exchange_from":"nobody","at":"LINE`},
	{"password grant that is not offered", but("grants client_credentials", "grants password"), route(""), `add password_grant, or remove the grant, at Caddyfile:`},
	{"key file of a client missing", but(strings.Split(ofBilling, "\n")[0], "jwks_file /nonexistent.json HERE"), route(""), `server "default": client "billing": jwks_file: .*/nonexistent.json.*, at LINE`},

	// Tokens of others, and people.
	{"key file of a subject missing", withServer(billing + "subject jwt https://idp.example {\njwks_file /nonexistent.json HERE\n" + jobs + "}\nsubject jwt https://other.example {\njwks_uri https://other.example/keys\n" + jobs + "}"), route(""), `server "default": subjects: jwt: issuer https://idp.example: jwks_file: open /nonexistent.json: no such file or directory, at LINE$`},
	{"key file of an ID-JAG missing", withServer(billing + "subject id_jag https://idp.example {\njwks_file /nonexistent.json HERE\npolicy jobs {\nclients any\nsubject claims.sub\nscope orders:read\naudience https://api.example/orders\n}\n}"), route(""), `subjects: id_jag: issuer https://idp.example: jwks_file: open /nonexistent.json: no such file or directory, at LINE$`},
	{"bundle missing", withServer(billing + "subject spiffe prod.example {\nbundle_file /nonexistent.json HERE\n" + jobs + "}"), route(""), `subjects: spiffe prod.example: .*/nonexistent.json: no such file or directory, at LINE$`},
	{"secret of a subject in clear", withServer(billing + "subject jwt https://idp.example {\nhmac_secret 0123456789abcdef0123456789abcdef HERE\n" + jobs + "}"), route(""), `a secret is in the configuration in clear.*"issuer":"https://idp.example","option":"hmac_secret","at":"LINE`},
	{"policy of a client that is not there", withServer(billing + "subject jwt https://idp.example {\njwks_uri https://idp.example/keys\n" + jobs + "policy more {\nsubject claims.sub\nclients nobody HERE\n}\n}"), route(""), `clients of a policy names a client that is not in the configuration.*"policy":"more","clients":"nobody","at":"LINE`},
	{"policy for clients of which none may", withServer(billing + "subject jwt https://idp.example {\njwks_uri https://idp.example/keys\npolicy jobs { HERE\nsubject claims.sub\n}\n}"), route(""), `no client of the configuration may use the grant that a policy is for: give it to one, or write clients none.*"policy":"jobs","grants":\["token_exchange"\],"at":"LINE`},
	{"audience of a subject that is any", withServer(billing + "subject introspection https://idp.example/introspect {\nclient a {env.SHORT}\nissuer https://idp.example\ninsecure_any_audience HERE\n" + jobs + "}"), route(""), `insecure_any_audience: tokens for any service are exchanged.*"at":"LINE`},
	{"users in no file", withServer(billing + "users htpasswd /nonexistent HERE"), route(""), `server "default": users: open /nonexistent: no such file or directory, at LINE$`},
	{"users over http", withServer(billing + "users http http://shop.example.com/login {\ninsecure_http HERE\nsend basic\nsubject id\n}"), route(""), `insecure_http: passwords cross the network in clear.*"at":"LINE`},
	{"users over LDAP in clear", withServer(billing + "users ldap ldap://directory.example.com {\nbase ou=people,dc=example,dc=com\nfilter (uid={name})\nbind cn=proxy {env.SHORT}\ninsecure_plain HERE\n}"), route(""), `insecure_plain: passwords cross the network in clear.*"at":"LINE`},

	// Handlers.
	{"oauth_token without a server", "", "%SITE% {\noauth_token HERE\n}\n", `there is no global option oauth_server, .*, at LINE`},
	{"path that no client sends", withServer(billing), "%SITE% {\noauth_token {\ntoken_endpoint /oauth/../token HERE\n}\n}\n", `endpoint path "/oauth/../token" is none that a client sends .*; write /token, at LINE`},
	{"type of tokens that nobody takes", withServer(billing), "%SITE% {\noauth_token {\ntoken_endpoint /t {\nsubject_token_type urn:x:y HERE\n}\n}\n}\n", `token_endpoint /t: subject_token_type names tokens that this server does not take.*"at":"LINE`},
	{"anonymous and nothing to exchange", withServer(billing + "token_exchange {\nanonymous HERE\n}"), route(""), `anonymous does nothing without api_tokens.*"at":"LINE`},
	{"name of a site by variable", withServer(billing + "pages { HERE\nname {env.SHORT}\n}"), route(""), `pages: name: \{env.SHORT\} would not be resolved; .*, at LINE`},
	{"certificates of no proxy", withServer(billing + "client_certificates {\nheader Client-Cert\n}"), "%SITE% {\noauth_token HERE\n}\n", `believed of the proxies in trusted_proxies alone, and there are none.*"header":"Client-Cert","at":"LINE`},
	{"oauth_token of no server", withServer(billing), "%SITE% {\noauth_token { HERE\nserver other\n}\n}\n", `there is no oauth_server "other"; configured are \["default"\], at LINE`},
	{"one path for two", withServer(billing), "%SITE% {\noauth_token {\ntoken_endpoint /t\npath revocation /t HERE\n}\n}\n", `two endpoints share the path "/t"; each must have its own, at LINE`},
	{"oauth_verify without a server", "", "%SITE% {\noauth_verify { HERE\naudience a\n}\n}\n", `configure the global option oauth_server, or an issuer with its keys: it will not load, at LINE`},
	{"oauth_verify of no server", withServer(billing), "%SITE% {\noauth_verify { HERE\naudience a\nserver other\n}\n}\n", `there is no oauth_server "other"; configured are \["default"\], at LINE`},
	{"block that does not end", withServer(billing), "%SITE% {\noauth_verify {\n", `unexpected EOF, at Caddyfile:`},
	{"no audience", withServer(billing), "%SITE% {\noauth_verify { HERE\n}\n}\n", `the name of this API in aud, such as https://api.example.com/orders, at LINE`},
	{"audience of nobody", withServer(billing), guarded("audience https://api.example/bills HERE"), `no client of the configuration.* give one .* this audience","server":"default","audience":\["https://api.example/bills"\],"clients_have":\["https://api.example/orders"\],"at":"LINE`},
	{"scope of nobody", withServer(billing), route("scope orders:read orders:delete HERE"), `no client of the configuration.*"server":"default","audience":.*"scope":"orders:delete","clients_have":\["orders:read"\],"at":"LINE`},
	{"one of scope of nobody", withServer(billing), route("any_scope orders:delete orders:drop HERE"), `no client of the configuration.*"any_scope":\["orders:delete","orders:drop"\],"clients_have":\["orders:read"\],"at":"LINE`},
	{"key file of an issuer missing", withServer(billing), foreign("jwks_file /nonexistent.json HERE"), `the route for audience https://api.example/orders: issuer https://idp.example: jwks_file: open /nonexistent.json: no such file or directory, at LINE`},
	{"URL in the place of keys", withServer(billing), foreign("jwks https://idp.example/keys HERE"), `its URL goes into jwks_uri, .*, at LINE`},
	{"secret of an issuer in clear", withServer(billing), foreign("hmac_secret 0123456789abcdef0123456789abcdef HERE"), `a secret is in the configuration in clear.*write \{env.NAME\} or \{file./path\}","issuer":"https://idp.example","option":"hmac_secret","at":"LINE`},
	{"introspection over http", withServer(billing), route("issuer https://idp.example {\nintrospection http://idp.example/introspect {\nclient a {env.SHORT}\ninsecure_http HERE\n}\n}"), `insecure_http: tokens and a secret cross the network in clear.*"at":"LINE`},
	{"issuer twice", withServer(billing), foreign("jwks_uri https://idp.example/keys\n}\nissuer https://idp.example { HERE"), `issuer https://idp.example is given twice, at LINE`},
	{"own issuer as another's", withServer(billing), route("server default\nissuer http://localhost:8080 { HERE\njwks_uri http://localhost:8080/oauth/jwks\n}"), `issuer http://localhost:8080 is that of the server "default".*: remove the block issuer, or the line server, at LINE`},
	{"own issuer as one elsewhere", withServer(billing), route("issuer http://localhost:8080 { HERE\njwks_uri http://localhost:8080/oauth/jwks\n}"), `write the line server in the place of the block issuer","issuer":"http://localhost:8080","server":"default","at":"LINE`},
	{"header of nobody's", withServer(billing), route("header Authorization sub HERE"), `take one such as X-User-Id, at LINE`},
	{"first of two routes alike", withServer(billing), "%SITE% {\noauth_token\nhandle /a {\noauth_verify {\naudience https://api.example/bills HERE\n}\n}\nhandle /b {\noauth_verify {\naudience https://api.example/bills\n}\n}\n}\n", `no client of the configuration.*"at":"LINE`},
	{"second of two routes alike", withServer(billing), "%SITE% {\noauth_token\nhandle /a {\noauth_verify {\naudience https://api.example/bills\n}\n}\nhandle /b {\noauth_verify {\naudience https://api.example/bills HERE\n}\n}\n}\n", `no client of the configuration.*"at":"Caddyfile:\d+ or LINE`},
	{"a named route and a route alike", withServer(billing), "&(guard) {\noauth_verify {\naudience https://api.example/bills HERE\n}\n}\n%SITE% {\noauth_token\nhandle /a {\ninvoke guard\n}\nhandle /b {\noauth_verify {\naudience https://api.example/bills\n}\n}\n}\n", `no client of the configuration.*"at":"LINEor Caddyfile:\d+"`},
	{"people of two issuers", withServer(billing), route("server default\nissuer https://idp.example {\njwks_uri https://idp.example/keys\n}\nheader X-Name name\nheader X-User-Id sub HERE"), `write a header with iss too.*"option":"header X-User-Id","at":"LINE`},
	{"claim misspelt", withServer(billing), route("header X-Name client_id\nheader X-User-Id subb HERE"), `no token of the server has such a claim.*did you mean sub\?","option":"header X-User-Id","claim":"subb","at":"LINE`},
	{"claim of nobody", withServer(billing), route("header X-Mail email HERE"), `the application never gets the header; there are iss, sub, .*"at":"LINE`},
	{"claim of a policy, misspelt", withServer("subject jwt https://idp.example {\njwks_uri https://idp.example/keys\npolicy jobs {\nclients none\nsubject claims.sub\nclaim tenant claims.tenant\naudience https://api.example/orders\n}\n}"), route("header X-Tenant tennant HERE"), `did you mean tenant\?","option":"header X-Tenant","claim":"tennant","at":"LINE`},
	{"claim of nobody in a rule", withServer(billing), route("rule `claims.tenant == \"acme\"` HERE"), `rule: no token of the server has such a claim, and the rule fails where it looks at it.*"claim":"tenant","at":"LINE`},
	{"claim of nobody in one of two rules", withServer(billing), route("rule `claims.sub == \"a\"`\nrule `claims[\"subb\"] == \"b\"` HERE"), `did you mean sub\?".*"claim":"subb","at":"LINE`},
	{"claim of nobody that is required", withServer(billing), route("require_claims sub data.id=1 HERE"), `require_claims: no token .*every token is refused.*"claim":"data","at":"LINE`},
	{"sign-in of nobody", withServer(billing), route("max_auth_age 5m HERE"), `no token of the server has the claim auth_time.*by users or by identity.*"at":"LINE`},
	{"sign-in of a class that nobody says", withServer(billing + "users inline {\nuser ada $2a$10$5fnRvbRZqImAZj68OHnvDOZ0AG8BgFQ8FHanVo2ZfMrcic0hYbRpe\n}"), route("acr_values mfa HERE"), `no token of the server has the claim acr,.*"at":"LINE`},
	{"certificate of nobody", withServer(billing), route("client_certificates { HERE\nrequired\n}"), `binds no token to one.*add client_certificates to the oauth_server.*"at":"LINE`},
	{"tokens that live too long", withServer(billing + "access_token_ttl 4h"), route("max_lifetime 1h HERE"), `every token for this route lives longer, and is refused: make access_token_ttl .*as short.*"at":"LINE`},
	{"tool for nobody", withServer(billing), route("mcp {\ntool get_* orders:read\ntool * orders:drop HERE\n}"), `mcp: no client of the configuration.*"option":"tool \*","mcp_scope":"orders:drop".*"at":"LINE`},
	{"matcher without a guard", withServer(billing), "%SITE% {\noauth_token\n@a oauth_scope orders:read HERE\nrespond @a hi\n}\n", `oauth_scope: it matches nothing, since no oauth_verify is in front: write the matcher behind one.*"at":"LINE`},
	{"matcher in front of its guard", withServer(billing), "%SITE% {\noauth_token\nroute {\n@a not oauth_claim sub=ada HERE\nrespond @a hi\noauth_verify {\naudience https://api.example/orders\n}\n}\n}\n", `oauth_claim: it matches nothing.*"claims":"sub=ada","at":"LINE`},
	{"matcher of scope of nobody", withServer(billing), route("}\n@a oauth_scope orders:read orders:drop HERE\nhandle @a {\nrespond a"), `oauth_scope: no client of the configuration.*"scope":"orders:drop","clients_have":\["orders:read"\],"at":"LINE`},
	{"matcher of a claim of nobody", withServer(billing), route("}\n@a oauth_claim subb=a HERE\nhandle @a {\nrespond a"), `oauth_claim: no token of the server has such a claim, and the matcher matches nothing; did you mean sub\?","claim":"subb","at":"LINE`},
	{"placeholder of a claim of nobody", withServer(billing), "%SITE% {\noauth_token\nhandle /orders {\noauth_verify { HERE\naudience https://api.example/orders\n}\nreverse_proxy localhost:1 {\nheader_up X-Tenant {http.auth.user.tenant}\n}\n}\n}\n", `the placeholder \{http.auth.user.tenant\} is always empty behind this oauth_verify.*"claim":"tenant","in":"reverse_proxy","at":"LINE`},
	{"placeholder of a credential", withServer(billing), "%SITE% {\noauth_token\noauth_verify { HERE\naudience https://api.example/orders\nauthorization value {http.auth.user.data.key} {\nsend bearer\n}\n}\nrespond hi\n}\n", `the placeholder \{http.auth.user.data.key\} is always empty.*"claim":"data","in":"oauth_verify","at":"LINE`},
	{"placeholder in a rule", withServer(billing), route("rule `claims.sub == \"{env.SHORT}\"` HERE"), `\{env.SHORT\} would not be resolved; write the value, or \{\$NAME\} in a Caddyfile, at LINE`},
	{"placeholder in a condition", withServer(billing + "subject jwt https://idp.example {\njwks_uri https://idp.example/keys\npolicy jobs { HERE\nwhen `claims.a == \"{env.SHORT}\"`\nsubject claims.sub\n}\n}"), route(""), `when: \{env.SHORT\} would not be resolved; .*, at LINE`},
	{"placeholder in a value", withServer(billing + "subject jwt https://idp.example {\njwks_uri https://idp.example/keys\npolicy jobs {\nsubject claims.sub\nclaim tenant `\"{env.SHORT}\"` HERE\n}\n}"), route(""), `claim tenant: \{env.SHORT\} would not be resolved; .*, at LINE`},
	{"header twice", withServer(billing), route("header X-User sub\nheader X_User name HERE"), `the header X_User is set twice.*, at LINE`},
	{"condition that ends early", withServer(billing), route("rule `claims.a ==` HERE"), `an expression is such as claims.tenant == "acme".*, at LINE`},
	{"condition misspelt", withServer(billing), route("rule `requst.method == \"GET\"` HERE"), `there are the variables claims, request.method, .*, at LINE`},
	{"policy of nobody", withServer(billing), "%SITE% {\noauth_verify { HERE\npolicy nope\n}\n}\n", `there is no policy "nope"; configured are \[\], at LINE`},
	{"leeway of an hour", withServer(billing), route("leeway 1h HERE"), `is not between 0 and 5m0s, at LINE`},
}
