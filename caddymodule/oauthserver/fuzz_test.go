package oauthserver_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/boltstore"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/memorystore"
)

const secretMarker = "Xyzzy-Plugh-29" // a literal secret that nothing else looks like

// adapt turns a Caddyfile into JSON as Caddy does.
func adapt(text []byte) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// Whatever a Caddyfile contains: adapting it does not panic, adapting it again has the same result,
// and neither the JSON nor the error shows a literal secret.
func FuzzCaddyfile(f *testing.F) {
	// Without this the fuzzer would do nothing but hash.
	f.Cleanup(oauthserver.SetArgon2idCost("m=8,t=1,p=1"))
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
	f.Add("issuer x\n}\nstore bolt `", "")
	f.Fuzz(func(t *testing.T, block, secret string) {
		if strings.ContainsAny(secret, "\"`\\{}\n\r<") || strings.Contains(block, "import") || len(block) > 4096 {
			return // the lexer's, not ours; and an import reads files
		}
		const line = "\n\tclient fuzz {\n\t\tsecret \"%\"\n\t}\n"
		text := []byte("{\noauth_server {\n" + block + strings.Replace(line, "%", secretMarker+secret, 1) + "}\n}\n")
		first, err := adapt(text)
		if err != nil {
			// A quote that is not closed makes one token of all that follows. If Caddy's own parser
			// does not expect a token there, it shows it, before anything of this package runs.
			ofCaddy := strings.Contains(err.Error(), "syntax error: unexpected token")
			if !ofCaddy && strings.Contains(err.Error(), secretMarker+secret) {
				t.Fatalf("the error shows the secret: %v", err)
			}
			return
		}
		second, err := adapt(text)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("adapted again: %v\n%s\n%s", err, first, second)
		}
		if bytes.Contains(first, []byte(secretMarker)) && !strings.Contains(block, secretMarker) {
			t.Fatalf("the JSON shows the secret: %s", first)
		}
	})
}
