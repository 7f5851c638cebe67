package tokenep_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 6749 §2 and appendix A.1: what a client can be.
func TestClientValidate(t *testing.T) {
	secret := []tokenep.Secret{{Hash: "x"}}
	for _, row := range []struct {
		name   string
		client tokenep.Client
		wrong  string // a part of the error; empty: none
	}{
		{"confidential", tokenep.Client{ID: "a", Secrets: secret}, ""},
		{"confidential, pinned", tokenep.Client{ID: "a", Secrets: secret, AuthMethod: tokenep.AuthPost}, ""},
		{"2.1: public, but not said so", tokenep.Client{ID: "a"}, "auth_method none"},
		{"public, said so", tokenep.Client{ID: "a", AuthMethod: tokenep.AuthNone}, ""},
		{"A.1: visible characters and spaces", tokenep.Client{ID: "a: %~", AuthMethod: tokenep.AuthNone}, ""},
		{"a default within the scope", tokenep.Client{ID: "a", Secrets: secret, Scope: verify.Scope{"x", "y"}, DefaultScope: verify.Scope{"y"}}, ""},
		{"no id", tokenep.Client{}, "must have an id"},
		{"a long id", tokenep.Client{ID: strings.Repeat("a", 129)}, "it has 129"},
		{"A.1: a line break", tokenep.Client{ID: "a\nb"}, "visible ASCII"},
		{"A.1: below the space", tokenep.Client{ID: "a\x1fb"}, "visible ASCII"},
		{"A.1: above the tilde", tokenep.Client{ID: "a\x7fb"}, "visible ASCII"},
		{"A.1: not ASCII", tokenep.Client{ID: "ä"}, "visible ASCII"},
		{"a reserved id", tokenep.Client{ID: "api_token:x"}, "reserved"},
		{"a default beyond the scope", tokenep.Client{ID: "a", Secrets: secret, DefaultScope: verify.Scope{"y"}}, "default_scope"},
		{"2.1: public, and a method with a secret", tokenep.Client{ID: "a", AuthMethod: tokenep.AuthBasic}, "needs a secret"},
		{"2.1: confidential, and method none", tokenep.Client{ID: "a", Secrets: secret, AuthMethod: tokenep.AuthNone}, "exclude"},
		{"an unknown method", tokenep.Client{ID: "a", Secrets: secret, AuthMethod: "x"}, "unknown auth_method"},
		{"a negative life", tokenep.Client{ID: "a", Secrets: secret, AccessTokenTTL: tokenep.Duration(-time.Second)}, "a second at least"},
		{"a life that is over when it begins", tokenep.Client{ID: "a", Secrets: secret, AccessTokenTTL: tokenep.Duration(999 * time.Millisecond)}, "a second at least"},
	} {
		err := row.client.Validate()
		if (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v, want %q", row.name, err, row.wrong)
		}
	}
}

// RFC 7591 §2: what a client may authenticate by follows from its method or, if it has none, from
// what it has. RFC 6749 §2.1: only its method makes it public.
func TestClientAuthenticates(t *testing.T) {
	secret := []tokenep.Secret{{Hash: "x"}}
	key := json.RawMessage(verifytest.New(issuer, orders).JWKS())
	all := []string{tokenep.AuthBasic, tokenep.AuthPost, tokenep.AuthPrivateKeyJWT, tokenep.AuthNone}
	for _, row := range []struct {
		name   string
		client tokenep.Client
		by     []string
		public bool
		valid  bool
	}{
		{"a secret", tokenep.Client{Secrets: secret}, []string{tokenep.AuthBasic, tokenep.AuthPost}, false, true},
		{"a secret, by the header", tokenep.Client{Secrets: secret, AuthMethod: tokenep.AuthBasic}, []string{tokenep.AuthBasic}, false, true},
		{"a secret, by the body", tokenep.Client{Secrets: secret, AuthMethod: tokenep.AuthPost}, []string{tokenep.AuthPost}, false, true},
		{"a key", tokenep.Client{JWKS: key}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"a key, said so", tokenep.Client{JWKS: key, AuthMethod: tokenep.AuthPrivateKeyJWT}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"both, and the key counts", tokenep.Client{Secrets: secret, JWKS: key, AuthMethod: tokenep.AuthPrivateKeyJWT}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"public", tokenep.Client{AuthMethod: tokenep.AuthNone}, []string{tokenep.AuthNone}, true, true},
		{"keys, one of them private", tokenep.Client{JWKS: json.RawMessage(strings.Replace(string(key), `[`, `[{"kty":"oct","k":"AA"},`, 1))}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
		{"keys in a file", tokenep.Client{JWKSFile: "keys.json"}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"keys at a URL", tokenep.Client{JWKSURI: "https://app.example/keys"}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"keys at no URL for keys", tokenep.Client{JWKSURI: "http://app.example/keys"}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
		{"7591 2: keys in two places", tokenep.Client{JWKS: key, JWKSURI: "https://app.example/keys"}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
		{"several methods", tokenep.Client{Secrets: secret, JWKS: key, AuthMethods: []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}}, []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}, false, true},
		{"one of several without a secret", tokenep.Client{JWKS: key, AuthMethods: []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}}, []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}, false, false},
		{"one of several without a key", tokenep.Client{Secrets: secret, AuthMethods: []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}}, []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}, false, false},
		{"one of several is unknown", tokenep.Client{Secrets: secret, AuthMethods: []string{tokenep.AuthPost, "x"}}, []string{tokenep.AuthPost}, false, false},
		{"a method and several", tokenep.Client{Secrets: secret, AuthMethod: tokenep.AuthPost, AuthMethods: []string{tokenep.AuthPost}}, []string{tokenep.AuthPost}, false, false},
		{"public, and more", tokenep.Client{Secrets: secret, AuthMethods: []string{tokenep.AuthNone, tokenep.AuthPost}}, []string{tokenep.AuthPost, tokenep.AuthNone}, false, false},
		{"public, in the list", tokenep.Client{AuthMethods: []string{tokenep.AuthNone}}, []string{tokenep.AuthNone}, false, false},
		{"an algorithm", tokenep.Client{JWKS: key, AuthSigningAlg: "ES256"}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"an algorithm with a secret", tokenep.Client{JWKS: key, AuthSigningAlg: "HS256"}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
		{"an algorithm, and nothing is signed", tokenep.Client{Secrets: secret, AuthSigningAlg: "ES256"}, []string{tokenep.AuthBasic, tokenep.AuthPost}, false, false},
		{"strict", tokenep.Client{JWKS: key, AssertionAudience: "strict"}, []string{tokenep.AuthPrivateKeyJWT}, false, true},
		{"stricter", tokenep.Client{JWKS: key, AssertionAudience: "stricter"}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
		{"neither secret nor key", tokenep.Client{}, nil, false, false},
		{"both, and nothing says which counts", tokenep.Client{Secrets: secret, JWKS: key}, []string{tokenep.AuthBasic, tokenep.AuthPost}, false, false},
		{"a key, and the method of a secret", tokenep.Client{JWKS: key, AuthMethod: tokenep.AuthBasic}, []string{tokenep.AuthBasic}, false, false},
		{"a secret, and the method of a key", tokenep.Client{Secrets: secret, AuthMethod: tokenep.AuthPrivateKeyJWT}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
		{"a key, and public", tokenep.Client{JWKS: key, AuthMethod: tokenep.AuthNone}, []string{tokenep.AuthNone}, true, false},
		{"a secret, and no PKCE", tokenep.Client{Secrets: secret, InsecureNoPKCE: true}, []string{tokenep.AuthBasic, tokenep.AuthPost}, false, true},
		{"public, and no PKCE", tokenep.Client{AuthMethod: tokenep.AuthNone, InsecureNoPKCE: true}, []string{tokenep.AuthNone}, true, false},
		{"keys that are none", tokenep.Client{JWKS: json.RawMessage(`{"keys":1}`)}, []string{tokenep.AuthPrivateKeyJWT}, false, false},
	} {
		var by []string
		for _, method := range all {
			if row.client.Authenticates(method) {
				by = append(by, method)
			}
		}
		if !slices.Equal(by, row.by) || row.client.Public() != row.public {
			t.Errorf("%s: by %q, public %t; want %q, %t", row.name, by, row.client.Public(), row.by, row.public)
		}
		row.client.ID = "a"
		if err := row.client.Validate(); (err == nil) != row.valid {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// A grant may be named by its grant_type or by its short name.
func TestClientMay(t *testing.T) {
	const voucher = "urn:example:grant:paper-voucher"
	for _, row := range []struct {
		name  string
		given string
		grant string
		may   bool
	}{
		{"the grant_type", cc, cc, true},
		{"the URN", exchange, exchange, true},
		{"the short name", "token_exchange", exchange, true},
		{"the short name of a grant from outside", "paper_voucher", voucher, true},
		{"with hyphens", "token-exchange", exchange, false},
		{"in other letters", "Token_Exchange", exchange, false},
		{"another", cc, exchange, false},
		{"nothing", "", exchange, false},
		{"the end of a URN without its start", "exchange", exchange, false},
	} {
		if may := (&tokenep.Client{GrantTypes: []string{"x", row.given}}).May(row.grant); may != row.may {
			t.Errorf("%s: %t", row.name, may)
		}
	}
	if (&tokenep.Client{}).May(cc) {
		t.Error("a client without grants may use one")
	}
}
