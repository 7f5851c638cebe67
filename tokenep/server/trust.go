package server

import (
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Trusted returns what a verifier in this process needs to trust the issuer; its Audience is for
// the caller to set.
func (s *Server) Trusted() verify.TrustedIssuer {
	return verify.TrustedIssuer{
		Name: s.Config.Issuer, Keys: s.Keys, Revocations: s.Config.Memory.Revocations, RevocationMaxAge: s.Config.RevocationMaxAge,
	}
}

// trustItself makes the verifiers of the server's own tokens.
func (s *Server) trustItself() (err error) {
	trusted := s.Trusted()
	trusted.InsecureAnyAudience = true // the caller checks the audience
	own := verify.Config{
		Issuers: []verify.TrustedIssuer{trusted}, Cache: s.Config.Memory.Cache, Now: s.Config.Now, DPoP: s.possessions.Proofs,
	}
	if s.Verifier, err = verify.New(own); err != nil {
		return err
	}
	toItself := own
	toItself.Issuers = []verify.TrustedIssuer{s.Trusted()}
	toItself.Issuers[0].Audience = []string{s.Config.Issuer}
	if s.toItself, err = verify.New(toItself); err != nil {
		return err
	}
	asked := own
	trusted.InsecureAnyConfirmation = true
	asked.Issuers = []verify.TrustedIssuer{trusted}
	if s.introspecting, err = verify.New(asked); err != nil {
		return err
	}
	if renewed := s.Config.Exchange.MaxChain; renewed > 0 {
		asked.InsecureExpired = renewed
		if s.expired, err = verify.New(asked); err != nil {
			return err
		}
		own.InsecureExpired = renewed
	}
	own.Leeway = verify.MaxLeeway
	own.Issuers[0].Revocations, own.Issuers[0].InsecureAnyConfirmation = nil, true
	s.lenient, err = verify.New(own)
	return err
}

// Minter returns what signs access tokens of the server. Those that no client has asked for are not
// remembered.
func (s *Server) Minter() *tokenep.Minter { return s.minter }
