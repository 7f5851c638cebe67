package tokeneptest

import (
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// NewProver returns a client with a new key for DPoP proofs (RFC 9449), and the clock of the
// server.
func (s *Server) NewProver() *verifytest.Prover {
	p := verifytest.NewProver("ES256")
	p.Now = s.Clock.Now
	return p
}

// Proving adds a proof of this key, whose claims are changed, to a request to an endpoint.
func (r Request) Proving(p *verifytest.Prover, claims verifytest.Claims, options ...verifytest.Option) Request {
	return r.With("Dpop", p.Proof(r.Method, Issuer+r.Path, "", claims, options...))
}

// Presenting adds a token with a proof for it.
func (r Request) Presenting(p *verifytest.Prover, token string) Request {
	return r.With("Authorization", "DPoP "+token).With("Dpop", p.Proof(r.Method, Issuer+r.Path, token, nil))
}
