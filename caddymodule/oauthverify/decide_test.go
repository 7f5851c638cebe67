package oauthverify

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

// What an earlier handler has set about the user does not mix with the claims of the token.
func TestIdentifyReplacesAnother(t *testing.T) {
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "root")
	repl.Set("http.auth.user.email", "root@example.com")
	ctx := context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r = expectIdentity(r).identify(r, &verify.Token{Subject: "bob", Claims: map[string]any{"sub": "bob", "level": json.Number("7")}}, nil)
	expectIdentity(r).identify(r, &verify.Token{Subject: "alice", Claims: map[string]any{"sub": "alice", "id": "root", "act": map[string]any{"sub": "root"}}}, nil)
	for name, want := range map[string]any{"id": "alice", "sub": "alice", "email": "", "level": "", "act": "", "act.sub": "root"} {
		if got, _ := repl.Get("http.auth.user." + name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// A placeholder reads a claim by the path and the rules that header has, but for texts that are not
// ASCII: so no text is like a list, and none ends a line.
func TestPlaceholders(t *testing.T) {
	user := &identity{token: &verify.Token{Claims: map[string]any{
		"org": map[string]any{"id": "nested"}, "org.id": "dotted", "https://example.com/roles": []any{"a", "b"},
		"name": "Zoë Doe", "lines": "a\r\nX-Admin: 1", "nul": "\x00", "groups": []any{"a,b", "c"}, "admin": true,
		"sub": "cn=zoe,ou=people", "list": "a,b", "spaces": "a ", "tab": "a\tb", "long": strings.Repeat("ë", 2<<10),
		"nel": "a\u0085X-Admin: 1", "separator": "a\u2028X-Admin: 1", "persian": "می\u200cخواهم",
		"longer": strings.Repeat("e", 4<<10+1), "number": json.Number("1.0"), "none": nil,
	}, Subject: "cn=zoe,ou=people"}}
	for name, want := range map[string]any{
		"org.id": "nested", `org\.id`: "dotted", "https://example.com/roles": "a,b", "name": "Zoë Doe",
		"lines": "", "nul": "", "groups": "", "admin": true, "org": "", "org..id": "", "": "", "id": "cn=zoe,ou=people",
		"sub": "", "list": "", "spaces": "", "tab": "", "long": strings.Repeat("ë", 2<<10), "longer": "", "number": "1.0", "none": "",
		"nel": "", "separator": "", "persian": "می\u200cخواهم",
	} {
		if got, known := user.placeholder(userPlaceholder + name); got != want || !known {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
