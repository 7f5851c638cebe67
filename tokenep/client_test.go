package tokenep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
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
