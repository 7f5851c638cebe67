package grant_test

import (
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// certified are certificates by their names, which a proxy passes on in the header
// Test-Certificate.
type certified map[string]*x509.Certificate

func newCertified(t *testing.T) certified {
	t.Helper()
	all := certified{}
	for _, name := range []string{"own", "other"} {
		all[name] = tokeneptest.NewCertificate(t, tokeneptest.Start, nil, func(c *x509.Certificate) { c.Subject.CommonName = "robot" }).Leaf
	}
	return all
}

// change has a server read the header, and adds clients: robot authenticates by its certificate,
// bound and phone get no token without theirs, and phone is public.
func (all certified) change(c *server.Config) {
	roots := x509.NewCertPool()
	roots.AddCert(all["own"])
	c.ClientCertificates = &server.ClientCertificates{
		Roots: roots,
		Forwarded: func(r *http.Request) (chain []*x509.Certificate, ok bool, err error) {
			if certificate := all[r.Header.Get("Test-Certificate")]; certificate != nil {
				chain = []*x509.Certificate{certificate}
			}
			return chain, true, nil
		},
	}
	robot := tokenep.Client{ID: "robot", GrantTypes: []string{grant.ClientCredentialsType}, TLSSubjectDN: "CN=robot"}
	bound := tokeneptest.NewClient("bound", grant.ClientCredentialsType)
	bound.CertificateBound = true
	c.Clients = append(c.Clients, robot, bound)
	for i := range c.Clients {
		if c.Clients[i].ID == "native" {
			c.Clients[i].CertificateBound = true
		}
	}
}

// with sends a request over a connection with a certificate.
func (all certified) with(r request, name string) request { return r.With("Test-Certificate", name) }

// x5t returns the thumbprint of the certificate that a token is bound to.
func x5t(t *verify.Token) string {
	cnf, _ := t.Claims["cnf"].(map[string]any)
	text, _ := cnf["x5t#S256"].(string)
	return text
}

// RFC 8705 §3: which tokens are bound to the certificate of the client. None that should be is
// issued unbound.
func TestCertificateBoundTokens(t *testing.T) {
	all := newCertified(t)
	f := tokeneptest.New(t, all.change)
	own := verify.CertificateThumbprint(all["own"])
	ask := func(id, certificate string) request {
		r := post("grant_type", grant.ClientCredentialsType, "client_id", id)
		if id != "robot" {
			r = tokeneptest.ClientCredentials().By(id)
		}
		if certificate != "" {
			r = all.with(r, certificate)
		}
		return r
	}
	for _, row := range []struct {
		name string
		r    request
		x5t  string
		jkt  bool
	}{
		{"2.1: by its certificate", ask("robot", "own"), own, false},
		{"3.4: always bound", ask("bound", "own"), own, false},
		{"3: of a client that is not", ask("billing", "own"), "", false},
		{"RFC 9449: a proof in its place", ask("robot", "own").Proving(f.NewProver(), nil), "", true},
		{"RFC 9449: a proof beside", ask("bound", "own").Proving(f.NewProver(), nil), own, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, token := f.Granted(t, row.r)
			cnf, _ := token.Claims["cnf"].(map[string]any)
			if x5t(token) != row.x5t || (cnf["jkt"] != nil) != row.jkt {
				t.Errorf("cnf is %v, want %q", cnf, row.x5t)
			}
		})
	}
	f.Run(t, []rule{
		refuses("3.4: no certificate", ask("bound", ""), 400, tokenep.InvalidRequest),
		refuses("3.4: a proof, and no certificate", ask("bound", "").Proving(f.NewProver(), nil), 400, tokenep.InvalidRequest),
		refuses("2.1: no certificate", ask("robot", ""), 401, tokenep.InvalidClient),
	})
	metadata := f.Send(t, tokeneptest.Get("/.well-known/oauth-authorization-server")).JSON
	if metadata["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("3.3: %v", metadata)
	}
	config := tokeneptest.Config(f.Store, f.Clock.Now)
	config.Clients = append(config.Clients, tokenep.Client{ID: "late", AuthMethod: tokenep.AuthNone, CertificateBound: true})
	if _, err := server.New(config); err == nil {
		t.Error("a client whose tokens are bound to certificates that nobody looks at")
	}
}

// RFC 8705 §4: the refresh tokens of a public client are bound to its certificate.
func TestRefreshTokensBoundToACertificate(t *testing.T) {
	all := newCertified(t)
	f := tokeneptest.New(t, tokeneptest.WithPeople, all.change)
	redeem := tokeneptest.RedeemCode("native", f.Code(t, "native"))
	f.Send(t, redeem).Refused(t, 400, tokenep.InvalidRequest)
	a, token := f.Granted(t, all.with(redeem, "own"))
	if x5t(token) != verify.CertificateThumbprint(all["own"]) {
		t.Errorf("cnf is %v", token.Claims["cnf"])
	}
	refresh := tokeneptest.Refresh("native", a.RefreshToken())
	f.Send(t, refresh).Refused(t, 400, tokenep.InvalidRequest)
	f.Send(t, all.with(refresh, "other")).Refused(t, 400, tokenep.InvalidGrant)
	f.Granted(t, all.with(refresh, "own"))
}

// What came of a code with a certificate stays bound, whatever the client is registered for by now.
// A client that proves who it is may have another certificate, or the key of a proof, but not
// nothing. A public one whose tokens are not bound may have a certificate too.
func TestRefreshTokensStayBound(t *testing.T) {
	all := newCertified(t)
	always := func(bound bool) tokeneptest.Change {
		return func(c *server.Config) {
			for _, id := range []string{"site", "native"} {
				tokeneptest.Alter(id, func(c *tokenep.Client) { c.CertificateBound = bound && id == "site" })(c)
			}
		}
	}
	f := tokeneptest.New(t, tokeneptest.WithPeople, all.change, always(true))
	site, _ := f.Granted(t, all.with(redeemCode("site", f.Code(t, "site")), "own"))
	native, token := f.Granted(t, redeemCode("native", f.Code(t, "native")))
	if token.Claims["cnf"] != nil {
		t.Errorf("cnf is %v", token.Claims["cnf"])
	}
	next := f.Config
	always(false)(&next)
	f = f.Next(t, next)
	ask := refresh("site", site.RefreshToken())
	f.Send(t, ask).Refused(t, 400, tokenep.InvalidRequest)
	for certificate, jkt := range map[string]bool{"own": false, "other": false, "": true} {
		r := all.with(ask, certificate)
		if jkt {
			r = r.Proving(f.NewProver(), nil)
		}
		_, token := f.Granted(t, r)
		cnf, _ := token.Claims["cnf"].(map[string]any)
		if want := verify.CertificateThumbprint(all[certificate]); x5t(token) != want || (cnf["jkt"] != nil) != jkt || len(cnf) != 1 {
			t.Errorf("cnf is %v, want that of the certificate %q", cnf, certificate)
		}
	}
	f.Granted(t, all.with(refresh("native", native.RefreshToken()), "own"))
}

// A token that is bound to a certificate is exchanged over a connection with that certificate, and
// the new one is bound to it, whoever the client is.
func TestExchangeOfCertificateBoundTokens(t *testing.T) {
	all := newCertified(t)
	f := tokeneptest.New(t, all.change)
	own := verify.CertificateThumbprint(all["own"])
	swap := tokeneptest.ExchangeAccessToken(f.Mint(t, tokenep.Claims{Confirmation: object{"x5t#S256": own}})).By("billing")
	f.Send(t, swap).Refused(t, 400, tokenep.InvalidRequest)
	f.Send(t, all.with(swap, "other")).Refused(t, 400, tokenep.InvalidRequest)
	if _, token := f.Granted(t, all.with(swap, "own")); x5t(token) != own {
		t.Errorf("cnf is %v", token.Claims["cnf"])
	}
}
