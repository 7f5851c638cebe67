package caddymodule

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

// A rate limiter stands for the plugins that sort themselves in front of basic_auth.
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

// The files under testdata/adapt are a Caddyfile, a line of dashes, and what becomes of it: the JSON of our modules in full, or the error with its
// place. There is one for each subdirective and one for each mistake. UPDATE_ADAPT=1 rewrites what comes after the dashes.
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

// Whatever is in a Caddyfile: adapting it does not panic, what adapts does so to the same JSON again, and a literal secret is in neither the JSON nor
// the error.
func FuzzCaddyfile(f *testing.F) {
	cost := argon2idCost
	argon2idCost = "m=8,t=1,p=1" // or else the fuzzer does nothing but hash
	f.Cleanup(func() { argon2idCost = cost })
	f.Add(`issuer https://auth.example.com
		store bolt /var/lib/oauth.db
		access_token_ttl 4h
		signing_alg EdDSA
		audience https://api.example.com
		cors_origins https://app.example.com
		token_exchange {
			anonymous
			api_tokens {
				prefix demo
				max_per_user 20
				max_age 730d
				token_type urn:example:token-type:api
			}
		}`, "")
	f.Add(`issuer {env.ISSUER}
		store memory 1000
		token_exchange
		client billing {
			secret {env.BILLING_SECRET} expires 2030-01-31T00:00:00Z
			auth_method client_secret_post
			grants client_credentials token_exchange
			scope orders:read orders:write
			default_scope orders:read
			audience https://api.example.com/orders
			access_token_ttl 5m
			exchange_from *
		}`, " expires $argon2id$")
	f.Fuzz(func(t *testing.T, block, secret string) {
		if strings.ContainsAny(secret, "\"`\\{}\n\r<") || strings.Contains(block, "import") || len(block) > 4096 {
			return // the lexer's, not ours; and an import reads files
		}
		const line = "\n\tclient fuzz {\n\t\tsecret \"%\"\n\t}\n"
		text := []byte("{\noauth_server {\n" + block + strings.Replace(line, "%", marker+secret, 1) + "}\n}\n")
		first, err := adapt(text)
		if err != nil {
			if strings.Contains(err.Error(), marker+secret) {
				t.Fatalf("the error shows the secret: %v", err)
			}
			return
		}
		second, err := adapt(text)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("adapted again: %v\n%s\n%s", err, first, second)
		}
		if bytes.Contains(first, []byte(marker)) && !strings.Contains(block, marker) {
			t.Fatalf("the JSON shows the secret: %s", first)
		}
	})
}
