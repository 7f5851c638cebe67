package clientauth

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// TLS is tls_client_auth (RFC 8705 §2.1): a certificate whose chain was verified, with the name
// that is registered of the client's.
//
//	client_id  REQUIRED  (§2)
//
// A certificate by itself is no attempt to authenticate: what the client is registered for decides
// whether it is looked at.
type TLS struct{ *Certificates }

// Method returns tls_client_auth.
func (TLS) Method() string { return tokenep.AuthTLS }

// RefusalWrites returns 0.
func (TLS) RefusalWrites() tokenep.Effects { return 0 }

// Credentials returns nil: None finds the client_id.
func (TLS) Credentials(*tokenep.Request) (*tokenep.Credentials, error) { return nil, nil }

// Takes reports whether this client authenticates so.
func (TLS) Takes(c *tokenep.Client, cr *tokenep.Credentials) bool {
	return cr.Request != nil && c.Authenticates(tokenep.AuthTLS)
}

// Verify checks the chain and the name of the certificate (RFC 8705 §2.1).
func (t TLS) Verify(_ context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	chain, verified, err := t.presented(cr.Request)
	switch {
	case err != nil:
	case len(chain) == 0:
		err = errNoCertificate
	default:
		if err = t.verify(chain, verified); err == nil && !c.OwnsCertificate(chain[0]) {
			err = errName
		}
	}
	return refusedCertificate(c, err)
}
