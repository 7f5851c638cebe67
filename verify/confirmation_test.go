package verify_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 8705 §3: a token with cnf.x5t#S256 is good with that certificate alone, on the connection or
// from a proxy; and RFC 7800 §3.1: what else a token may be bound to is not understood.
func TestCertificateBoundTokens(t *testing.T) {
	type c = verifytest.Claims
	certificate := parseExample(t)
	other := *certificate
	other.Raw = append([]byte{}, certificate.Raw...)
	other.Raw[len(other.Raw)-1]++
	g := newDPoPGuard(t, "ES256")
	strict := newDPoPGuard(t, "ES256")
	strict.Guard = &verify.Guard{Verifier: newVerifier(t, strict.issuer, func(c *verify.Config) { c.RequireCertificate = true })}
	bound := c{"x5t#S256": exampleX5T}
	both := c{"x5t#S256": exampleX5T, "jkt": g.prover.Thumbprint()}
	const good, bad, badProof = "ok", verify.InvalidToken, verify.InvalidDPoPProof
	for _, row := range []struct {
		name        string
		guard       *dpopGuard
		cnf         any
		certificate *x509.Certificate
		scheme      string
		proof       bool
		code        string
	}{
		{"3: the certificate", g, bound, certificate, "Bearer", false, good},
		{"3: none", g, bound, nil, "Bearer", false, bad},
		{"3: another", g, bound, &other, "Bearer", false, bad},
		{"3: under DPoP", g, bound, certificate, "DPoP", true, bad},
		{"3: beside a proof", g, bound, certificate, "Bearer", true, badProof},
		{"3: not bound, with a certificate", g, nil, certificate, "Bearer", false, good},
		{"both", g, both, certificate, "DPoP", true, good},
		{"both, without the certificate", g, both, nil, "DPoP", true, bad},
		{"both, without the proof", g, both, certificate, "Bearer", false, bad},
		{"required", strict, bound, certificate, "Bearer", false, good},
		{"required, and not bound", strict, nil, certificate, "Bearer", false, bad},
		{"RFC 7800 §3.1: unknown", g, c{"kid": "x"}, certificate, "Bearer", false, bad},
		{"RFC 7800 §3.1: unknown beside", g, c{"kid": "x", "x5t#S256": exampleX5T}, certificate, "Bearer", false, bad},
		{"RFC 7800 §3.1: empty", g, c{}, certificate, "Bearer", false, bad},
		{"RFC 7800 §3.1: a string", g, "x", certificate, "Bearer", false, bad},
		{"RFC 7800 §3.1: jkt is empty", g, c{"jkt": ""}, certificate, "DPoP", true, bad},
		{"RFC 7800 §3.1: x5t#S256 is a number", g, c{"x5t#S256": 1}, certificate, "Bearer", false, bad},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := row.guard.issuer.Sign(c{"cnf": row.cnf})
			r := httptest.NewRequest("GET", proofURL, nil)
			if row.proof {
				g.prover.Authorize(r, token, nil)
			}
			r.Header.Set("Authorization", row.scheme+" "+token)
			r.TLS = &tls.ConnectionState{}
			if row.certificate != nil {
				r.TLS.PeerCertificates = []*x509.Certificate{row.certificate}
			}
			for range 2 { // the second time the token is cached, and a proof was used
				status, h := row.guard.answer(r.Clone(t.Context()))
				code := codeOf(h)
				if status == http.StatusOK {
					code = good
				}
				if code != row.code {
					t.Errorf("%d %v, want %s", status, h, row.code)
				}
				if row.proof && row.code == good {
					return
				}
			}
		})
	}
}

// A verifier holds the scheme to the token, whoever has read the request, and the refusal says what
// is missing.
func TestReasonsOfBoundTokens(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	with, without := g.Verifier.(*verify.Verifier), newVerifier(t, g.issuer, nil)
	certified := g.issuer.Sign(verifytest.Claims{"cnf": map[string]any{"x5t#S256": exampleX5T}})
	other := *parseExample(t)
	other.Raw = []byte("another")
	const scheme = "the token was sent with a scheme that is not supported"
	for _, row := range []struct {
		v             *verify.Verifier
		scheme, token string
		certificate   *x509.Certificate
		want          string
	}{
		{with, "Basic", g.issuer.Sign(nil), nil, scheme},
		{without, "Basic", g.issuer.Sign(nil), nil, scheme},
		{without, "DPoP", g.issuer.Sign(nil), nil, scheme},
		{without, "DPoP", g.token(nil), nil, scheme},
		{without, "Bearer", g.token(nil), nil, "the token is bound to a key in a way that is not supported"},
		{with, "Bearer", g.token(nil), nil, "the token is bound to a key, and must be sent with the scheme DPoP"},
		{without, "Bearer", certified, nil, "the token is bound to a client certificate, and none was presented"},
		{without, "Bearer", certified, &other, "the token is bound to another client certificate"},
	} {
		expectReason(t, row.v, verify.Presentation{Token: row.token, Scheme: row.scheme, Certificate: row.certificate}, row.want)
	}
}

// A proxy says what certificate its client has. What cannot be read is no certificate.
func TestForwardedCertificate(t *testing.T) {
	g := newDPoPGuard(t, "ES256")
	var failure error
	g.Certificate = func(*http.Request) (*x509.Certificate, error) { return parseExample(t), failure }
	r := httptest.NewRequest("GET", proofURL, nil)
	g.issuer.Authorize(r, verifytest.Claims{"cnf": map[string]any{"x5t#S256": exampleX5T}})
	if status, h := g.answer(r.Clone(t.Context())); status != http.StatusOK {
		t.Errorf("%d %v", status, h)
	}
	failure = errors.New("no certificate")
	if status, h := g.answer(r.Clone(t.Context())); status != http.StatusBadRequest || codeOf(h) != verify.InvalidRequest {
		t.Errorf("one that cannot be read: %d %v", status, h)
	}
}

// RFC 9440 §4: the header with a certificate reaches the upstream from a trusted proxy alone, and
// in one spelling. It is read before it is removed, whatever removes it.
func TestCertificateHeader(t *testing.T) {
	const sent = "Client-Cert, Client-Cert-Chain, Client_cert"
	for name, row := range map[string]struct {
		change  func(*verify.Guard)
		trusted bool
		want    string
	}{
		"from a client":         {want: ""},
		"from a trusted proxy":  {trusted: true, want: "Client-Cert, Client-Cert-Chain"},
		"stripped":              {func(g *verify.Guard) { g.Strip = []string{"client_cert"} }, true, "Client-Cert-Chain"},
		"nobody is trusted":     {func(g *verify.Guard) { g.TrustedProxy = nil }, true, ""},
		"a preflight":           {func(g *verify.Guard) { g.Preflight = true }, false, ""},
		"nothing to be read of": {func(g *verify.Guard) { g.CertificateHeader = "" }, false, sent},
	} {
		t.Run(name, func(t *testing.T) {
			g := newDPoPGuard(t, "ES256")
			g.Certificate = func(r *http.Request) (*x509.Certificate, error) {
				if r.Header.Get("Client-Cert") != "certificate" {
					t.Error("it is gone before it is read")
				}
				return parseExample(t), nil
			}
			g.CertificateHeader, g.TrustedProxy = "client-cert", func(*http.Request) bool { return row.trusted }
			if row.change != nil {
				row.change(g.Guard)
			}
			r := httptest.NewRequest("GET", proofURL, nil)
			if g.Preflight {
				r = httptest.NewRequest("OPTIONS", proofURL, nil)
				r.Header.Set("Origin", "https://app.example")
				r.Header.Set("Access-Control-Request-Method", "GET")
			}
			g.issuer.Authorize(r, verifytest.Claims{"cnf": map[string]any{"x5t#S256": exampleX5T}})
			for header := range strings.SplitSeq(sent, ", ") {
				r.Header[header] = []string{"certificate"}
			}
			if _, err := g.Admit(r); err != nil {
				t.Fatal(err)
			}
			for _, other := range []string{"Origin", "Access-Control-Request-Method"} {
				r.Header.Del(other)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(r.Header)), ", "); got != row.want {
				t.Errorf("the upstream gets %q, want %q", got, row.want)
			}
		})
	}
	for _, name := range []string{"Authorization", "content_length", "Cookie", "no header"} {
		g := newDPoPGuard(t, "ES256")
		if g.CertificateHeader = name; g.Validate() == nil {
			t.Errorf("the header %s is accepted", name)
		}
	}
}
