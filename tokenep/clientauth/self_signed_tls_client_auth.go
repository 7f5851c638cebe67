package clientauth

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// SelfSignedTLS is self_signed_tls_client_auth (RFC 8705 §2.2): a certificate of a public key that
// is registered of the client's. Who has issued it, and until when, does not matter.
type SelfSignedTLS struct{ TLS }

// Method returns self_signed_tls_client_auth.
func (SelfSignedTLS) Method() string { return tokenep.AuthSelfSignedTLS }

// Takes reports whether this client authenticates so.
func (SelfSignedTLS) Takes(c *tokenep.Client, cr *tokenep.Credentials) bool {
	return cr.Request != nil && c.Authenticates(tokenep.AuthSelfSignedTLS)
}

// Verify compares the key of the certificate with those of the client (RFC 8705 §2.2.2).
func (s SelfSignedTLS) Verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	chain, _, err := s.presented(cr.Request)
	switch {
	case err != nil:
		return refusedCertificate(c, err)
	case len(chain) == 0:
		return refusedCertificate(c, errNoCertificate)
	}
	keys, err := s.Keys.Of(c)
	if err != nil {
		return err
	}
	found, err := verify.Holds(ctx, keys, chain[0].PublicKey)
	switch {
	case err != nil:
		return keysUnavailable(err)
	case !found:
		return refusedCertificate(c, errKey)
	}
	return nil
}
