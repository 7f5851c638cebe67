package oauthverify

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/verify"
)

// What an earlier handler has set about the user does not mix with the claims of the token.
func TestIdentifyReplacesAnother(t *testing.T) {
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "root")
	repl.Set("http.auth.user.email", "root@example.com")
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl), http.MethodGet, "/", nil)
	r = identify(r, &verify.Token{Subject: "bob", Claims: map[string]any{"sub": "bob", "level": json.Number("7")}})
	identify(r, &verify.Token{Subject: "alice", Claims: map[string]any{"sub": "alice", "id": "root", "act": map[string]any{"sub": "root"}}})
	for name, want := range map[string]any{"id": "alice", "sub": "alice", "email": nil, "level": nil, "act": nil} {
		if got, _ := repl.Get("http.auth.user." + name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
