package adapt

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Caddy determines who the client is, not a header that anybody can send.
func TestClientAddress(t *testing.T) {
	for _, row := range []struct {
		name string
		vars map[string]any
		want string
	}{
		{"what Caddy found out", map[string]any{caddyhttp.ClientIPVarKey: "203.0.113.7"}, "203.0.113.7"},
		{"the peer, without Caddy", map[string]any{}, "192.0.2.1"},
		{"the peer, when there is no address", map[string]any{caddyhttp.ClientIPVarKey: "@"}, "192.0.2.1"},
	} {
		ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, row.vars)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil) // from 192.0.2.1
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		if got := ClientAddress(r).String(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

// A request without a trace costs nothing.
func TestTraceOfNone(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		traced, end := Trace(ctx, "verify the access token")
		if end(nil); traced != ctx {
			t.Error("a context where there is no trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
