package oauthserver_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
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

// isSecret reports whether Caddy's parser finds the value where a client has its secret. Behind a
// quote or a brace that is not closed it is a part of something else, which may well be shown: by
// Caddy, and in the JSON.
func isSecret(text []byte, value string) bool {
	blocks, err := caddyfile.Parse("Caddyfile", text)
	if err != nil || len(blocks) == 0 || len(blocks[0].Keys) > 0 {
		return false // the error is Caddy's, or there are no global options
	}
	for _, option := range blocks[0].Segments {
		if option.Directive() == "oauth_server" && clientHas(caddyfile.NewDispenser(option), value) {
			return true
		}
	}
	return false
}

// clientHas looks for the value as a secret of the clients in the block at d.
func clientHas(d *caddyfile.Dispenser, value string) bool {
	d.Next()
	d.RemainingArgs()
	for d.NextBlock(0) {
		client := d.Val() == "client"
		d.RemainingArgs()
		for d.NextBlock(1) {
			secret := d.Val() == "secret"
			if slices.Contains(d.RemainingArgs(), value) && client && secret {
				return true
			}
			for d.NextBlock(2) { // whatever it is
			}
		}
	}
	return false
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
	// A quote that is not closed makes the secret an address of a site, or an audience.
	f.Add("issuer x\n}\n}\n\"", "@6nt,,m(@")
	f.Add("issuer https://auth.example.com\nstore memory\nclient a {\nauth_method none\naudience \"", "")
	f.Fuzz(func(t *testing.T, block, secret string) {
		if strings.ContainsAny(secret, "\"`\\{}\n\r<") || strings.Contains(block, "import") || len(block) > 4096 {
			return // the lexer's, not ours; and an import reads files
		}
		if strings.Contains(block, secretMarker) {
			return // it may be shown there
		}
		const line = "\n\tclient fuzz {\n\t\tsecret \"%\"\n\t}\n"
		text := []byte("{\noauth_server {\n" + block + strings.Replace(line, "%", secretMarker+secret, 1) + "}\n}\n")
		secretly := isSecret(text, secretMarker+secret)
		first, err := adapt(text)
		if err != nil {
			if secretly && strings.Contains(err.Error(), secretMarker) {
				t.Fatalf("the error shows the secret: %v", err)
			}
			return
		}
		second, err := adapt(text)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("adapted again: %v\n%s\n%s", err, first, second)
		}
		if secretly && bytes.Contains(first, []byte(secretMarker)) {
			t.Fatalf("the JSON shows the secret: %s", first)
		}
	})
}
