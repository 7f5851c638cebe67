package clientauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// authority issues certificates. The zero value but for the clock lets each sign itself.
type authority struct {
	certificate *tls.Certificate
	now         time.Time
}

func newAuthority(t *testing.T, now time.Time) *authority {
	t.Helper()
	return &authority{tokeneptest.NewCertificate(t, now, nil, named(pkix.Name{CommonName: "authority"})), now}
}

func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	return tokeneptest.NewCertificate(t, a.now, a.certificate, change)
}

func named(name pkix.Name) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject = name }
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate.Leaf)
	return pool
}

// tlsListener is a server behind TLS, which asks clients for certificates.
type tlsListener struct {
	*tokeneptest.Server
	url string
}

// newTLS listens. roots verify what clients present; nil: nothing is verified.
func newTLS(t *testing.T, roots *x509.CertPool, change tokeneptest.Change, clients ...tokenep.Client) *tlsListener {
	t.Helper()
	s := tokeneptest.New(t, func(c *server.Config) { c.ClientCertificates = new(server.ClientCertificates) },
		tokeneptest.WithClients(clients...), change)
	l := httptest.NewUnstartedServer(s.Handler)
	l.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, Time: s.Clock.Now}
	if roots != nil {
		l.TLS.ClientAuth, l.TLS.ClientCAs = tls.VerifyClientCertIfGiven, roots
	}
	l.StartTLS()
	t.Cleanup(l.Close)
	return &tlsListener{s, l.URL}
}

func asIs(*server.Config) {}

// status sends a request over a connection with a certificate, or without one.
func (l *tlsListener) status(t *testing.T, c *tls.Certificate, r request) int {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if c != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+r.Path, strings.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.Header
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Log(err)
		return 0 // the handshake has failed
	}
	defer res.Body.Close()
	return res.StatusCode
}

func ask(id string, pairs ...string) request {
	return post(append([]string{"grant_type", cc, "client_id", id}, pairs...)...)
}

// RFC 8705 §2.1: a certificate of a known authority, with the name that is registered.
func TestTLSClientAuth(t *testing.T) {
	now := tokeneptest.New(t).Clock.Now()
	ca, other := newAuthority(t, now), newAuthority(t, now)
	subject := pkix.Name{CommonName: "robot", Organization: []string{"Example, Inc."}, Country: []string{"DE"}}
	ours := ca.issue(t, named(subject))
	uid := ca.issue(t, func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "r2"}}
	})
	sans := ca.issue(t, func(c *x509.Certificate) {
		spiffe, _ := url.Parse("spiffe://example.org/robot")
		c.DNSNames, c.EmailAddresses, c.URIs = []string{"x.example", "robot.example"}, []string{"robot@example.org"}, []*url.URL{spiffe}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")}
	})
	byName := func(id string, set func(*tokenep.Client)) tokenep.Client {
		c := tokenep.Client{ID: id, GrantTypes: []string{cc}}
		set(&c)
		return c
	}
	robot := byName("robot", func(c *tokenep.Client) { c.TLSSubjectDN = `cn=robot, O=Example\, Inc., C=DE` })
	both := byName("both", func(c *tokenep.Client) {
		c.TLSSubjectDN, c.Secrets = robot.TLSSubjectDN, []tokenep.Secret{{Hash: tokenep.HashSecret("both-secret")}}
		c.AuthMethods = []string{tokenep.AuthTLS, tokenep.AuthBasic}
	})
	clients := []tokenep.Client{
		robot, both,
		byName("reversed", func(c *tokenep.Client) { c.TLSSubjectDN = `C=DE,O=Example\, Inc.,CN=robot` }),
		byName("letters", func(c *tokenep.Client) { c.TLSSubjectDN = `CN=Robot,O=Example\, Inc.,C=DE` }),
		byName("less", func(c *tokenep.Client) { c.TLSSubjectDN = `CN=robot` }),
		byName("oid", func(c *tokenep.Client) { c.TLSSubjectDN = `0.9.2342.19200300.100.1.1=r2` }),
		byName("uid", func(c *tokenep.Client) { c.TLSSubjectDN = `UID=r2` }),
		byName("dns", func(c *tokenep.Client) { c.TLSSANDNS = "Robot.example" }),
		byName("parent", func(c *tokenep.Client) { c.TLSSANDNS = "example" }),
		byName("uri", func(c *tokenep.Client) { c.TLSSANURI = "spiffe://example.org/robot" }),
		byName("longer", func(c *tokenep.Client) { c.TLSSANURI = "spiffe://example.org/robot/x" }),
		byName("v4", func(c *tokenep.Client) { c.TLSSANIP = "192.0.2.7" }),
		byName("v6", func(c *tokenep.Client) { c.TLSSANIP = "2001:DB8:0::7" }),
		byName("email", func(c *tokenep.Client) { c.TLSSANEmail = "robot@example.org" }),
		byName("host", func(c *tokenep.Client) { c.TLSSANEmail = "example.org" }),
	}
	l := newTLS(t, ca.pool(), asIs, clients...)
	for name, row := range map[string]struct {
		certificate *tls.Certificate
		request     request
		want        int
	}{
		"the subject":                            {ours, ask("robot"), 200},
		"2: client_id is required":               {ours, post("grant_type", cc), 401},
		"no certificate":                         {nil, ask("robot"), 401},
		"a certificate of another":               {sans, ask("robot"), 401},
		"the parts in another order":             {ours, ask("reversed"), 401},
		"other letters":                          {ours, ask("letters"), 401},
		"a part of the subject":                  {ours, ask("less"), 401},
		"a type by its OID":                      {uid, ask("oid"), 200},
		"a type by its name":                     {uid, ask("uid"), 200},
		"a DNS name, in any letters":             {sans, ask("dns"), 200},
		"the end of a DNS name":                  {sans, ask("parent"), 401},
		"a URI":                                  {sans, ask("uri"), 200},
		"a longer URI":                           {sans, ask("longer"), 401},
		"an IPv4 address":                        {sans, ask("v4"), 200},
		"an IPv6 address, in another form":       {sans, ask("v6"), 200},
		"an email address":                       {sans, ask("email"), 200},
		"the host of an email address":           {sans, ask("host"), 401},
		"2: it is not registered for it":         {ours, plain.By("billing"), 200},
		"a public client":                        {ours, ask("app", "scope", ""), 401},
		"a client of a secret, with its id":      {ours, ask("billing"), 401},
		"2.3: a secret, which it does not have":  {ours, ask("robot", "client_secret", "x"), 401},
		"2.3: Basic, likewise":                   {ours, plain.Basic("robot", "x"), 401},
		"one of several methods":                 {ours, ask("both"), 200},
		"another of them":                        {ours, plain.By("both"), 200},
		"another of them, with no certificate":   {nil, plain.By("both"), 200},
		"another of them, wrongly":               {ours, plain.Basic("both", "x"), 401},
		"a certificate of nobody that is known":  {other.issue(t, named(subject)), ask("robot"), 0},
		"a certificate that is signed by itself": {(&authority{now: now}).issue(t, named(subject)), ask("robot"), 0},
	} {
		if got := l.status(t, row.certificate, row.request); got != row.want && (name != "a public client" || got != 400) {
			t.Errorf("%s: status %d, want %d", name, got, row.want)
		}
	}
	l.Clock.Advance(2 * time.Hour)
	if got := l.status(t, nil, plain.By("both")); got != 200 {
		t.Fatalf("after two hours: status %d", got)
	}
}

// A certificate that expires while its connection is open is not good any more.
func TestTLSClientAuthExpires(t *testing.T) {
	ca := newAuthority(t, tokeneptest.New(t).Clock.Now())
	l := newTLS(t, ca.pool(), asIs, tokenep.Client{ID: "robot", GrantTypes: []string{cc}, TLSSubjectDN: "CN=robot"})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*ca.issue(t, named(pkix.Name{CommonName: "robot"}))}}}
	defer transport.CloseIdleConnections()
	for _, want := range []int{200, 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+tokeneptest.TokenPath, strings.NewReader(ask("robot").Body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = ask("robot").Header
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != want {
			t.Errorf("status %d, want %d, %v", res.StatusCode, want, err)
		}
		res.Body.Close()
		l.Clock.Advance(2 * time.Hour)
	}
}

// A connection that has not verified the chain is not enough for tls_client_auth, unless the server
// has been told whose certificates are good.
func TestTLSClientAuthVerifiesTheChain(t *testing.T) {
	now := tokeneptest.New(t).Clock.Now()
	ca := newAuthority(t, now)
	robot := tokenep.Client{ID: "robot", GrantTypes: []string{cc}, TLSSubjectDN: "CN=robot"}
	good := ca.issue(t, named(pkix.Name{CommonName: "robot"}))
	forged := newAuthority(t, now).issue(t, named(pkix.Name{CommonName: "robot"}))
	server1 := ca.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.ExtKeyUsage = "robot", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	unverified := newTLS(t, nil, asIs, robot)
	here := newTLS(t, nil, func(c *server.Config) { c.ClientCertificates.Roots = ca.pool() }, robot)
	for name, row := range map[string]struct {
		at          *tlsListener
		certificate *tls.Certificate
		want        int
	}{
		"nobody has verified it":                 {unverified, good, 401},
		"verified here":                          {here, good, 200},
		"verified here: of another authority":    {here, forged, 401},
		"verified here: a server's certificate":  {here, server1, 401},
		"verified here: there is no certificate": {here, nil, 401},
	} {
		if got := row.at.status(t, row.certificate, ask("robot")); got != row.want {
			t.Errorf("%s: status %d, want %d", name, got, row.want)
		}
	}
	here.Clock.Advance(2 * time.Hour)
	if got := here.status(t, good, ask("robot")); got != 401 {
		t.Errorf("a certificate that has expired: status %d", got)
	}
}

// A certificate that a trusted proxy passes on stands for that of the connection, which is the
// proxy's own.
func TestTLSClientAuthBehindAProxy(t *testing.T) {
	now := tokeneptest.New(t).Clock.Now()
	ca := newAuthority(t, now)
	client, proxy := ca.issue(t, named(pkix.Name{CommonName: "robot"})), ca.issue(t, named(pkix.Name{CommonName: "proxy"}))
	forwarded := func(r *http.Request) (chain []*x509.Certificate, ok bool, err error) {
		switch r.Header.Get("Forwarded-Certificate") {
		case "":
			return nil, false, nil
		case "client":
			return []*x509.Certificate{client.Leaf}, true, nil
		case "broken":
			return nil, true, fmt.Errorf("broken")
		}
		return nil, true, nil
	}
	behind := func(roots *x509.CertPool) *tlsListener {
		return newTLS(t, ca.pool(), func(c *server.Config) {
			c.ClientCertificates = &server.ClientCertificates{Forwarded: forwarded, Roots: roots}
		},
			tokenep.Client{ID: "robot", GrantTypes: []string{cc}, TLSSubjectDN: "CN=robot"},
			tokenep.Client{ID: "proxy", GrantTypes: []string{cc}, TLSSubjectDN: "CN=proxy"},
			tokenep.Client{ID: "self", GrantTypes: []string{cc}, AuthMethod: tokenep.AuthSelfSignedTLS, JWKS: jwkSet(t, client)})
	}
	verifies, trusts := behind(ca.pool()), behind(nil)
	says := func(what, id string) request { return ask(id).With("Forwarded-Certificate", what) }
	for name, row := range map[string]struct {
		at      *tlsListener
		request request
		want    int
	}{
		"the client's":                            {verifies, says("client", "robot"), 200},
		"the key of the client's":                 {trusts, says("client", "self"), 200},
		"nobody verifies the chain":               {trusts, says("client", "robot"), 401},
		"the client has none":                     {verifies, says("none", "robot"), 401},
		"the client has none, and is not a proxy": {verifies, says("none", "proxy"), 401},
		"it cannot be read":                       {verifies, says("broken", "robot"), 401},
		"a connection that is no proxy's":         {verifies, ask("proxy"), 200},
	} {
		if got := row.at.status(t, proxy, row.request); got != row.want {
			t.Errorf("%s: status %d, want %d", name, got, row.want)
		}
	}
}

// RFC 8705 §2.1.2: what a client can be registered with.
func TestTLSClientMetadata(t *testing.T) {
	for text, client := range map[string]tokenep.Client{
		"only one":              {TLSSubjectDN: "CN=x", TLSSANDNS: "x.example"},
		"RFC 4514":              {TLSSubjectDN: "robot"},
		"write its OID":         {TLSSubjectDN: "XYZ=robot"},
		"must be an IP address": {TLSSANIP: "robot.example"},
		"must be a URI":         {TLSSANURI: "robot"},
		"in its usual form":     {TLSSANURI: "SPIFFE://example.org/robot"},
		"needs a name":          {AuthMethod: tokenep.AuthTLS},
		"needs a key":           {AuthMethod: tokenep.AuthSelfSignedTLS},
		"are for clients that":  {TLSSANDNS: "x.example", AuthMethod: tokenep.AuthTLS, AuthSigningAlg: "ES256"},
		"for clients that authenticate by tls_client_auth": {TLSSANDNS: "x.example", AuthMethod: tokenep.AuthBasic, Secrets: []tokenep.Secret{{Hash: "x"}}},
		"which of them authenticates":                      {TLSSANDNS: "x.example", Secrets: []tokenep.Secret{{Hash: "x"}}},
		"exclude one another":                              {TLSSANDNS: "x.example", AuthMethod: tokenep.AuthNone},
		"a request does not say":                           {TLSSANDNS: "x.example", AuthMethods: []string{tokenep.AuthTLS, tokenep.AuthSelfSignedTLS}},
	} {
		client.ID = "robot"
		if err := client.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	robot := tokenep.Client{ID: "robot", GrantTypes: []string{cc}, TLSSANDNS: "robot.example"}
	if err := tokeneptest.New(t).CompleteClient(&robot); err == nil || !strings.Contains(err.Error(), "client_certificates") {
		t.Errorf("without client_certificates: %v", err)
	}
}
