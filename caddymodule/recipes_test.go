package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// TestRecipesForClients runs the programs of docs/client-recipes.md against the Caddyfile of that
// page: each must get through once as the client and once by an API token. A program whose language
// is not installed is skipped, or fails with CI=true.
func TestRecipesForClients(t *testing.T) {
	const page = "caddymodule/docs/client-recipes.md"
	global, site, ok := strings.Cut(strings.TrimPrefix(blocks(t, page, "caddyfile")[0], "{\n"), "\n}\n\n")
	if !ok {
		t.Fatal("the page has no Caddyfile")
	}
	const secret = "kM3:/+ %9 secret of a machine" // what must be encoded in a form and in Basic
	t.Setenv("BILLING_SECRET", secret)
	c := newCaddy(t)
	here := strings.NewReplacer("https://api.example.com", c.site)
	c.mustLoad(strings.Replace(here.Replace(global), "oauth_server {", "oauth_server {\nstore memory", 1), here.Replace(strings.Replace(site, "api.example.com {", "%SITE% {", 1)))
	t.Setenv("API_TOKEN", c.newAPIToken("ada", c.site+"/orders", "orders:read"))
	for _, recipe := range []struct {
		language, file string
		command        []string
	}{
		{"sh", "orders.sh", []string{"sh", "-eu"}},
		{"python", "orders.py", []string{"python3"}},
		{"golang", "orders.go", []string{"go", "run"}},
		{"js", "orders.mjs", []string{"node"}},
		{"java", "Orders.java", []string{"java"}},
	} {
		t.Run(recipe.language, func(t *testing.T) {
			for _, needed := range append([]string{recipe.command[0]}, map[string][]string{"sh": {"curl", "jq"}}[recipe.language]...) {
				if _, err := exec.LookPath(needed); err != nil {
					servertest.Check(t, fmt.Errorf("%s is %w", needed, servertest.ErrMissing))
				}
			}
			text := here.Replace(blocks(t, page, recipe.language)[0])
			dir := t.TempDir()
			if recipe.language == "js" {
				packages := os.Getenv("NPM_CLIENTS")
				if packages == "" {
					servertest.Check(t, fmt.Errorf("the npm package is %w: run: npm install --prefix DIR openid-client@6.8.9, and set NPM_CLIENTS=DIR", servertest.ErrMissing))
				}
				if err := os.Symlink(filepath.Join(packages, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
					t.Fatal(err)
				}
				// The server of this test has no TLS.
				const secret = "client.ClientSecretBasic(process.env.BILLING_SECRET),"
				text = strings.Replace(text, secret, secret+" { execute: [client.allowInsecureRequests] },", 1)
			}
			file := filepath.Join(dir, recipe.file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), recipe.command[0], append(recipe.command[1:], file)...)
			command.Dir = root // for the modules of Go
			said, err := command.CombinedOutput()
			for _, who := range []string{"client:billing", "ada"} {
				if !strings.Contains(string(said), "orders for "+who) {
					t.Errorf("it does not get the orders for %s: %v\n%s", who, err, said)
				}
			}
		})
	}
}

// TestRecipesForGrants runs the lines of curl of docs/client-recipes.md for the clients of the
// README, and then that of docs/people.md which takes back what was allowed. read, of the shell, is
// the person who opens the URL and allows it, signed in by basic_auth. The identity provider is one
// whose key is in a file.
func TestRecipesForGrants(t *testing.T) {
	for _, needed := range []string{"curl", "jq", "openssl"} {
		if _, err := exec.LookPath(needed); err != nil {
			servertest.Check(t, fmt.Errorf("%s is %w", needed, servertest.ErrMissing))
		}
	}
	for _, name := range []string{"BILLING_SECRET", "NOTES_SECRET", "ASSISTANT_SECRET"} {
		t.Setenv(name, "secret of a machine")
	}
	t.Setenv("ADA_PASSWORD", "wonderland")
	c := newCaddy(t)
	idp := verifytest.New("https://acme.okta.com", c.site)
	jwks, dir := filepath.Join(t.TempDir(), "jwks.json"), t.TempDir()
	writeFile(t, jwks, string(idp.JWKS()))
	t.Setenv("ASSERTION", idp.Sign(verifytest.Claims{"sub": "ada", "jti": "1"}))
	const ada = "ada $argon2id$v=19$m=8,t=1,p=1$ipBXIkWLk8WGxaaqypWD9g$/YCnL1MH/T9mUq2uTvF51lHNvCI1o7W0QRh5Bd0/a+0"
	here := strings.NewReplacer("https://api.example.com", c.site, "oauth_server {", "oauth_server {\nstore memory\nidentity",
		"users htpasswd /etc/caddy/users.htpasswd", "users inline {\nuser "+ada+"\n}",
		"id_jag https://acme.okta.com {\n\t\t\tdiscovery", "jwt https://acme.okta.com {\n\t\t\tjwks_file "+jwks,
		"policy assistants {", "policy assistants {\ngrants jwt_bearer",
		"\napi.example.com {", "\n%SITE% {\n@person path /oauth/authorize /oauth/device\nbasic_auth @person argon2id {\n"+ada+"\n}")
	global, site, _ := strings.Cut(strings.TrimPrefix(blocks(t, "README.md", "caddyfile")[0], "{\n"), "\n}\n")
	c.mustLoad(here.Replace(global), here.Replace(site))
	const person = `
person() {
	curl -sS -u ada:wonderland -c jar -b jar "$url" >page.html
	page=$(sed -n 's/.*name="page" value="\([^"]*\)".*/\1/p' page.html)
	curl -sS -u ada:wonderland -c jar -b jar -d "page=$page" -d decision=allow -o done.html -w '%{redirect_url}' "${url%%\?*}"
}
read() { code=$(person | sed 's/.*[?&]code=\([^&]*\).*/\1/'); }
`
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", person+here.Replace(blocks(t, "caddymodule/docs/client-recipes.md", "sh")[1]))
	command.Dir = dir
	if said, err := command.CombinedOutput(); err != nil || strings.Count(string(said), `"access_token":`) != 5 {
		t.Errorf("%v\n%s", err, said)
	}
	t.Setenv("CADDY_ADMIN", c.admin)
	shows(t, shell(t, dir, blocks(t, "caddymodule/docs/people.md", "sh")[0]), `"ada" has allowed client "notes" is revoked`)
}

// TestMigrationFromKeys runs the Caddyfile of docs/migration.md: a key and a token both lead to the
// API, which is given a key each time, and a user only by Caddy.
func TestMigrationFromKeys(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "key %q user %q token %q", r.Header.Get("X-Api-Key"), r.Header.Get("X-User-Id"), r.Header.Get("Authorization"))
	}))
	defer upstream.Close()
	t.Setenv("BILLING_SECRET", marker)
	t.Setenv("SHOP_KEY", "key of Caddy")
	c := newCaddy(t, "legacy:8080", upstream.Listener.Addr().String(), "https://api.example.com/orders", "orders")
	global, site, ok := strings.Cut(strings.TrimPrefix(blocks(t, "caddymodule/docs/migration.md", "caddyfile")[0], "{\n"), "\n}\n\n")
	if !ok {
		t.Fatal("the page has no Caddyfile")
	}
	c.mustLoad(strings.Replace(global, "oauth_server {", "oauth_server {\nstore memory", 1), strings.Replace(site, "api.example.com {", "%SITE% {", 1))
	bearer := "Bearer " + c.token(marker)
	for _, row := range []struct {
		key, authorization string
		status             int
		says               string
	}{
		{"old", "", http.StatusOK, `key "old" user "" token ""`},
		{"", bearer, http.StatusOK, `key "key of Caddy" user "client:billing" token ""`},
		{"old", bearer, http.StatusOK, `key "key of Caddy" user "client:billing" token ""`},
		{"old", "Bearer nonsense", http.StatusUnauthorized,
			`{"error":"invalid_token","error_description":"the token is not a signed JWT","scope":"orders:read"}`},
		{"", "", http.StatusUnauthorized, `{"error_description":"no access token was sent","scope":"orders:read"}`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.site+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User-Id", "somebody else")
		for name, value := range map[string]string{"X-Api-Key": row.key, "Authorization": row.authorization} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if got := c.send(r); got.status != row.status || got.body != row.says {
			t.Errorf("key %q, authorization %.20q: %d %s", row.key, row.authorization, got.status, got.body)
		}
	}
}

// TestMigrationOfAKey imports what docs/migration.md does, the hash of abc, into a server that the
// page says is needed: that key is exchanged for a token that the route of the page takes.
func TestMigrationOfAKey(t *testing.T) {
	const page = "caddymodule/docs/migration.md"
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "orders for "+r.Header.Get("X-User-Id"))
	}))
	defer upstream.Close()
	t.Setenv("BILLING_SECRET", marker)
	t.Setenv("SHOP_KEY", "key of Caddy")
	c := newCaddy(t, "legacy:8080", upstream.Listener.Addr().String())
	here := strings.NewReplacer("https://api.example.com", c.site)
	global, site, _ := strings.Cut(strings.TrimPrefix(blocks(t, page, "caddyfile")[0], "{\n"), "\n}\n\n")
	global = strings.Replace(global, "oauth_server {", "oauth_server {\nstore memory\ntoken_exchange {\nanonymous\napi_tokens\n}", 1)
	c.mustLoad(here.Replace(global), here.Replace(strings.Replace(site, "api.example.com {", "%SITE% {", 1)))
	t.Setenv("CADDY_ADMIN", c.admin)
	shows(t, shell(t, c.dir, here.Replace(blocks(t, page, "sh")[0])), "imported: 1[.]")
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:tokenep:params:oauth:token-type:api_token"}, "subject_token": {"abc"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var issued struct {
		Token string `json:"access_token"`
	}
	if got := c.send(r).want(t, "the exchange", http.StatusOK); json.Unmarshal([]byte(got.body), &issued) != nil {
		t.Fatal(got.body)
	}
	if got := c.get(c.site+"/orders", issued.Token).want(t, "the route", http.StatusOK); got.body != "orders for ada" {
		t.Error(got.body)
	}
}

// TestCurlOfTheAdminAPI runs the blocks of docs/admin-api.md that manage a server, one after the
// other, but that a client is made before it gets another secret.
func TestCurlOfTheAdminAPI(t *testing.T) {
	for _, needed := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(needed); err != nil {
			servertest.Check(t, fmt.Errorf("%s is %w", needed, servertest.ErrMissing))
		}
	}
	c := newCaddy(t)
	c.mustLoad(`oauth_server {
	issuer %SITE%
	store memory
	token_exchange {
		anonymous
		api_tokens
	}
}`, "%SITE% {\n\toauth_token\n}\n")
	t.Setenv("CADDY_ADMIN", c.admin)
	lines := "curl() { command curl -sS --fail-with-body \"$@\"; }\n"
	managing := blocks(t, "caddymodule/docs/admin-api.md", "sh")[1:]
	managing[0], managing[1] = managing[1], managing[0]
	for _, block := range managing {
		lines += strings.ReplaceAll(block, "localhost:2019", c.admin)
	}
	command := exec.CommandContext(t.Context(), "sh", "-eux", "-c", lines)
	command.Dir = t.TempDir()
	if said, err := command.CombinedOutput(); err != nil || strings.Count(lines, "curl ") < 8 {
		t.Errorf("%v\n%s", err, said)
	}
}

// newAPIToken makes an API token by the admin API.
func (c *running) newAPIToken(owner, service, scope string) string {
	c.t.Helper()
	text := c.administer("api_tokens", fmt.Sprintf(`{"owner":%q,"service":%q,"scope":%q}`, owner, service, scope))
	_, token, found := strings.Cut(text, `"token":"`)
	token, _, _ = strings.Cut(token, `"`)
	if !found {
		c.t.Fatal(text)
	}
	return token
}

// administer sends JSON to a resource of the admin API, and returns the answer.
func (c *running) administer(resource, body string) string {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, "http://"+c.admin+"/oauth_server/default/"+resource, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return c.send(r).body
}
