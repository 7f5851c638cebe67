package tokenep_test

import (
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// RFC 6749 §3.1.2.3, RFC 9700 §2.1: a redirect URI is compared byte by byte, and that of a loopback
// host may have any port (RFC 8252 §7.3).
func TestHasRedirectURI(t *testing.T) {
	c := tokenep.Client{RedirectURIs: []string{
		"https://app.example/cb", "https://app.example/query?a=1", "com.example.app:/cb",
		"http://127.0.0.1/cb", "http://[::1]:8080/cb", "http://localhost",
	}}
	for uri, want := range map[string]bool{
		"https://app.example/cb":        true,
		"https://app.example/query?a=1": true,
		"com.example.app:/cb":           true,
		"http://127.0.0.1/cb":           true,
		"http://127.0.0.1:52345/cb":     true,
		"http://[::1]/cb":               true,
		"http://[::1]:9/cb":             true,
		"http://localhost:3000":         true,
		"http://localhost":              true,

		"":                                 false,
		"https://app.example/cb/":          false,
		"https://app.example/cb?":          false,
		"https://app.example/cb?a=1":       false,
		"https://app.example/cb#":          false,
		"https://app.example/%63b":         false,
		"https://app.example/x/../cb":      false,
		"https://app.example/cb%2F":        false,
		"https://app.example./cb":          false,
		"https://app.example:443/cb":       false,
		"https://app.example:8443/cb":      false,
		"https://APP.example/cb":           false,
		"HTTPS://app.example/cb":           false,
		"https://app.example@evil/cb":      false,
		"https://evil@app.example/cb":      false,
		"https://app.examplé/cb":           false,
		"http://app.example/cb":            false,
		"https://app.example/query":        false,
		"https://app.example/query?a=2":    false,
		"https://app.example/query?a=1&b":  false,
		"com.example.app:/other":           false,
		"http://127.0.0.1:/cb":             false,
		"http://127.0.0.1:0/cb":            false,
		"http://127.0.0.1:080/cb":          false,
		"http://127.0.0.1:65536/cb":        false,
		"http://127.0.0.1:+80/cb":          false,
		"http://127.0.0.1:80:80/cb":        false,
		"http://127.0.0.1:80@evil/cb":      false,
		"http://127.0.0.1.evil/cb":         false,
		"http://127.0.0.1:80.evil/cb":      false,
		"http://127.0.0.2/cb":              false,
		"http://127.0.0.1:80/other":        false,
		"https://127.0.0.1:80/cb":          false,
		"http://LOCALHOST:80":              false,
		"http://localhost:80/":             false,
		"http://localhost:80?a":            false,
		"http://[::1]:8080/cb?a":           false,
		"http://[0:0:0:0:0:0:0:1]:8080/cb": false,
	} {
		if got := c.HasRedirectURI(uri); got != want {
			t.Errorf("%s: %v, want %v", uri, got, want)
		}
	}
}

// RFC 6749 §3.1.2: what a client can register.
func TestRedirectURIsOfAClient(t *testing.T) {
	for uri, fault := range map[string]string{
		"https://app.example":              "",
		"https://app.example/cb?a=1":       "",
		"https://xn--bcher-kva.example/cb": "",
		"com.example.app:/cb":              "",
		"myapp://cb":                       "",
		"http://localhost:3000/cb":         "",
		"http://[::1]/cb":                  "",

		"https://app.example/" + strings.Repeat("a", 2048): "longer",
		"https://app.example/cb#":                          "fragment",
		"/cb":                                              "absolute",
		"urn:ietf:wg:oauth:2.0:oob":                        "absolute",
		"https://bücher.example/cb":                        "ASCII",
		"https://app.example/c b":                          "ASCII",
		"https://app.example\\@evil/cb":                    "ASCII",
		"https://app.example/a|b":                          "ASCII",
		"https://app.example/a\"b":                         "ASCII",
		"https://app.example/cb?a=%zz":                     "the answer has",
		"https://app.example/cb?code=x":                    "the answer has",
		"https://app.example/cb?a=1&%73tate=x":             "the answer has",
		"https://app.example/cb?iss=x":                     "the answer has",
		"https://app.example/cb?codes=x":                   "",
		"https://app.example:99999/cb":                     "port",
		"https://app.example/a'(b)":                        "",
		"https://app.example/\x7f":                         "ASCII",
		"javascript:alert(1)":                              "script",
		"data:text/html,x":                                 "script",
		"https://user:password@app.example/cb":             "password",
		"https://*.app.example/cb":                         "wildcard",
		"https:///cb":                                      "host",
		"http://app.example/cb":                            "https",
		"http://127.0.0.1.evil/cb":                         "https",
		"http://localhost:99999/cb":                        "https",
	} {
		c := tokenep.Client{ID: "a", AuthMethod: tokenep.AuthNone, GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{uri}}
		err := c.Validate()
		if (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v, want %q", uri, err, fault)
		}
	}
	c := tokenep.Client{ID: "a", AuthMethod: tokenep.AuthNone, GrantTypes: []string{"authorization_code"}}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "redirect_uris") {
		t.Errorf("without any: %v", err)
	}
}

// What is accepted is registered, or differs from what is by the port of a loopback host alone.
func FuzzHasRedirectURI(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://app.example/cb", "https://app.example/cb"}, {"http://127.0.0.1/cb", "http://127.0.0.1:1/cb"},
		{"http://localhost", "http://localhost:80"}, {"http://[::1]:1/?a", "http://[::1]/?a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, uri string) {
		c := tokenep.Client{RedirectURIs: []string{registered}}
		if !c.HasRedirectURI(uri) || uri == registered {
			return
		}
		for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
			a, found := strings.CutPrefix(registered, host)
			b, also := strings.CutPrefix(uri, host)
			if found && also && withoutPort(a) == withoutPort(b) {
				return
			}
		}
		t.Errorf("%q was registered, and %q is accepted", registered, uri)
	})
}

// withoutPort takes a colon and digits from the beginning.
func withoutPort(rest string) string {
	port, found := strings.CutPrefix(rest, ":")
	if !found {
		return rest
	}
	return strings.TrimLeft(port, "0123456789")
}
