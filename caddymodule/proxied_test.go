package caddymodule_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Behind a proxy, failures are counted for the address that the proxy has seen. Without
// trusted_proxies_strict a client can choose its address, and the log says so, once and at load.
func TestAddressBehindAProxy(t *testing.T) {
	for name, row := range map[string]struct {
		servers  string
		refused  bool
		warnings int
	}{
		"strict":               {"trusted_proxies static private_ranges\ntrusted_proxies_strict", true, 0},
		"not strict":           {"trusted_proxies static private_ranges", false, 1},
		"a header of its own":  {"trusted_proxies static private_ranges\nclient_ip_headers X-Real-IP", true, 0},
		"not a trusted proxy":  {"trusted_proxies static 192.0.2.0/24", true, 1},
		"a socket":             {"trusted_proxies_unix", true, 1},
		"no proxy is expected": {"", true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaddy(t)
			c.mustLoad("servers {\n"+row.servers+"\n}\n"+runServer("memory", "rate_limit 2 1h"), site(""))
			warnings := func(when string) {
				t.Helper()
				log := readFile(t, filepath.Join(c.dir, "log"))
				if n := strings.Count(log, "trusted_proxies without trusted_proxies_strict"); n != row.warnings {
					t.Errorf("%s: %d warnings, want %d", when, n, row.warnings)
				}
			}
			warnings("at load")
			status := 0
			for i := range 12 {
				form := strings.NewReader("grant_type=client_credentials")
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+"/oauth/token", form)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				// What the client sends, and what its proxy appends.
				r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 203.0.113.7", i))
				r.SetBasicAuth("billing", "wrong")
				status = c.send(r).status
			}
			if (status == http.StatusTooManyRequests) != row.refused {
				t.Errorf("the status is %d in the end", status)
			}
			warnings("after requests")
		})
	}
}

// With the token in a cookie, a page without TLS is of another origin than a request over TLS to a
// proxy that is trusted. What others say of TLS does not count.
func TestOriginBehindAProxy(t *testing.T) {
	for name, trusted := range map[string]bool{"trusted_proxies static private_ranges": true, "trusted_proxies static 192.0.2.0/24": false, "": false} {
		t.Run(name, func(t *testing.T) {
			c := newCaddy(t)
			c.mustLoad("servers {\n"+name+"\n}\n"+runServer("memory", ""), site("token_cookie session"))
			token := c.token(marker)
			for _, row := range []struct {
				proto, origin string
				passes        bool
			}{
				{"https", "https://", true},
				{"https", "http://", !trusted},
				{"http, https", "http://", !trusted},
				{"https, http", "http://", true},
				{"http", "http://", true},
				{"http", "https://", true},
				{"", "http://", true},
			} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+"/orders", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Cookie", "session="+token)
				r.Header.Set("Origin", row.origin+r.URL.Host)
				r.Header.Set("X-Forwarded-Proto", row.proto)
				if got := c.send(r); (got.status == http.StatusOK) != row.passes {
					t.Errorf("%s, from %s: %d %s", row.proto, row.origin, got.status, got.body)
				}
			}
		})
	}
}
