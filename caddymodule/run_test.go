package caddymodule_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

// running is a Caddy in this process, with a data directory of its own.
type running struct {
	t     *testing.T
	dir   string
	admin string // address
	site  string // URL
	vars  *strings.Replacer
}

// runGlobal begins every Caddyfile of these tests.
const runGlobal = `{
	admin %ADMIN%
	default_bind 127.0.0.1
	storage file_system %DIR%/storage
	log {
		output file %DIR%/log
		level DEBUG
	}
	%GLOBAL%
}
`

// newCaddy prepares a Caddy. The variables of its Caddyfiles are %SITE%, %DIR% and vars.
func newCaddy(t *testing.T, vars ...string) *running {
	t.Helper()
	c := &running{t: t, dir: t.TempDir()}
	ports := make([]string, 2)
	for i := range ports {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = "127.0.0.1:" + port
	}
	c.admin, c.site = ports[0], "http://"+ports[1]
	c.vars = strings.NewReplacer(append([]string{"%ADMIN%", c.admin, "%SITE%", c.site, "%DIR%", c.dir}, vars...)...)
	t.Setenv("XDG_DATA_HOME", filepath.Join(c.dir, "data"))
	before := caddy.ConfigAutosavePath
	caddy.ConfigAutosavePath = filepath.Join(c.dir, "autosave.json")
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		caddy.ConfigAutosavePath = before
		scriptClient.CloseIdleConnections()
	})
	return c
}

// config adapts a Caddyfile.
func (c *running) config(global, sites string) []byte {
	c.t.Helper()
	text := c.vars.Replace(strings.Replace(runGlobal, "%GLOBAL%", global, 1) + sites)
	adapted, err := adapt([]byte(text))
	if err != nil {
		c.t.Fatal(err)
	}
	return adapted
}

// load runs a configuration, or replaces the running one by it.
func (c *running) load(global, sites string) error {
	c.t.Helper()
	return caddy.Load(c.config(global, sites), true)
}

func (c *running) mustLoad(global, sites string) {
	c.t.Helper()
	if err := c.load(global, sites); err != nil {
		c.t.Fatal(err)
	}
}

// validate does what "caddy validate" does.
func (c *running) validate(config []byte) error {
	c.t.Helper()
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		c.t.Fatal(err)
	}
	return caddy.Validate(&parsed)
}

// response is a complete answer.
type response struct {
	status int
	header http.Header
	body   string
}

// get makes a request with a bearer token, or without one if it is empty.
func (c *running) get(url, token string) response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return c.send(r)
}

// post sends a form as client billing.
func (c *running) post(path, secret string, form ...string) response {
	c.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.site+path, strings.NewReader(values.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("billing", secret)
	return c.send(r)
}

func (c *running) send(r *http.Request) response {
	c.t.Helper()
	answered, err := sendAgain(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answered.Body.Close()
	body, err := io.ReadAll(answered.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response{answered.StatusCode, answered.Header, string(body)}
}

// sendAgain sends a request until there is an answer, up to eleven times. During a reload there are
// two listeners for a moment. Connections in the queue of the old one are reset when it closes, and
// net/http closes those that it has just accepted without an answer. TestReloadUnderLoad shows that
// nothing else is lost.
func sendAgain(r *http.Request) (*http.Response, error) {
	answered, err := scriptClient.Do(r)
	for range 10 {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			break
		}
		if r.GetBody != nil {
			r.Body, _ = r.GetBody()
		}
		answered, err = scriptClient.Do(r)
	}
	return answered, err
}

// token gets an access token for client billing.
func (c *running) token(secret string) string {
	c.t.Helper()
	a := c.post("/oauth/token", secret, "grant_type", "client_credentials")
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK || body.Token == "" {
		c.t.Fatalf("no token: %d %s %v", a.status, a.body, err)
	}
	return body.Token
}

// want compares the status with the expected one.
func (a response) want(t testing.TB, what string, status int) response {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d; %v %s", what, a.status, status, a.header, a.body)
	}
	return a
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// whoami shows what another module sees in the context of a request and in placeholders that are
// not empty.
type whoami struct{}

func init() {
	caddy.RegisterModule(whoami{})
	httpcaddyfile.RegisterHandlerDirective("test_whoami", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next() // consume directive name
		return whoami{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_whoami", httpcaddyfile.Before, "respond")
}

func (whoami) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_whoami", New: func() caddy.Module { return new(whoami) }}
}

func (whoami) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	seen := map[string]any{"headers": r.Header, "query": r.URL.RawQuery}
	if token, ok := verify.FromContext(r.Context()); ok {
		seen["context"] = token.Subject
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	for _, name := range []string{"id", "sub", "client_id", "name", "level", "staff", "roles"} {
		if value, ok := repl.Get("http.auth.user." + name); ok && value != "" {
			seen[name] = value
		}
	}
	return json.NewEncoder(w).Encode(seen)
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
