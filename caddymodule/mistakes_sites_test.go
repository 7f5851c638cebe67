package caddymodule_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What is known of sites when all of them are provisioned: whether requests for the URL of an
// issuer come to its endpoints, and whether a handler has taken away what another one behind it
// needs. Where a proxy in front may change host or path, and where a request may come to a handler
// by another way, nothing is said.
func TestMistakesOfSites(t *testing.T) {
	const closed, opened = "takes away a part", "no site leads requests"
	const taken, takenOff = "answers all requests for them", "removes the token"
	const same, needed, never, noPath = "another oauth_token of this server", "needs a token of this server", "no request comes here", "no request of its path comes here"
	const basic, basicBehind, below = "basic_auth in front needs name and password", "basic_auth behind needs name and password", "without what is below it"
	const people = " {\nada $2a$04$v95KLTWg35HWVyjj7jDI/uK4edT1nkvHLXI7vUC9z7XWgQUFzT7t6\n}\n"
	const two, example = "https://a.example.com https://b.example.com", "https://example.com"
	const a, b, verify, keep = "oauth_token {\nserver default\n}\n", "oauth_token {\nserver two HERE\n}\n", "oauth_verify {\naudience a\n", "authorization keep\n"
	const onBoth, onOne = "https://a.example.com:%PORT%, https://b.example.com:%PORT% {\n", "https://example.com:%PORT% {\noauth_token\n"
	c := newCaddy(t)
	c.mustLoad("", "")
	other, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	server := func(issuers string) string {
		issuer, second, more := strings.Cut(issuers, " ")
		text := "auto_https off\noauth_server {\nissuer " + issuer + "\nstore memory\n" + strings.ReplaceAll(billing, "https://api.example/orders", "a") + "}\n"
		if more {
			text += "oauth_server two {\nissuer " + second + "\nstore memory\n" + billing + "}\n"
		}
		return text
	}
	for _, row := range []struct{ name, issuer, sites, want string }{
		{"its host", "https://auth.example.com", "https://auth.example.com:%PORT% {\noauth_token\n}", ""},
		{"another host", "https://auth.example.com", "https://api.example.com:%PORT% {\noauth_token HERE\n}", opened},
		{"its host on another site", "https://auth.example.com", "https://api.example.com:%PORT% {\noauth_token HERE\n}\nhttps://auth.example.com:%PORT% {\nrespond hi\n}", opened},
		{"a wildcard", "https://auth.example.com", "https://*.example.com:%PORT% {\noauth_token\n}", ""},
		{"any host", "https://auth.example.com", "https://:%PORT% {\noauth_token\n}", ""},
		{"two hosts", "https://auth.example.com", "https://api.example.com:%PORT% {\noauth_token\n}\nhttps://auth.example.com:%PORT% {\noauth_token\n}", ""},
		{"a proxy in front takes off TLS, and names this machine", "https://auth.example.com", "http://internal.example.com:%PORT% {\noauth_token\n}", ""},
		{"a proxy in front adds a path", "https://auth.example.com", "http://:%PORT% {\nhandle_path /auth/* {\noauth_token\n}\n}", ""},
		{"this machine by another name", "http://localhost:8080", "http://127.0.0.1:%PORT% {\noauth_token HERE\n}", opened},
		{"another port", "http://localhost:8080", "http://localhost:%PORT% {\noauth_token\n}", ""},
		{"handle_path", "https://example.com/auth", "https://example.com:%PORT% {\nhandle_path /auth/* {\noauth_token HERE\n}\n}", closed},
		{"uri strip_prefix", "https://example.com/auth", "https://example.com:%PORT% {\nuri strip_prefix /auth\noauth_token HERE\n}", closed},
		{"uri strip_prefix elsewhere", "https://example.com/auth", "https://example.com:%PORT% {\nuri /api/* strip_prefix /api\noauth_token\n}", ""},
		{"uri strip_prefix of some", "https://example.com/auth", "https://example.com:%PORT% {\n@old header X-Old *\nuri @old strip_prefix /auth\noauth_token\n}", ""},
		{"handle_path beside", "https://example.com/auth", "https://example.com:%PORT% {\nhandle_path /api/* {\nrespond hi\n}\noauth_token\n}", ""},
		{"the path of the issuer is put back", "https://example.com/auth", "https://example.com:%PORT% {\nhandle_path /x/* {\nrespond hi\n}\nhandle /auth/* {\noauth_token\n}\n}", ""},
		{"handle of another path", "https://example.com", "https://example.com:%PORT% {\nhandle /auth/* {\noauth_token HERE\n}\n}", opened},
		{"matchers that may not match", "https://example.com", "https://example.com:%PORT% {\n@inside remote_ip 10.0.0.0/8\nhandle @inside {\noauth_token\n}\nhandle {\nrespond hi\n}\n}", ""},
		{"moved endpoints", "https://example.com/auth", "https://example.com:%PORT% {\nhandle_path /auth/* {\noauth_token { HERE\ntoken_endpoint /token\n}\n}\n}", closed},
		{"the path of the issuer is put back by rewrite", "https://example.com/auth", "https://example.com:%PORT% {\nhandle_path /auth/* {\nrewrite * /auth{uri}\noauth_token\n}\n}", ""},
		{"the path of the issuer is put back by one of many rewrites", "https://example.com/auth", "https://example.com:%PORT% {\nhandle_path /auth/* {\nroute {\n" + rewrites(20) + "rewrite /n20 /auth/oauth/token\noauth_token\n}\n}\n}", ""},
		{"a named route", "https://example.com", "&(tokens) {\noauth_token\n}\nhttps://example.com:%PORT% {\ninvoke tokens\n}", ""},

		{"two servers at the same paths", two, onBoth + a + b + "}", taken},
		{"two servers at the same paths of a handle", two, onBoth + "handle {\n" + a + b + "}\n}", taken},
		{"two servers at the same paths, within another", two, onBoth + "route {\n" + a + "encode gzip\nhandle /oauth/* {\n" + b + "}\n}\n}", taken},
		{"two servers, one endpoint at the same path", "https://a.example.com https://a.example.com/b", "https://a.example.com:%PORT% {\noauth_token {\nserver default\ntoken_endpoint /b/oauth/token\n}\n" + b + "}", taken},
		{"two servers at paths of their own", "https://a.example.com https://a.example.com/b", "https://a.example.com:%PORT% {\n" + a + b + "}", ""},
		{"two servers, the first by path", two, onBoth + strings.Replace(a, "{", "/oauth/* {", 1) + b + "}", taken},
		{"two servers, the first by path and host", two, onBoth + "@a {\nhost a.example.com\npath /oauth/*\n}\n" + strings.Replace(a, "{", "@a {", 1) + b + "}", ""},
		{"two servers, the first by path and header", two, onBoth + "@a {\nheader X-A *\npath /oauth/*\n}\n" + strings.Replace(a, "{", "@a {", 1) + b + "}", ""},
		{"two servers, the first by path, and of some the path is another", two, onBoth + "route {\n" + strings.Replace(a, "{", "/oauth/* {", 1) + "@old header X-Old *\nrewrite @old /oauth/token\n" + b + "}\n}", ""},
		{"two servers by host", two, onBoth + "@a host a.example.com\n" + strings.Replace(a, "{", "@a {", 1) + b + "}", ""},
		{"two servers by handle", two, onBoth + "@a host a.example.com\nhandle @a {\n" + a + "}\nhandle {\n" + b + "}\n}", ""},
		{"two servers on two sites", two, "https://a.example.com:%PORT% {\n" + a + "}\nhttps://b.example.com:%PORT% {\n" + b + "}", ""},
		{"two servers, and the path is another between them", two, onBoth + "route {\n" + a + "uri strip_prefix /b\n" + b + "}\n}", ""},
		{"two servers, and some paths are others between them", two, onBoth + "route {\n" + a + "uri /b/* strip_prefix /b\n" + b + "}\n}", ""},

		{"two guards", example, onOne + "handle /x {\nroute {\n" + verify + "}\noauth_verify { HERE\naudience a\n}\n}\n}\n}", takenOff},
		{"a guard of the site and one of a handle", example, onOne + verify + "}\nhandle /longer/* {\nrespond hi\n}\nhandle_path /x/* {\noauth_verify { HERE\naudience a\n}\n}\n}", takenOff},
		{"the first of two guards is optional", example, onOne + verify + "optional\n}\nhandle /x {\noauth_verify { HERE\naudience a\n}\n}\n}", takenOff},
		{"the first of two guards keeps the token", example, onOne + verify + keep + "}\nhandle /x {\n" + verify + "}\n}\n}", ""},
		{"the first of two guards replaces the token", example, onOne + verify + "authorization value {http.auth.user.id} {\nsend bearer\n}\n}\nhandle /x {\n" + verify + "}\n}\n}", ""},
		{"the second of two guards is optional", example, onOne + verify + "}\nhandle /x {\n" + verify + "optional\n}\n}\n}", ""},
		{"the second of two guards has a token elsewhere", example, onOne + verify + "}\nhandle /x {\n" + verify + "token_header X-Token\n}\n}\n}", ""},
		{"a token is put between two guards", example, onOne + "route {\n" + verify + "}\nrequest_header Authorization \"Bearer {header.X-Token}\"\n" + verify + "}\n}\n}", ""},
		{"a token is put between two guards for some", example, onOne + "route {\n" + verify + "}\nrequest_header /x Authorization \"Bearer {header.X-Token}\"\n" + verify + "}\n}\n}", ""},
		{"two guards by path", example, onOne + "route {\n" + strings.Replace(verify, "{", "/x* {", 1) + "}\n" + strings.Replace(verify, "{", "/y* {", 1) + "}\n}\n}", ""},
		{"two guards by handle", example, onOne + "handle /x {\n" + verify + "}\n}\nhandle {\n" + verify + "}\n}\n}", ""},
		{"a guard that answers lead to too", example, "&(guard) {\n" + verify + "}\n}\n" + onOne + "handle /x {\nroute {\n" + verify + "}\ninvoke guard\n}\n}\nhandle {\nreverse_proxy localhost:1 {\nhandle_response {\ninvoke guard\n}\n}\n}\n}", ""},
		{"the first of two guards is in the second of two handles", example, onOne + "route {\nhandle /y {\nheader A b\n}\nencode gzip\nhandle {\n" + verify + "}\n}\n" + verify + "}\n}\n}", ""},
		{"a guard that two routes share", example, "&(guard) {\n" + verify + "}\n}\n" + onOne + "handle /x {\nroute {\n" + verify + "}\ninvoke guard\n}\n}\nhandle {\ninvoke guard\n}\n}", ""},

		{"two of one server", example, onOne + "oauth_token {\nserver default HERE\n}\n}", same},
		{"two of one server, one endpoint at the same path", example, onOne + "oauth_token { HERE\ntoken_endpoint /oauth/token {\ndialect phrase\n}\n}\n}", same},
		{"two of one server, and one path more", example, onOne + "oauth_token {\ntoken_endpoint /legacy/token\n}\n}", ""},
		{"two of one server by site", example, onOne + "}\nhttps://internal.example.com:%PORT% {\noauth_token\n}", ""},
		{"two of one server by path", example, onOne + "}\nhttp://internal.example.com:%OTHER% {\nhandle /oauth/* {\noauth_token\n}\nhandle {\noauth_token\n}\n}", ""},
		{"behind respond", example, "https://example.com:%PORT% {\nroute {\nrespond hi\noauth_token HERE\n}\n}", never},
		{"behind respond for some", example, "https://example.com:%PORT% {\nroute {\nrespond /hi hi\noauth_token\n}\n}", ""},
		{"behind a guard of its tokens", example, "https://example.com:%PORT% {\nroute {\n" + verify + "}\noauth_token HERE\n}\n}", needed},
		{"in a handle behind a guard of its tokens", example, "https://example.com:%PORT% {\n" + verify + "}\nhandle /oauth/* {\noauth_token HERE\n}\n}", needed},
		{"behind a guard of its tokens by path", example, "https://example.com:%PORT% {\nroute {\n" + strings.Replace(verify, "{", "/oauth/* {", 1) + "}\noauth_token HERE\n}\n}", needed},
		{"behind a guard of another path", example, "https://example.com:%PORT% {\nroute {\n" + strings.Replace(verify, "{", "/api/* {", 1) + "}\noauth_token\n}\n}", ""},
		{"behind a guard of all other paths", example, "https://example.com:%PORT% {\n@api not path /oauth/* /.well-known/*\nroute {\n" + strings.Replace(verify, "{", "@api {", 1) + "}\noauth_token\n}\n}", ""},
		{"behind a guard that is optional", example, "https://example.com:%PORT% {\nroute {\n" + verify + "optional\n}\noauth_token\n}\n}", ""},
		{"behind a guard of tokens of others", example, "https://example.com:%PORT% {\nroute {\n" + verify + "issuer https://idp.example {\njwks_uri https://idp.example/keys\n}\n}\noauth_token\n}\n}", ""},
		{"behind a guard, and on a site in front of it", example, onOne + "}\nhttps://two.example.com:%PORT% {\nroute {\n" + verify + "}\noauth_token\n}\n}", ""},

		{"a guard behind respond", example, onOne + "route {\nrespond hi\noauth_verify { HERE\naudience a\n}\n}\n}", never},
		{"a guard behind a proxy in the route", example, onOne + "route /x/* {\nreverse_proxy localhost:1\noauth_verify { HERE\naudience a\n}\n}\n}", never},
		{"a guard behind file_server", example, onOne + "route {\nfile_server\noauth_verify { HERE\naudience a\n}\n}\n}", never},
		{"a guard behind a handle of all", example, onOne + "route {\nhandle {\nrespond hi\n}\nhandle /x {\noauth_verify { HERE\naudience a\n}\n}\n}\n}", never},
		{"a guard behind a file_server that passes on", example, onOne + "route {\nfile_server {\npass_thru\n}\n" + verify + "}\n}\n}", ""},
		{"a guard behind forward_auth", example, onOne + "route {\nforward_auth localhost:1 {\nuri /\n}\n" + verify + "}\n}\n}", ""},
		{"a guard behind respond by path", example, onOne + "route {\nrespond /hi hi\n" + verify + "}\n}\n}", ""},
		{"a guard behind early hints", example, onOne + "route {\nrespond 103\n" + verify + "}\n}\n}", ""},
		{"a guard behind a status that the request has", example, onOne + "route {\nrespond hi {header.X-Status}\n" + verify + "}\n}\n}", ""},
		{"a guard behind respond in another handle", example, onOne + "handle /x {\nrespond hi\n}\nhandle {\n" + verify + "}\n}\n}", ""},
		{"a guard that only answers lead to", example, "&(guard) {\n" + verify + "}\n}\n" + onOne + "reverse_proxy localhost:1 {\nhandle_response {\ninvoke guard\n}\n}\n}", ""},

		{"two guards by path, one within the other", example, onOne + "route {\n" + strings.Replace(verify, "{", "/x* {", 1) + "}\noauth_verify /x/y/* { HERE\naudience a\n}\n}\n}", takenOff},
		{"two guards by path, and a rewrite that leads there", example, onOne + "route {\n@old header X-Old *\nrewrite @old /x/y\n" + strings.Replace(verify, "{", "/x* {", 1) + "}\noauth_verify /x/y { HERE\naudience a\n}\n}\n}", takenOff},
		{"two guards by path and method", example, onOne + "@a {\npath /x*\nmethod GET\n}\nroute {\n" + strings.Replace(verify, "{", "@a {", 1) + "}\n" + strings.Replace(verify, "{", "/x/y/* {", 1) + "}\n}\n}", ""},

		{"basic_auth", example, onOne + "basic_auth" + people + "oauth_verify { HERE\naudience a\n}\n}", basic},
		{"basic_auth by path", example, onOne + "basic_auth /admin/*" + people + "oauth_verify { HERE\naudience a\n}\n}", basic},
		{"basic_auth behind", example, onOne + "route {\noauth_verify { HERE\naudience a\n}\nbasic_auth" + people + "}\n}", basicBehind},
		{"basic_auth behind, by path", example, onOne + "route {\noauth_verify { HERE\naudience a\n}\nbasic_auth /admin/*" + people + "}\n}", basicBehind},
		{"basic_auth for other paths", example, onOne + "basic_auth /admin/*" + people + strings.Replace(verify, "{", "/api/* {", 1) + "}\n}", ""},
		{"basic_auth for all other paths", example, onOne + "@admin not path /api/*\nbasic_auth @admin" + people + strings.Replace(verify, "{", "/api/* {", 1) + "}\n}", ""},
		{"basic_auth for requests without a token", example, onOne + "@admin not header Authorization Bearer*\n@api header Authorization Bearer*\nbasic_auth @admin" + people + strings.Replace(verify, "{", "@api {", 1) + "}\n}", ""},
		{"basic_auth in front of pages alone", example, "https://example.com:%PORT% {\nbasic_auth /oauth/authorize" + people + "oauth_token\nhandle {\n" + verify + "}\nrespond hi\n}\n}", ""},
		{"basic_auth and a token elsewhere", example, onOne + "basic_auth" + people + verify + "token_header X-Token\n}\n}", ""},
		{"basic_auth and a token that is optional", example, onOne + "basic_auth" + people + verify + "optional\n}\n}", ""},
		{"basic_auth in front of the server", example, "https://example.com:%PORT% {\nbasic_auth /oauth/authorize" + people + "oauth_token\n}", ""},
		{"basic_auth behind, and the token becomes a password", example, onOne + "route {\n" + verify + "authorization basic {http.auth.user.id} {env.PATH}\n}\nbasic_auth" + people + "}\n}", ""},

		{"a path without what is below it", example, onOne + "header /order/* A b\noauth_verify /order { HERE\naudience a\n}\nreverse_proxy localhost:1\n}", below},
		{"a path that ends with a slash", example, onOne + "oauth_verify /order/ { HERE\naudience a\n}\nreverse_proxy localhost:1\n}", below},
		{"a slash", example, onOne + "oauth_verify / { HERE\naudience a\n}\nreverse_proxy localhost:1\n}", below},
		{"a path, and nothing below it is known", example, onOne + strings.Replace(verify, "{", "/graphql {", 1) + "}\nreverse_proxy localhost:1\n}", ""},
		{"a path, and another below it", example, onOne + "@order path /order /order/*\n" + strings.Replace(verify, "{", "@order {", 1) + "}\nreverse_proxy localhost:1\n}", ""},
		{"a path, and below it another guard", example, onOne + strings.Replace(verify, "{", "/order {", 1) + "}\n" + strings.Replace(verify, "{", "/order/* {", 1) + "scope b\n}\nreverse_proxy localhost:1\n}", ""},
		{"a path, and below it another upstream", example, onOne + strings.Replace(verify, "{", "/order {", 1) + "}\nreverse_proxy /order/* localhost:2\nreverse_proxy localhost:1\n}", ""},
		{"a path, and below it forward_auth", example, onOne + "forward_auth /order/* localhost:2 {\nuri /\n}\n" + strings.Replace(verify, "{", "/order {", 1) + "}\nreverse_proxy localhost:1\n}", ""},

		{"a path of another handle", example, onOne + "handle /api/* {\noauth_verify /orders/* { HERE\naudience a\n}\nreverse_proxy localhost:1\n}\n}", noPath},
		{"a path that handle_path has taken a part of", example, onOne + "handle_path /api/* {\noauth_verify /api/orders/* { HERE\naudience a\n}\nreverse_proxy localhost:1\n}\n}", noPath},
		{"a path that is answered in front", example, onOne + "route {\nrespond /api/* hi\noauth_verify /api/orders/* { HERE\naudience a\n}\n}\n}", noPath},
		{"a path of its handle", example, onOne + "handle /api/* {\n" + strings.Replace(verify, "{", "/api/orders/* {", 1) + "}\nreverse_proxy localhost:1\n}\n}", ""},
		{"a path behind handle_path", example, onOne + "handle_path /api/* {\n" + strings.Replace(verify, "{", "/orders/* {", 1) + "}\nreverse_proxy localhost:1\n}\n}", ""},
		{"a path behind two handle_path", example, onOne + "handle_path /api/* {\nhandle_path /v1/* {\n" + strings.Replace(verify, "{", "/orders {", 1) + "}\nreverse_proxy localhost:1\n}\n}\n}", ""},
		{"a path behind another rewrite", example, onOne + "rewrite /old/* /new{uri}\nhandle /new/* {\n" + strings.Replace(verify, "{", "/new/old/* {", 1) + "}\nreverse_proxy localhost:1\n}\n}", ""},
		{"a path of a route that another site has too", example, "&(guarded) {\n" + strings.Replace(verify, "{", "/orders/* {", 1) + "}\nreverse_proxy localhost:1\n}\n" + onOne + "handle /api/* {\ninvoke guarded\n}\n}\nhttps://two.example.com:%PORT% {\ninvoke guarded\n}", ""},
		{"a path of no route that two sites have", example, "&(guarded) {\noauth_verify /orders/* { HERE\naudience a\n}\nreverse_proxy localhost:1\n}\n" + onOne + "handle /api/* {\ninvoke guarded\n}\n}\nhttps://two.example.com:%PORT% {\nhandle /api/* {\ninvoke guarded\n}\n}", noPath},
		{"a path of one host", "https://auth.example.com", "https://*.example.com:%PORT% {\noauth_token\n@a host a.example.com\nhandle @a {\n" + strings.Replace(verify, "{", "/x* {", 1) + "}\n}\nhandle {\n" + strings.Replace(verify, "{", "/y* {", 1) + "}\n}\n}", ""},
		{"a path by a pattern", example, onOne + "@one path /API/?rders/*\nhandle /api/* {\n" + strings.Replace(verify, "{", "@one {", 1) + "}\nreverse_proxy localhost:1\n}\n}", ""},
		{"a path by the end of a name", example, onOne + "@json path *.json\nhandle /api/* {\n" + strings.Replace(verify, "{", "@json {", 1) + "}\nreverse_proxy localhost:1\n}\n}", ""},
		{"a path but one below it", example, onOne + "@api not path /api/x\nhandle @api {\n" + strings.Replace(verify, "{", "/api/* {", 1) + "}\n}\n}", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			port := c.site[strings.LastIndex(c.site, ":")+1:]
			sites := strings.NewReplacer("%PORT%", port, "%OTHER%", other).Replace(row.sites)
			text := c.vars.Replace(strings.Replace(runGlobal, "%GLOBAL%", server(row.issuer), 1) + sites)
			at := "Caddyfile:" + strconv.Itoa(1+strings.Count(text[:max(0, strings.Index(text, "HERE"))], "\n"))
			line := regexp.MustCompile(`"at":"(Caddyfile:\d+ or )*` + at + `( or |")`)
			for by, said := range c.saidOfSites(t, server(row.issuer), strings.Replace(sites, "HERE", "", 1)) {
				if (said != "") != (row.want != "") || !strings.Contains(said, row.want) ||
					said != "" && !line.MatchString(said) {
					t.Errorf("want %q at %s, caddy %s says %s", row.want, at, by, said)
				}
				lines := strings.Split(regexp.MustCompile(`"ts":[^,]*,`).ReplaceAllString(said, ""), "\n")
				if slices.Sort(lines); len(slices.Compact(slices.Clone(lines))) < len(lines) {
					t.Errorf("caddy %s says it twice: %s", by, said)
				}
			}
		})
	}
}

// A configuration that cannot be loaded has its error, and nothing is said of its sites, whichever
// of its apps was loaded before.
func TestNothingIsSaidOfSitesThatCannotBeLoaded(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad("", "")
	config := c.config(withServer(billing), "%SITE% {\noauth_token\n}")
	for name, says := range map[string]bool{"events": true, "nonexistent": false} {
		with := bytes.Replace(config, []byte(`"apps":{`), []byte(`"apps":{"`+name+`":{},`), 1)
		for range 20 { // they are loaded in no particular order
			log := filepath.Join(c.dir, "log")
			if err := os.Truncate(log, 0); err != nil {
				t.Fatal(err)
			}
			if err := c.validate(with); (err == nil) != says {
				t.Fatal(err)
			}
			if said := readFile(t, log); strings.Contains(said, "no site leads requests") != says {
				t.Fatalf("%s: %s", name, said)
			}
		}
	}
}

// saidOfSites is what "caddy run" and "caddy validate" say of sites.
func (c *running) saidOfSites(t *testing.T, global, sites string) map[string]string {
	log := filepath.Join(c.dir, "log")
	read := func(load func() error) (said string) {
		if err := errors.Join(os.Truncate(log, 0), load()); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(readFile(t, log)) {
			if strings.Contains(line, `"msg":"oauth_token: `) || strings.Contains(line, `"msg":"oauth_verify: `) {
				said += line
			}
		}
		return said
	}
	return map[string]string{
		"run":      read(func() error { return c.load(global, sites) }),
		"validate": read(func() error { return c.validate(c.config(global, sites)) }),
	}
}

// rewrites returns lines by which some requests go to /n1, others to /n2, and so on.
func rewrites(n int) string {
	lines := ""
	for i := range n {
		lines += fmt.Sprintf("@n%d header X-N %[1]d\nrewrite @n%[1]d /n%[1]d\n", i+1)
	}
	return lines
}
