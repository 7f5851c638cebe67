package verify_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 9449 §4.3 (9), RFC 3986 §6.2.2 and §6.2.3: when htu is the URL of the request. The origin is
// that of the configuration, whatever Host says.
func TestDPoPTarget(t *testing.T) {
	for _, row := range []struct {
		name, origin, target, htu string
		good                      bool
	}{
		{"6.2.2.1: case of scheme and host", "https://api.example", "/a", "HTTPS://API.Example/a", true},
		{"6.2.2.1: case of the path", "https://api.example", "/a", "https://api.example/A", false},
		{"6.2.2.1: case of hexadecimal", "https://api.example", "/%c3%a4", "https://api.example/%C3%A4", true},
		{"6.2.2.2: unreserved characters", "https://api.example", "/a~b", "https://api.example/%61%7Eb", true},
		{"6.2.2.2: a reserved one", "https://api.example", "/a%2Fb", "https://api.example/a/b", false},
		{"6.2.2.2: a reserved one in both", "https://api.example", "/a%2fb", "https://api.example/a%2Fb", true},
		{"6.2.2.3: dot segments", "https://api.example", "/a/c", "https://api.example/a/b/../c", true},
		{"6.2.2.3: two slashes stay", "https://api.example", "/a//b", "https://api.example/a/b", false},
		{"6.2.2.3: two slashes", "https://api.example", "/a//b", "https://api.example/a//b", true},
		{"6.2.3: default port", "https://api.example:443", "/a", "https://api.example/a", true},
		{"6.2.3: default port of htu", "https://api.example", "/a", "https://api.example:443/a", true},
		{"6.2.3: default port of http", "http://localhost:80", "/a", "http://localhost/a", true},
		{"6.2.3: another port", "https://api.example", "/a", "https://api.example:8443/a", false},
		{"6.2.3: an empty path", "https://api.example", "/", "https://api.example", true},
		{"6.2.3: an empty path before a query", "https://api.example", "/", "https://api.example?x", true},
		{"another scheme", "https://api.example", "/a", "http://api.example/a", false},
		{"a prefix of a host", "https://api.example", "/a", "https://api.example.evil/a", false},
		{"userinfo", "https://api.example", "/a", "https://x@api.example/a", false},
		{"relative", "https://api.example", "/a", "/a", false},
		{"a space", "https://api.example", "/a", "https://api.example/a ", false},
		{"not ASCII", "https://api.example", "/%C3%A4", "https://api.example/ä", false},
		{"a space in the query", "https://api.example", "/a", "https://api.example/a?b c", false},
		{"a backslash in the query", "https://api.example", "/a", `https://api.example/a?b\c`, false},
		{"not ASCII in the query", "https://api.example", "/a", "https://api.example/a?ä", false},
		{"the last character of ASCII in the query", "https://api.example", "/a", "https://api.example/a?~", true},
		{"6.2.2.2: all unreserved characters", "https://api.example", "/AZaz09-._~", "https://api.example/%41%5A%61%7A%30%39%2D%2E%5F%7E", true},
		{"6.2.2.2: before A", "https://api.example", "/%40", "https://api.example/@", false},
		{"6.2.2.2: after Z", "https://api.example", "/%5B", "https://api.example/[", false},
		{"6.2.2.2: before a", "https://api.example", "/%60", "https://api.example/`", false},
		{"6.2.2.2: after z", "https://api.example", "/%7B", "https://api.example/{", false},
		{"6.2.2.2: after 9", "https://api.example", "/%3A", "https://api.example/:", false},
		{"a broken escape", "https://api.example", "/a", "https://api.example/a%2", false},
		{"empty", "https://api.example", "/", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newDPoPGuard(t, "ES256", func(o *verify.DPoPOptions) { o.Origins = []string{"https://first.example", row.origin} })
			r := httptest.NewRequest("GET", row.target, nil)
			g.prover.Authorize(r, g.token(nil), verifytest.Claims{"htu": row.htu})
			if status, h := g.answer(r); (status == http.StatusOK) != row.good {
				t.Errorf("%d %v", status, h)
			}
		})
	}
}

// Without the URL of a request no proof is good, and least of all one of the origin alone.
func TestDPoPWithoutTarget(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	token := g.token(nil)
	proofs := g.Verifier.(*verify.Verifier).Proofs()
	for _, htu := range []string{"https://api.example", "https://api.example/", ""} {
		p := verify.Presentation{Token: token, Method: "GET", Proof: []string{g.prover.Proof("GET", htu, token, nil)}}
		if _, err := proofs.Check(p); err == nil {
			t.Errorf("accepted: %q", htu)
		}
	}
}

// What a proxy in front has taken off the path is in htu, which the client wrote.
func TestDPoPTargetBehindAPrefix(t *testing.T) {
	for _, row := range []struct {
		target, htu string
		good        bool
	}{
		{"/orders", "https://api.example/v1/orders", true},
		{"/orders", "https://API.example:443/v1/%6Frders", true},
		{"/orders", "https://api.example/orders", false},
		{"/orders", "https://api.example/v1orders", false},
		{"/orders", "https://api.example/v2/orders", false},
		{"/orders", "https://api.example/v1/v1/orders", false},
		{"/", "https://api.example/v1/", true},
		{"/", "https://api.example/v1", true},
		{"/", "https://api.example/", false},
		{"/", "https://api.example", false},
		{"/orders", "https://api.example/v1", false},
	} {
		g := newDPoPGuard(t, "ES256", func(o *verify.DPoPOptions) { o.Prefix = "/v1" })
		r := httptest.NewRequest("GET", row.target, nil)
		g.prover.Authorize(r, g.token(nil), verifytest.Claims{"htu": row.htu})
		if status, h := g.answer(r); (status == http.StatusOK) != row.good {
			t.Errorf("%s by %s: %d %v", row.target, row.htu, status, h)
		}
	}
}

// A proof is of the request as the client sent it, whatever was made of it before the guard.
func TestDPoPOfTheRequestAsItWasSent(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	sent := httptest.NewRequest("PUT", proofURL, nil)
	g.Received = func(*http.Request) (string, *url.URL) { return sent.Method, sent.URL }
	token := g.token(nil)
	g.prover.Authorize(sent, token, nil)
	r := httptest.NewRequest("GET", "/rewritten", nil)
	r.Header = sent.Header
	if status, h := g.answer(r); status != http.StatusOK {
		t.Errorf("%d %v", status, h)
	}
}
