package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A rate limiter, for the plugins whose directives are ordered before basic_auth.
func init() {
	caddy.RegisterModule(rateLimit{})
	httpcaddyfile.RegisterHandlerDirective("test_rate_limit", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next() // consume directive name
		return rateLimit{}, nil
	})
}

type rateLimit struct{}

func (rateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_rate_limit", New: func() caddy.Module { return new(rateLimit) }}
}

func (rateLimit) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	w.Header().Add("Seen", "rate limit")
	return next.ServeHTTP(w, r)
}

// adapt turns a Caddyfile into JSON as Caddy does.
func adapt(text []byte) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// A file under testdata/adapt is a Caddyfile, a line of dashes, and the result: the JSON, or the
// error with its place. There is one for each subdirective and one for each mistake. UPDATE_ADAPT=1
// rewrites what comes after the dashes.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, want, ok := strings.Cut(string(golden), "\n----------\n")
			if !ok {
				t.Fatal("no line of dashes")
			}
			input := []byte(text + "\n")
			if !bytes.Equal(caddyfile.Format(input), input) {
				t.Errorf("caddy fmt would change it to\n%s", caddyfile.Format(input))
			}
			adapted, err := adapt(input)
			got := "" // an error, or indented JSON
			if err != nil {
				got = err.Error() + "\n"
			} else {
				got = indent(t, adapted)
			}
			if os.Getenv("UPDATE_ADAPT") != "" {
				if err := os.WriteFile(file, []byte(text+"\n----------\n"+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if (err != nil) != strings.HasPrefix(filepath.Base(file), "error_") {
				t.Errorf("an error, and nothing else, is in a file called error_…")
			}
		})
	}
}

func indent(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

const marker = "Xyzzy-Plugh-29" // a literal secret that nothing else looks like
