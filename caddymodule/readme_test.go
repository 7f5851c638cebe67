package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
)

// What the README promises.

// blocks returns the fenced blocks of a language in a page, in their order.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(repositoryFile(t, page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// repositoryFile returns the text of a file of the repository.
func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCaddyfilesAdapt also loads the blocks of the README and of the manual: placeholders are
// resolved, and everything is provisioned, without a warning but for what is advised against. A
// block that begins with issuer is of a route.
func TestReadmeCaddyfilesAdapt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gateway":             "secret of the gateway",
		"billing":             "secret of billing",
		"encryption_key":      strings.Repeat("00", 32),
		"pages/texts/de.json": `{"sign_in.title": "Anmeldung"}`,
		"users.htpasswd":      "ada:$2a$10$ppL/g6WBfdetefbQxI8fHObXK9izlK0WSxVoEy/2h0yxEVBTFK1Su\n",
		"k8s-ca.pem":          certificatePEM(newCertificate(t, "authority", nil)),
		"clients-ca.pem":      certificatePEM(newCertificate(t, "authority", nil)),
		// RFC 8037 appendix A.2
		"idp.jwks.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("NOTES_SECRET", "long secret of notes")
	t.Setenv("BILLING_SECRET", "secret of billing")
	t.Setenv("ASSISTANT_SECRET", "secret of assistant")
	t.Setenv("ADA_PASSWORD_HASH", "$2a$10$ppL/g6WBfdetefbQxI8fHObXK9izlK0WSxVoEy/2h0yxEVBTFK1Su")
	t.Setenv("SHOP_KEY", "key of the shop")
	t.Setenv("LDAP_PASSWORD", "password of the reader")
	t.Setenv("OAUTH_KEY", strings.Repeat("00", 32))
	files := strings.NewReplacer("/run/secrets", dir, "/run/credentials/caddy-tokenep.service", dir, "/etc/caddy", dir, "/var/lib/caddy", dir, "algorithms RS256", "algorithms EdDSA")
	// caddy fmt removes the alignment of comments, which reads well in a README.
	alignment := regexp.MustCompile(` +#`)
	for page := range manualPages(t) {
		for i, block := range blocks(t, page, "caddyfile") {
			t.Run(fmt.Sprint(path.Base(page), " ", i+1), func(t *testing.T) {
				block := alignment.ReplaceAllString(files.Replace(block), " #")
				if strings.HasPrefix(block, "issuer ") {
					block = "api.example.com {\n\toauth_verify {\n\t\t" + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n\t\t") + "\n\t}\n}\n"
				}
				adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), map[string]any{"filename": page})
				if err != nil || len(warnings) > 0 {
					t.Fatalf("%v %v\n%s", err, warnings, block)
				}
				var config caddy.Config
				if err := json.Unmarshal(adapted, &config); err != nil {
					t.Fatal(err)
				}
				log := filepath.Join(t.TempDir(), "log")
				if config.Logging == nil {
					config.Logging = &caddy.Logging{Logs: make(map[string]*caddy.CustomLog)}
				}
				config.Logging.Logs["default"] = &caddy.CustomLog{BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(fmt.Sprintf(`{"output":"file","filename":%q}`, log))}}
				if err := caddy.Validate(&config); err != nil {
					t.Errorf("%v\n%s", err, block)
				}
				for line := range strings.Lines(readFile(t, log)) {
					if warnedOfOAuth.MatchString(line) && !meant.MatchString(line) {
						t.Errorf("%s\n%s", line, block)
					}
				}
				var parsed any
				if err := errors.Join(json.Unmarshal(adapted, &parsed), checkReached(parsed)); err != nil {
					t.Errorf("%v\n%s", err, block)
				}
			})
		}
	}
}

var (
	warnedOfOAuth = regexp.MustCompile(`"level":"warn".*oauth_`)
	// A client may be added at run time.
	meant = regexp.MustCompile(`password_grant: |names a client that is not in the configuration`)
)

// TestReadmeOpensSinglePaths runs the block of protected routes. Caddy matches the cleaned path and
// passes the raw one on, which an upstream may read in its own way: an open route must let nothing
// but its own path through (RFC 3986 §5.2.4).
func TestReadmeOpensSinglePaths(t *testing.T) {
	block := blocks(t, "caddymodule/docs/routes.md", "caddyfile")[0]
	global, site, ok := strings.Cut(strings.TrimPrefix(block, "{\n"), "\n}\n\n")
	if !ok || !strings.Contains(site, "handle /health") {
		t.Fatal(block)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "upstream got "+r.RequestURI+" end")
	}))
	defer upstream.Close()
	c := newCaddy(t, "legacy:8080", upstream.Listener.Addr().String())
	c.mustLoad(global, strings.Replace(site, "api.example.com {", "%SITE% {", 1))
	send := func(path string) string {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.site, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	for _, open := range []string{"/health", "/catalog"} {
		if answer := send(open); !strings.Contains(answer, "upstream got "+open+" end") {
			t.Errorf("%s is not open: %s", open, answer)
		}
		for _, path := range []string{
			"/orders/..", "/orders/1/%2e%2e/%2e%2e", "/orders/..;/..", "/./", "/orders/%2E%2E/.", "/orders//..", "/orders%2f..",
		} {
			answer := send(path + open)
			if strings.Contains(answer, "upstream got ") && !strings.Contains(answer, "upstream got "+open+" end") {
				t.Errorf("%s: %s", path+open, answer)
			}
		}
	}
	if answer := send("//health"); strings.Contains(answer, "upstream got //") {
		t.Errorf("//health: %s", answer)
	}
}

// TestReadmeGoIsAnExample compares the Go of the manual, line by line, with the examples, which are
// compiled and run.
func TestReadmeGoIsAnExample(t *testing.T) {
	examples := repositoryFile(t, "tokenep/server/example_test.go")
	for _, block := range blocks(t, "caddymodule/docs/building.md", "go") {
		for line := range strings.Lines(block) {
			if !strings.Contains(examples, "\t"+line) && strings.TrimSpace(line) != "" {
				t.Errorf("no example has %q", line)
			}
		}
	}
}
