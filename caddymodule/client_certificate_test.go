package caddymodule_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// newCertificate makes a certificate for a name, by an authority or, for nil, by itself.
func newCertificate(t *testing.T, name string, ca *tls.Certificate) *tls.Certificate {
	t.Helper()
	return tokeneptest.NewCertificate(t, time.Now(), ca, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name, Organization: []string{"Example"}}
		c.DNSNames = []string{"localhost"}
	})
}

func certificatePEM(c *tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

// writeCertificate writes a certificate and its key, and returns their paths.
func writeCertificate(t *testing.T, dir, name string, c *tls.Certificate) (certificate, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	writeFile(t, certificate, certificatePEM(c))
	writeFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return certificate, key
}

const certificateClients = `
	client robot {
		tls_client_auth_subject_dn CN=robot,O=Example
		grants client_credentials
	}
	client_certificates {
		%OPTIONS%
	}`

// encrypted is a site with a certificate, which asks clients for theirs.
type encrypted struct {
	url string
	ca  *tls.Certificate
}

// mustLoadTLS runs a configuration with such a site beside the plain one: the endpoints of the
// server, and directives.
func (c *running) mustLoadTLS(server, directives string) encrypted {
	c.t.Helper()
	port, err := freePort()
	if err != nil {
		c.t.Fatal(err)
	}
	s := encrypted{"https://localhost:" + port, newCertificate(c.t, "authority", nil)}
	caFile, _ := writeCertificate(c.t, c.dir, "ca", s.ca)
	certificate, key := writeCertificate(c.t, c.dir, "localhost", newCertificate(c.t, "localhost", s.ca))
	c.mustLoad("auto_https disable_redirects\n"+runServer("memory", server), site("")+s.url+` {
	tls `+certificate+` `+key+` {
		client_auth {
			mode verify_if_given
			trust_pool file `+caFile+`
		}
	}
	oauth_token
	`+directives+`
}`)
	return s
}

// client returns one that has the certificate, or none.
func (s encrypted) client(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(s.ca.Leaf)
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// RFC 8705 §2.1: Caddy ends the TLS connection and verifies the chain.
func TestClientCertificate(t *testing.T) {
	c := newCaddy(t)
	s := c.mustLoadTLS(strings.Replace(certificateClients, "%OPTIONS%", "", 1), "")
	for name, row := range map[string]struct {
		certificate *tls.Certificate
		form        string
		want        int
	}{
		"its certificate":       {newCertificate(t, "robot", s.ca), "client_id=robot", 200},
		"that of another":       {newCertificate(t, "other", s.ca), "client_id=robot", 401},
		"no certificate":        {nil, "client_id=robot", 401},
		"8705 2: a secret":      {newCertificate(t, "robot", s.ca), "client_id=billing&client_secret=" + marker, 200},
		"8705 2: the wrong one": {newCertificate(t, "robot", s.ca), "client_id=billing&client_secret=x", 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/oauth/token", strings.NewReader("grant_type=client_credentials&"+row.form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := s.client(row.certificate).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != row.want {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, row.want)
		}
	}
}

// RFC 8705 §3: the token of a client that authenticates by its certificate is good over connections
// with that certificate, and nowhere else.
func TestCertificateBoundToken(t *testing.T) {
	c := newCaddy(t)
	s := c.mustLoadTLS(strings.Replace(certificateClients, "%OPTIONS%", "", 1), `oauth_verify {
		insecure_any_audience
		client_certificates {
			required
		}
	}
	respond "orders"`)
	send := func(certificate *tls.Certificate, r *http.Request) (int, string) {
		res, err := s.client(certificate).Do(r.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer struct {
			Token string `json:"access_token"`
		}
		_ = json.NewDecoder(res.Body).Decode(&answer)
		return res.StatusCode, answer.Token
	}
	token := func(certificate *tls.Certificate, form string) string {
		r := httptest.NewRequest(http.MethodPost, s.url+"/oauth/token", strings.NewReader("grant_type=client_credentials&"+form))
		r.RequestURI = ""
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		status, text := send(certificate, r)
		if status != http.StatusOK {
			t.Fatalf("%s: status %d", form, status)
		}
		return text
	}
	own, renewed := newCertificate(t, "robot", s.ca), newCertificate(t, "robot", s.ca)
	bound, plain := token(own, "client_id=robot"), token(own, "client_id=billing&client_secret="+marker)
	for name, row := range map[string]struct {
		token       string
		certificate *tls.Certificate
		want        int
	}{
		"its certificate":               {bound, own, 200},
		"another of the same name":      {bound, renewed, 401},
		"no certificate":                {bound, nil, 401},
		"required: a token that is not": {plain, own, 401},
	} {
		r := httptest.NewRequest(http.MethodGet, s.url+"/orders", nil)
		r.RequestURI = ""
		r.Header.Set("Authorization", "Bearer "+row.token)
		if got, _ := send(row.certificate, r); got != row.want {
			t.Errorf("%s: status %d, want %d", name, got, row.want)
		}
	}
}

// RFC 8705 §6.5, RFC 9440: a header counts from a trusted proxy alone, in each of the forms in
// which proxies write it.
func TestClientCertificateInHeader(t *testing.T) {
	ca := newCertificate(t, "authority", nil)
	robot := newCertificate(t, "robot", ca)
	der := base64.StdEncoding.EncodeToString(robot.Certificate[0])
	escaped := url.PathEscape(certificatePEM(robot))
	for name, row := range map[string]struct {
		trusted, ca bool
		values      []string
		want        int
		reason      string
	}{
		"RFC 9440":                  {true, true, []string{":" + der + ":"}, 200, ""},
		"percent-encoded PEM":       {true, true, []string{escaped}, 200, ""},
		"base64":                    {true, true, []string{der}, 200, ""},
		"not from a trusted proxy":  {false, true, []string{":" + der + ":"}, 401, "no client certificate"},
		"twice":                     {true, true, []string{der, der}, 401, "is repeated"},
		"two in one":                {true, true, []string{":" + der + ":, :" + der + ":"}, 401, "no certificate as RFC 9440"},
		"no end":                    {true, true, []string{":" + der}, 401, "no certificate as RFC 9440"},
		"two in PEM":                {true, true, []string{escaped + escaped}, 401, "no certificate as RFC 9440"},
		"a key":                     {true, true, []string{strings.ReplaceAll(escaped, "CERTIFICATE", "PUBLIC%20KEY")}, 401, "no certificate as RFC 9440"},
		"no certificate":            {true, true, []string{":AAAA:"}, 401, "the header Client-Cert"},
		"empty":                     {true, true, []string{""}, 401, "no client certificate"},
		"empty, twice":              {true, true, []string{"", ""}, 401, "is repeated"},
		"it is not there":           {true, true, nil, 401, "no client certificate"},
		"nobody verifies the chain": {true, false, []string{":" + der + ":"}, 401, "was not verified"},
		"a certificate by itself":   {true, true, []string{base64.StdEncoding.EncodeToString(newCertificate(t, "robot", nil).Certificate[0])}, 401, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaddy(t)
			caFile, _ := writeCertificate(t, c.dir, "ca", ca)
			options, proxies := "header Client-Cert", "192.0.2.0/24"
			if row.ca {
				options += "\nca " + caFile
			}
			if row.trusted {
				proxies = "127.0.0.1/32"
			}
			c.mustLoad("servers {\ntrusted_proxies static "+proxies+"\ntrusted_proxies_strict\n}\n"+
				runServer("memory", strings.Replace(certificateClients, "%OPTIONS%", options, 1)), site(""))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+"/oauth/token", strings.NewReader("grant_type=client_credentials&client_id=robot"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header["Client-Cert"] = row.values
			c.send(r).want(t, "the token", row.want)
			log, err := os.ReadFile(filepath.Join(c.dir, "log"))
			if err != nil || !bytes.Contains(log, []byte(row.reason)) {
				t.Errorf("the log does not say %q: %v", row.reason, err)
			}
		})
	}
}

// RFC 9440 §4: what follows oauth_verify gets the header of a trusted proxy, and nobody else's. It
// is read before it is stripped, whether oauth_verify has the option or its server.
func TestClientCertificateOnItsWay(t *testing.T) {
	ca := newCertificate(t, "authority", nil)
	der := ":" + base64.StdEncoding.EncodeToString(newCertificate(t, "robot", ca).Certificate[0]) + ":"
	for name, row := range map[string]struct {
		proxies, options string
		want             string // of the header
	}{
		"a trusted proxy":             {"127.0.0.1/32", "", der},
		"a trusted proxy, stripped":   {"127.0.0.1/32", "strip Client-Cert", ""},
		"a client":                    {"192.0.2.0/24", "optional", ""},
		"a client, by another name":   {"192.0.2.0/24", "optional\nclient_certificates {\nheader X-Cert\n}", der},
		"a client, by its own option": {"192.0.2.0/24", "optional\nclient_certificates {\nheader Client-Cert\n}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaddy(t)
			caFile, _ := writeCertificate(t, c.dir, "ca", ca)
			trusted := "servers {\ntrusted_proxies static %s\ntrusted_proxies_strict\n}\n"
			server := runServer("bolt %DIR%/state.db", strings.Replace(certificateClients, "%OPTIONS%", "header Client-Cert\nca "+caFile, 1))
			route := "%SITE% {\noauth_token\nhandle /orders {\noauth_verify {\ninsecure_any_audience\n" + row.options +
				"\n}\nrespond {http.request.header.Client-Cert}{http.request.header.Client_Cert}\n}\n}"
			c.mustLoad(fmt.Sprintf(trusted, "127.0.0.1/32")+server, route)
			ask := func(method, path, body, token string) response {
				r, err := http.NewRequestWithContext(t.Context(), method, c.site+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if r.Header.Set("Content-Type", "application/x-www-form-urlencoded"); token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				r.Header["Client-Cert"] = []string{der}
				return c.send(r)
			}
			var answer struct {
				Token string `json:"access_token"`
			}
			issued := ask(http.MethodPost, "/oauth/token", "grant_type=client_credentials&client_id=robot", "")
			issued.want(t, "the token", http.StatusOK)
			if err := json.Unmarshal([]byte(issued.body), &answer); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(row.options, "optional") { // a token would be refused
				answer.Token = ""
				c.mustLoad(fmt.Sprintf(trusted, row.proxies)+server, route)
			}
			got := ask(http.MethodGet, "/orders", "", answer.Token)
			got.want(t, "the API", http.StatusOK)
			if got.body != row.want {
				t.Errorf("the upstream gets %q, want %q", got.body, row.want)
			}
		})
	}
}

// A proxy that passes certificates on by a placeholder writes an empty header for a client that has
// none: a token that is bound to no certificate is good then, and one that is bound is not.
func TestNoClientCertificateBehindAProxy(t *testing.T) {
	front, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	idp := verifytest.New("https://idp.example", "orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	c.mustLoad("servers {\ntrusted_proxies static 127.0.0.1/32\n}\n", `
%SITE% {
	oauth_verify {
		issuer https://idp.example {
			jwks_file %DIR%/jwks.json
			audience orders
		}
		client_certificates {
			header Client-Cert
		}
	}
	respond ok
}
http://127.0.0.1:`+front+` {
	reverse_proxy `+strings.TrimPrefix(c.site, "http://")+` {
		header_up Host {upstream_hostport}
		header_up Client-Cert {http.request.tls.client.certificate_der_base64}
	}
}
`)
	bound := verifytest.Claims{"cnf": map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}
	c.get("http://127.0.0.1:"+front, idp.Sign(nil)).want(t, "bound to nothing", http.StatusOK)
	c.get("http://127.0.0.1:"+front, idp.Sign(bound)).want(t, "bound to a certificate", http.StatusUnauthorized)
}
