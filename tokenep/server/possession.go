package server

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// DPoP are the rules for proofs that clients send to the endpoints of a server (RFC 9449). The zero
// value has the defaults.
type DPoP struct {
	Window time.Duration // how old a proof may be; default: verify.DefaultProofWindow

	// RequireNonce makes every proof bring a nonce of the server (RFC 9449 §8): none can be made
	// ahead of time.
	RequireNonce bool
}

// Validate returns what is wrong with the rules.
func (d DPoP) Validate() error {
	if d.Window < 0 || d.Window > verify.MaxProofWindow {
		return fmt.Errorf("the window of DPoP proofs must be between 0 and %s; it is %s", verify.MaxProofWindow, d.Window)
	}
	return nil
}

// addPossessions makes what finds out which keys the sender of a request has.
func (s *Server) addPossessions() error {
	c := &s.Config
	if err := c.DPoP.Validate(); err != nil {
		return err
	}
	options := verify.DPoPOptions{Origins: []string{c.origin()}, Window: c.DPoP.Window}
	if c.DPoP.RequireNonce {
		options.Nonces = s.Nonces()
	}
	proofs, err := s.DPoP(options)
	if err != nil {
		return err
	}
	s.possessions = tokenep.Possessions{Proofs: proofs, Received: c.Received}
	if c.ClientCertificates != nil {
		s.possessions.Certificate = s.ClientCertificate
	}
	return nil
}

// DPoP returns what takes proofs by these options, for a resource in this process. It adds the
// clock, and the memory that all nodes of the server share: a proof is good once, on one of them.
func (s *Server) DPoP(o verify.DPoPOptions) (*verify.DPoP, error) {
	o.Remember, o.Now = s.rememberProof, s.Config.Now
	return verify.NewDPoP(o)
}

// Nonces returns the nonces for proofs that all nodes of the server share.
func (s *Server) Nonces() *verify.Nonces { return s.Config.Memory.nonces }

// rememberProof keeps the id of a proof (RFC 9449 §11.1).
func (s *Server) rememberProof(ctx context.Context, thumbprint, id string, until time.Time) error {
	err := state.Seen{Store: s.Config.Store, Now: s.Config.Now}.Add(ctx, "DPoP proof of "+thumbprint, id, until)
	if errors.Is(err, state.ErrSpent) {
		return fmt.Errorf("%w: %w", verify.ErrReplayed, err)
	}
	return err
}

// ClientCertificate returns the certificate that the client of a request has presented, here or to
// a trusted proxy (Config.ClientCertificates); nil: none.
func (s *Server) ClientCertificate(r *http.Request) (*x509.Certificate, error) {
	certificates := new(clientauth.Certificates)
	if s.Config.ClientCertificates != nil {
		certificates.Forwarded = s.Config.ClientCertificates.Forwarded
	}
	return certificates.Own(r)
}

// setNonceKey derives the key of nonces from that of refresh tokens.
func (m *Memory) setNonceKey(key []byte) error {
	derived, err := hkdf.Key(sha256.New, key, nil, "tokenep DPoP nonces 1", sha256.Size)
	if err == nil {
		m.nonces.SetKey(derived)
	}
	return err
}

// Received returns the method and the target of a request as the client sent it: see
// [verify.Guard].
type Received = func(*http.Request) (method string, target *url.URL)
