package oauthserver

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// ClientCertificates says where the certificates of clients come from that authenticate by TLS (RFC
// 8705 §2). Without options it is for connections that end at this Caddy, whose TLS connection
// policies have client_auth: mode verify_if_given with trust_pool for tls_client_auth, mode request
// for self_signed_tls_client_auth.
type ClientCertificates struct {
	// The header in which a proxy of trusted_proxies passes on the certificate of its client, such
	// as Client-Cert: as RFC 9440 has it, as percent-encoded PEM, or as DER in base64. Where it is
	// empty the client has none. From anybody else the header means nothing. The proxy must remove
	// it from every request in which it does not set it. Default: none.
	Header string `json:"header,omitempty"`

	// Files with the certificates, in PEM, of those who issue certificates to clients. With them
	// chains are verified here: what a proxy passes on is of no use for tls_client_auth without. A
	// proxy passes on one certificate: those between it and the root belong in these files.
	// Default: none, and the TLS connection policy verifies chains.
	CA []string `json:"ca,omitempty"`
}

// Check returns what is wrong with the options.
func (c *ClientCertificates) Check() error {
	if c != nil && strings.Trim(c.Header, headerLetters) != "" {
		return fmt.Errorf("client_certificates: header %q: it must be the name of a header, such as Client-Cert", c.Header)
	}
	return nil
}

const headerLetters = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// config reads the files.
func (c *ClientCertificates) config() (*server.ClientCertificates, error) {
	if c == nil {
		return nil, nil
	}
	paths, err := adapt.ResolveAll("ca", c.CA)
	if err != nil {
		return nil, fmt.Errorf("client_certificates: %w", err)
	}
	config := new(server.ClientCertificates)
	for _, path := range paths {
		const most = 1 << 20
		text, err := verify.ReadKeyFile(path, most)
		if err != nil {
			return nil, fmt.Errorf("client_certificates: ca: %w", err)
		}
		if config.Roots == nil {
			config.Roots = x509.NewCertPool()
		}
		if !config.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("client_certificates: ca %s: there is no certificate in PEM", path)
		}
	}
	if c.Header != "" {
		config.Forwarded = c.forwarded
	}
	return config, nil
}

// Presented returns the certificate of the client of a request, who has it from whomever (RFC 8705
// §3); nil: there is none.
func (c *ClientCertificates) Presented(r *http.Request) (*x509.Certificate, error) {
	certificates := new(clientauth.Certificates)
	if c.Header != "" {
		certificates.Forwarded = c.forwarded
	}
	return certificates.Own(r)
}

// forwarded returns the certificate that a trusted proxy passes on. That of the proxy itself, which
// may be there as well, is never its client's.
func (c *ClientCertificates) forwarded(r *http.Request) (chain []*x509.Certificate, ok bool, err error) {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return nil, false, nil
	}
	switch values := r.Header.Values(c.Header); {
	case len(values) == 0 || len(values) == 1 && strings.TrimSpace(values[0]) == "":
		return nil, true, nil
	case len(values) > 1:
		return nil, true, fmt.Errorf("the header %s is repeated", c.Header)
	default:
		certificate, err := parseForwarded(values[0])
		if err != nil {
			return nil, true, fmt.Errorf("the header %s: %w", c.Header, err)
		}
		return []*x509.Certificate{certificate}, true, nil
	}
}

var errForwarded = errors.New("it is no certificate as RFC 9440 has it, in percent-encoded PEM or in base64")

// parseForwarded reads a certificate in one of the forms that proxies write: a byte sequence
// between colons (RFC 9440 §2.1), PEM in percent-encoding, which nginx and others write, and the
// bare base64 that Caddy has in {http.request.tls.client.certificate_der_base64}.
func parseForwarded(value string) (*x509.Certificate, error) {
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, "-----BEGIN") {
		text, err := url.PathUnescape(value)
		if err != nil {
			return nil, errForwarded
		}
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
			return nil, errForwarded
		}
		return x509.ParseCertificate(block.Bytes)
	}
	if inner, ok := strings.CutPrefix(value, ":"); ok {
		if value, ok = strings.CutSuffix(inner, ":"); !ok {
			return nil, errForwarded
		}
	}
	der, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(der) == 0 {
		return nil, errForwarded
	}
	return x509.ParseCertificate(der)
}
