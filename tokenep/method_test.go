package tokenep_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// CORS: browsers let an origin that is listed read answers and errors, and no other.
func TestOrigins(t *testing.T) {
	const page = "https://app.example"
	for _, row := range []struct {
		name    string
		allowed tokenep.CORS
		origin  string
		want    string
		vary    bool
	}{
		{"none is allowed", nil, page, "", false},
		{"all are", tokenep.CORS{"*"}, page, "*", false},
		{"this one is", tokenep.CORS{"https://x.example", page}, page, page, true},
		{"another is", tokenep.CORS{"https://x.example"}, page, "", true},
		{"one is, and the request has none", tokenep.CORS{page}, "", "", true},
		{"in other letters", tokenep.CORS{page}, "https://APP.example", "", true},
		{"null", tokenep.CORS{page}, "null", "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := tokeneptest.New(t, func(c *server.Config) { c.Origins = row.allowed })
			preflight := request{Method: http.MethodOptions, Path: tokenPath, Header: http.Header{}}.With("Access-Control-Request-Method", "POST")
			for _, r := range []request{post("grant_type", cc).By("billing"), post("grant_type", cc).Basic("billing", "x"), get(tokenPath), preflight,
				post("token", "x").At(revokePath)} {
				if row.origin != "" {
					r = r.With("Origin", row.origin)
				}
				a := f.Send(t, r)
				if got := a.Header.Get("Access-Control-Allow-Origin"); got != row.want {
					t.Errorf("%s %s: Access-Control-Allow-Origin %q, want %q", r.Method, r.Path, got, row.want)
				}
				if got := a.Header.Get("Vary") == "Origin"; got != row.vary {
					t.Errorf("%s %s: Vary %q", r.Method, r.Path, a.Header.Get("Vary"))
				}
				exposed := a.Header.Get("Access-Control-Expose-Headers")
				if (exposed != "") != (row.want != "") || row.want != "" && !strings.Contains(exposed, "Retry-After") {
					t.Errorf("%s %s: Access-Control-Expose-Headers %q", r.Method, r.Path, exposed)
				}
				if a.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials of a browser mean nothing here")
				}
				methods, headers := a.Header.Get("Access-Control-Allow-Methods"), a.Header.Get("Access-Control-Allow-Headers")
				if r.Method == http.MethodOptions && row.want != "" && (methods != "POST, OPTIONS" || !strings.Contains(headers, "Authorization")) {
					t.Errorf("preflight: methods %q, headers %q", methods, headers)
				}
			}
		})
	}
}
