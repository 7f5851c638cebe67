package caddymodule_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// What may be meant is not warned about: a route that only clients can use which register
// themselves, API tokens and policies that need no client, clients that are all added at run time,
// and scope that includes another.
func TestNoMistakes(t *testing.T) {
	const orders, scopeAndAudience = "scope orders:read\n", "scope orders:read\naudience https://api.example/orders\n"
	c := newCaddy(t)
	c.mustLoad("", "")
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(verifytest.New("https://idp.example", "a").JWKS()))
	other := strings.NewReplacer("orders:read", "a", "/orders", "/a").Replace(billing)
	policy := func(clients string) string {
		return other + "subject jwt https://idp.example {\njwks_file %DIR%/jwks.json\naudience a\npolicy jobs {\nclients " + clients + "\nsubject claims.sub\n" + scopeAndAudience + "}\n}"
	}
	tokens := func(service string) string {
		return other + "token_exchange {\nanonymous\napi_tokens" + service + "\n}"
	}
	for _, row := range []struct {
		name, server, site string
		warned             bool
	}{
		{"a client", billing, route(orders), false},
		{"others' clients alone", other, route(orders), true},
		{"clients at run time", "", route(orders), false},
		{"a client that only asks", strings.Replace(billing, "grants client_credentials", "introspect *", 1), route(orders), false},
		{"clients that register themselves", other + "registration {\nopen\ngrants client_credentials\n" + scopeAndAudience + "}", route(orders), false},
		{"API tokens of any scope", tokens(""), route(orders), false},
		{"API tokens of a service", tokens(" {\nservice https://api.example/orders orders:read\n}"), route(orders), false},
		{"API tokens of another service", tokens(" {\nservice https://api.example/a orders:read\n}"), route(orders), true},
		{"a policy without a client", policy("none"), route(orders), false},
		{"a policy of clients", policy("any"), route(orders), true},
		{"exchange to the next service", strings.Replace(other, "client_credentials", "token_exchange\nexchange_to https://api.example/orders", 1) + "token_exchange", route("scope a"), false},
		{"scope that includes it", strings.Replace(billing, "orders:read", "admin", 1), route(orders + "scope_implies admin orders:read"), false},
		{"scope of two clients", billing + strings.NewReplacer("billing", "two", "orders:read", "admin").Replace(billing), route("scope orders:read admin"), true},
		{"one of scope", billing, route("any_scope admin orders:read"), false},
		{"scope of another issuer", billing, route("server default\nscope admin\nissuer https://idp.example {\njwks_file %DIR%/jwks.json\n}"), false},
		{"any audience", billing, guarded("insecure_any_audience\n" + orders), false},
		{"any audience, and scope of nobody", billing, guarded("insecure_any_audience\nscope admin"), true},
	} {
		said := c.said(t, c.vars.Replace(strings.Replace(runGlobal, "%GLOBAL%", withServer(row.server), 1)+row.site))
		if strings.Contains(said, "no client of the configuration") != row.warned || strings.Contains(said, "refused") {
			t.Errorf("%s: %s", row.name, said)
		}
	}
}

// A claim may come of a policy, or of another issuer.
func TestNoMistakesOfClaims(t *testing.T) {
	const own = "audience https://api.example/orders\nheader X-Tenant tenant.name\nheader X-Act act.sub"
	const rules = "audience https://api.example/orders\nrule `!has(claims.tenant) || claims.tenant == \"a\"`\nrule `!(\"team\" in claims) || claims.team == \"a\"`\n" +
		"rule `request.headers[\"X-A\"] == \"b\"`\nrequire_claims act.sub may_act"
	const people = billing + "users inline {\nuser ada $2a$10$5fnRvbRZqImAZj68OHnvDOZ0AG8BgFQ8FHanVo2ZfMrcic0hYbRpe\n}"
	const policy = "subject jwt https://idp.example {\njwks_uri https://idp.example/keys\npolicy jobs {\nclients none\nsubject claims.sub\naudience https://api.example/orders\nclaim tenant claims.tenant\n}\n}"
	c := newCaddy(t)
	c.mustLoad("", "")
	for _, row := range []struct {
		name, server, site string
		warned             bool
	}{
		{"nobody's", billing, guarded(own), true},
		{"of a policy", policy, guarded(own), false},
		{"of others", billing, guarded(own + "\nissuer https://idp.example {\njwks_uri https://idp.example/keys\n}"), false},
		{"that may be missing", billing, guarded(rules), false},
		{"of others, in rules", billing, route("rule `claims.a == 1`\nrequire_claims a\nmax_auth_age 5m\nissuer https://idp.example {\njwks_uri https://idp.example/keys\n}"), false},
		{"of people", people, route("max_auth_age 5m\nrule `claims.auth_time > 1`"), false},
		{"of people, as a gateway says", billing + "identity {\nacr {http.vars.acr}\nauth_time {http.vars.time}\n}", route("max_auth_age 5m\nacr_values mfa"), false},
		{"behind a guard", billing, "%SITE% {\noauth_token\nhandle {\noauth_verify {\naudience https://api.example/orders\n}\n@a oauth_scope orders:read\nhandle @a {\n@b not oauth_claim act.sub=a\nrespond @b \"{http.auth.user.id} {http.auth.user.act.sub}\"\n}\nrespond hi\n}\n}\n", false},
		{"behind a guard of some", billing, "%SITE% {\noauth_token\nhandle {\noauth_verify /a/* {\naudience https://api.example/orders\n}\nrespond {http.auth.user.tenant}\n}\nhandle_errors {\n@a oauth_scope orders:read\nrespond @a {http.auth.user.tenant}\n}\n}\n", false},
		{"behind basic_auth and a guard of others", billing, "%SITE% {\noauth_token\nhandle /a {\nbasic_auth {\nada $2a$04$v95KLTWg35HWVyjj7jDI/uK4edT1nkvHLXI7vUC9z7XWgQUFzT7t6\n}\nrespond {http.auth.user.tenant}\n}\nhandle {\noauth_verify {\nissuer https://idp.example {\njwks_uri https://idp.example/keys\naudience a\n}\n}\n@a oauth_claim tenant\nrespond @a {http.auth.user.tenant}\n}\n}\n", false},
		{"of a certificate", billing + "client_certificates", route("client_certificates {\nrequired\n}"), false},
		{"of short life", strings.Replace(billing, "scope", "access_token_ttl 5m\nscope", 1) + strings.Replace(billing, "billing", "two", 1), route("max_lifetime 10m"), false},
		{"of short life, by exchange", strings.Replace(billing, "client_credentials", "token_exchange", 1) + "token_exchange", route("max_lifetime 10m"), false},
	} {
		text := strings.Replace(runGlobal, "%GLOBAL%", withServer(row.server), 1) + row.site
		said := c.said(t, c.vars.Replace(strings.Replace(text, "http://localhost:8080", "%SITE%", 1)))
		if (said != "") != row.warned || strings.Contains(said, "refused:") {
			t.Errorf("%s: %s", row.name, said)
		}
	}
}

// What one route gives to its upstream, which may be another one, no client needs to get.
func TestNoMistakesOfMintedTokens(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad("", "")
	const mints = "handle /out {\noauth_verify {\naudience https://api.example/orders\nauthorization token {\naudience %s\n}\n}\nreverse_proxy localhost:1\n}\n"
	const takes = "%%SITE%% {\noauth_token\nhandle /in {\noauth_verify {\naudience https://in.example\nmax_lifetime 5m\nscope orders:read\n}\n@a oauth_scope orders:read\nrespond @a hi\n}\n%s}\n"
	for audience, warned := range map[string]bool{"https://in.example": false, "https://other.example": true} {
		text := strings.Replace(runGlobal, "%GLOBAL%", withServer(billing), 1) + fmt.Sprintf(takes, fmt.Sprintf(mints, audience))
		said := c.said(t, c.vars.Replace(strings.Replace(text, "http://localhost:8080", "%SITE%", 1)))
		if (said != "") != warned || strings.Contains(said, "refused:") {
			t.Errorf("%s: %s", audience, said)
		}
	}
}

// Where no proxy is in front, the certificate of the handshake is that of the client.
func TestNoMistakesOfCertificates(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad("", "")
	global := "servers {\nstrict_sni_host on\n}\n" + withServer(billing+"client_certificates {\nheader Client-Cert\n}")
	site := "https://localhost {\ntls internal {\nclient_auth {\nmode request\n}\n}\noauth_token\n}\n"
	if said := c.said(t, c.vars.Replace(strings.Replace(runGlobal, "%GLOBAL%", global, 1)+site)); said != "" {
		t.Error(said)
	}
}

// One issuer has one person for a sub, and with iss beside it nobody takes one for another.
func TestNoMistakesOfPeople(t *testing.T) {
	const other = "\nserver default\nissuer https://idp.example {\njwks_uri https://idp.example/keys\n}"
	c := newCaddy(t)
	c.mustLoad("", "")
	for _, lines := range []string{
		"header X-User-Id sub", "header X-User-Id sub\nheader X-Issuer iss" + other, "header X-Sub data.sub" + other, "header X-Mail email" + other,
		"header X-User-Id sub\nissuer https://idp.example {\njwks_uri https://idp.example/keys\n}",
	} {
		text := strings.Replace(runGlobal, "%GLOBAL%", withServer(billing), 1) + route(lines)
		if said := c.said(t, c.vars.Replace(strings.Replace(text, "http://localhost:8080", "%SITE%", 1))); said != "" {
			t.Errorf("%s: %s", lines, said)
		}
	}
}
