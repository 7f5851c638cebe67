package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A token with cnf is bound to a key of its holder (RFC 7800 §3.1), and is good for nobody else:
// the key of DPoP proofs (RFC 9449 §6.1), or that of a TLS certificate (RFC 8705 §3.1), or both. A
// bound token never passes as a bearer token, or a stolen one could be used.

// Confirmation is a cnf that can be enforced. The zero value binds to nothing.
type Confirmation struct {
	KeyThumbprint         string // jkt, of the key of proofs
	CertificateThumbprint string // x5t#S256
}

var (
	errConfirmation = errors.New("cnf is not an object of jkt and x5t#S256")

	errUnboundToken = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is not bound to the key of a DPoP proof, and was sent with a scheme for tokens that are"}
	errBearerBound = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is bound to a key, and must be sent with the scheme DPoP"}
	errKeyRequired = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is not bound to the key of a DPoP proof, which is required here", Option: "dpop without required"}
	errCertificateRequired = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is not bound to a client certificate, which is required here"}
	errNoCertificate = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is bound to a client certificate, and none was presented"}
	errOtherCertificate = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is bound to another client certificate"}
	errOtherKey = &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "the token is bound to another key than that of the DPoP proof"}
)

// ParseConfirmation reads a cnf, nil if there is none. The error says that it binds the token in a
// way that nobody here can check.
func ParseConfirmation(cnf any) (c Confirmation, err error) {
	if cnf == nil {
		return c, nil
	}
	members, _ := cnf.(map[string]any)
	if len(members) == 0 {
		return c, errConfirmation
	}
	for name, value := range members {
		text, _ := value.(string)
		switch {
		case text == "":
			return c, errConfirmation
		case name == "jkt":
			c.KeyThumbprint = text
		case name == "x5t#S256":
			c.CertificateThumbprint = text
		default:
			return c, errConfirmation
		}
	}
	return c, nil
}

// CertificateThumbprint returns the x5t#S256 of a certificate (RFC 8705 §3.1); "" for nil.
func CertificateThumbprint(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// checkConfirmation: the sender of the token has shown what it is bound to, and nothing that it is
// not bound to. The proof is spent when all else is good.
func (s *verification) checkConfirmation() *Error {
	byDPoP := strings.EqualFold(s.shown.Scheme, dpop)
	if s.shown.Scheme != "" && !strings.EqualFold(s.shown.Scheme, bearer) && !(byDPoP && s.dpop != nil) {
		return invalid("the token was sent with a scheme that is not supported", nil)
	}
	if s.issuer.InsecureAnyConfirmation {
		return nil
	}
	c, err := ParseConfirmation(s.token.Claims["cnf"])
	if err != nil || c.KeyThumbprint != "" && s.dpop == nil {
		return invalid("the token is bound to a key in a way that is not supported", err)
	}
	if err := s.checkCertificate(c); err != nil {
		return err
	}
	switch {
	case c.KeyThumbprint != "" && !byDPoP: // RFC 9449 §7.2
		return errBearerBound.because(nil)
	case c.KeyThumbprint != "":
		return s.checkProof(c)
	case byDPoP:
		return errUnboundToken.because(nil)
	case len(s.shown.Proof) > 0:
		return errProofBeside.because(nil)
	case s.dpop != nil && s.dpop.required:
		return errKeyRequired.because(nil)
	}
	return nil
}

// checkCertificate: RFC 8705 §3.
func (s *verification) checkCertificate(c Confirmation) *Error {
	switch {
	case c.CertificateThumbprint == "" && s.mtls:
		return errCertificateRequired.because(nil)
	case c.CertificateThumbprint == "":
		return nil
	case s.shown.Certificate == nil:
		return errNoCertificate.because(nil)
	case CertificateThumbprint(s.shown.Certificate) != c.CertificateThumbprint:
		return errOtherCertificate.because(nil)
	}
	return nil
}

// checkProof: RFC 9449 §7.1.
func (s *verification) checkProof(c Confirmation) *Error {
	proof, err := s.dpop.check(&s.shown)
	if err != nil {
		return err.because(err.Cause) // the token is added to it
	}
	if proof.Thumbprint != c.KeyThumbprint {
		return errOtherKey.because(fmt.Errorf("jkt of the token is %.50q, and that of the proof %s", c.KeyThumbprint, proof.Thumbprint))
	}
	s.proof = proof
	return nil
}
