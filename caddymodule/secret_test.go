package caddymodule_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// No secret and no token is in GET /config/, in the autosaved configuration, or in a log at DEBUG.
func TestSecretsShowNowhere(t *testing.T) {
	const fromEnv, fromFile = "From-Env-31-Secret", "From-File-37-Secret"
	t.Setenv("RUN_SECRET", fromEnv)
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "secret"), fromFile+"\n")
	server := strings.Replace(runServer("memory", ""), "secret "+marker, "secret "+marker+"\nsecret {env.RUN_SECRET}\nsecret {file.%DIR%/secret}", 1)
	c.mustLoad(server, site(""))

	shown := []string{marker, fromEnv, fromFile, "Wrong-41-Secret"}
	for _, secret := range shown[:3] {
		token := c.token(secret)
		c.get(c.site+"/orders", token).want(t, "good token", http.StatusOK)
		// A token is worthless without its signature.
		shown = append(shown, token[strings.LastIndexByte(token, '.')+1:])
	}
	forged := c.token(marker) + "x"
	c.get(c.site+"/orders", forged).want(t, "bad token", http.StatusUnauthorized)
	c.post("/oauth/token", "Wrong-41-Secret", "grant_type", "client_credentials").want(t, "wrong secret", http.StatusUnauthorized)
	shown = append(shown, forged[strings.LastIndexByte(forged, '.')+1:])

	config := c.get("http://"+c.admin+"/config/", "").want(t, "config", http.StatusOK).body
	if !strings.Contains(config, "$argon2id$") || !strings.Contains(config, "{env.RUN_SECRET}") {
		t.Errorf("the configuration is not the one that was loaded: %s", config)
	}
	log := readFile(t, filepath.Join(c.dir, "log"))
	if !strings.Contains(log, "token issued") || !strings.Contains(log, "token refused") || !strings.Contains(log, "request denied") {
		t.Errorf("the log lacks a line: %s", log)
	}
	for place, text := range map[string]string{
		"GET /config/": config, "autosave.json": readFile(t, filepath.Join(c.dir, "autosave.json")), "the log": log,
	} {
		for _, secret := range shown {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", place, secret)
			}
		}
	}
}

// A URL that is wrong is told by its host and path: what is before and behind them may be a secret.
func TestErrorsShowNoSecretOfURL(t *testing.T) {
	c := newCaddy(t)
	guard := func(block string) string { return ":8080 {\noauth_verify {\naudience a\n" + block + "\n}\n}\n" }
	issuer := func(block string) string { return guard("issuer https://idp.example {\n" + block + "\n}") }
	server := func(block string) string { return "{\noauth_server {\nstore memory\n" + block + "\n}\n}\n" }
	const plain, malformed = "http://idp.example/path?key=" + marker, "https://u:" + marker + "@idp.example:x/path"
	for _, url := range []string{plain, malformed, "https://" + marker + ":" + marker + "@idp.example/path", "https://idp.example/path?a#" + marker} {
		for name, text := range map[string]string{
			"jwks_uri":       issuer("jwks_uri " + url),
			"discovery":      issuer("discovery " + url),
			"introspection":  issuer("introspection " + url + " {\nclient_id a\nclient_secret {env.A}\n}"),
			"resource":       guard("resource " + url),
			"ask":            guard("authorization ask " + url + " {\nsend bearer\n}"),
			"exchange":       guard("authorization exchange " + url + " {\nclient a\n}"),
			"issuer":         server("issuer " + url),
			"jwks of client": server("issuer https://auth.example\nclient a {\nauth_method private_key_jwt\njwks_uri " + url + "\n}"),
			"users":          server("issuer https://auth.example\nusers http " + url),
			"subject":        server("issuer https://auth.example\nsubject introspection " + url + " {\nclient_id a\nclient_secret {env.A}\naudience a\n}"),
			"subject http":   server("issuer https://auth.example\nsubject http " + url + " {\ntoken_type urn:x:y\n}"),
			"trusted":        server("issuer https://auth.example\nsubject jwt https://idp.example {\njwks_uri " + url + "\naudience a\n}"),
		} {
			adapted, err := adapt([]byte(text))
			if err == nil {
				err = c.validate(adapted)
			}
			if err == nil || strings.Contains(err.Error(), marker) {
				t.Errorf("%s %s: %v", name, url, err)
			}
		}
	}
}

// A secret that is written down where a placeholder would do is warned about when it is loaded, and
// the warning does not show it.
func TestLiteralSecretsAreWarnedAbout(t *testing.T) {
	t.Setenv("UPSTREAM", strings.Repeat(marker, 3))
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(verifytest.New("https://idp.example", "orders").JWKS()))
	for _, row := range []struct{ option, issuer, guard, global string }{
		{option: "authorization basic", guard: "authorization basic app SECRET"},
		{option: "authorization value", guard: "authorization value SECRET {\nsend header X-Key\n}"},
		{option: "authorization exchange: the client's secret", guard: "authorization exchange https://as.example/token {\nclient a SECRET\n}"},
		{option: "authorization exchange: the client's secret", guard: "authorization exchange https://as.example/token {\nclient a\naudience https://as.example\nassert https://as.example/two {\nclient b SECRET\n}\n}"},
		{option: "authorization ask: header X-Api-Key", guard: "authorization ask https://keys.example {\nheader X-Api-Key SECRET\nheader X-Tenant acme\nsend bearer\n}"},
		{option: "introspection: client_secret", issuer: "introspection https://idp.example/introspect {\nclient a SECRET\n}"},
		{option: "hmac_secret", issuer: "hmac_secret SECRET" + marker + marker},
		{option: "introspection: client_secret", global: "subject introspection https://idp.example/introspect {\nclient a SECRET\naudience a\npolicy p {\nsubject claims.sub\nscope read\naudience a\n}\n}"},
		{option: "http: header X-Api-Key", global: "users http https://login.example {\nheader X-Api-Key SECRET\nno 401\nsend basic\nsubject id\n}"},
	} {
		keys := row.issuer
		if !strings.HasPrefix(keys, "hmac_secret") {
			keys += "\njwks_file %DIR%/jwks.json"
		}
		for value, warned := range map[string]bool{marker: true, "{env.UPSTREAM}": false} {
			global, site := "", "%SITE% {\noauth_verify {\nissuer https://idp.example {\naudience orders\n"+keys+"\n}\n"+row.guard+"\n}\n}\n"
			if row.global != "" {
				global, site = "oauth_server {\nissuer https://auth.example\nstore memory\n"+row.global+"\n}", ""
			}
			if value != marker {
				site = strings.ReplaceAll(site, "SECRET"+marker+marker, "SECRET")
			}
			writeFile(t, filepath.Join(c.dir, "log"), "")
			c.mustLoad(strings.ReplaceAll(global, "SECRET", value), strings.ReplaceAll(site, "SECRET", value))
			said := ""
			for line := range strings.Lines(readFile(t, filepath.Join(c.dir, "log"))) {
				if strings.Contains(line, "a secret is in the configuration in clear") {
					said += line
				}
			}
			if warned != strings.Contains(said, `"option":"`+row.option+`"`) || warned != (said != "") || strings.Contains(said, marker) {
				t.Errorf("%s %s: said %s", row.option, value, said)
			}
		}
	}
}
