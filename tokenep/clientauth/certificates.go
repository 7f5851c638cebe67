package clientauth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Certificates finds the certificates of clients (RFC 8705 §2).
type Certificates struct {
	// Forwarded returns the certificates that a proxy says its client has presented, the client's
	// own first. ok is false if the request comes from no proxy that is trusted to say so: then
	// those of the connection count. nil: there is no such proxy.
	Forwarded func(*http.Request) (chain []*x509.Certificate, ok bool, err error)

	// Roots are the certification authorities of chains that nobody has verified yet. nil: none,
	// and a chain must have been verified when the connection was made.
	Roots *x509.CertPool

	Keys *Keys
	Now  func() time.Time
}

var (
	errNoCertificate = errors.New("no client certificate was presented, or none by a proxy that is trusted")
	errChain         = errors.New("the chain of the client certificate was not verified: nobody was asked to")
	errName          = errors.New("the client certificate has another name than is registered")
	errKey           = errors.New("the client certificate has a key that is not registered")
)

// presented returns the certificates that the sender of a request has proved to have the keys of.
// verified says that the chain was verified when the connection was made.
func (c *Certificates) presented(r *http.Request) (chain []*x509.Certificate, verified bool, err error) {
	if c.Forwarded != nil {
		if chain, ok, err := c.Forwarded(r); ok || err != nil {
			return chain, false, err
		}
	}
	if r.TLS == nil {
		return nil, false, nil
	}
	return r.TLS.PeerCertificates, len(r.TLS.VerifiedChains) > 0, nil
}

// Own returns the certificate of the client alone, whoever has issued it (RFC 8705 §3); nil: there
// is none.
func (c *Certificates) Own(r *http.Request) (*x509.Certificate, error) {
	chain, _, err := c.presented(r)
	if err != nil || len(chain) == 0 {
		return nil, err
	}
	return chain[0], nil
}

// verify checks the chain of a certificate: now, and whatever was true at the handshake.
func (c *Certificates) verify(chain []*x509.Certificate, verified bool) error {
	now := c.Now()
	switch {
	case c.Roots != nil:
		others := x509.NewCertPool()
		for _, certificate := range chain[1:] {
			others.AddCert(certificate)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{
			Roots: c.Roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		return err
	case !verified:
		return errChain
	case now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter):
		return errors.New("the client certificate has expired, or is not valid yet")
	}
	return nil
}

// refusedCertificate makes an error the refusal of a client.
func refusedCertificate(c *tokenep.Client, err error) error {
	if err == nil {
		return nil
	}
	return tokenep.InvalidClient.Describe("").Because(fmt.Errorf("client %q: %w", c.ID, err))
}
