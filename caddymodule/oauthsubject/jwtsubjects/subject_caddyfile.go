package jwtsubjects

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
)

// UnmarshalCaddyfile reads an issuer elsewhere, and the policies for its tokens. Syntax:
//
//	subject jwt <issuer> {
//	    <options of an issuer in oauth_verify>
//	    policy <name> { … }
//	}
//
// audience, of the options, is what aud of its tokens must have. Default: this server. policy may
// be repeated: see oauthsubject.ParsePolicy.
func (s *Subject) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if err := adapt.One(d, &s.Issuer); err != nil {
		return err
	}
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		if option == "policy" {
			return oauthsubject.ParsePolicy(d, &s.Policies)
		}
		known, err := s.ParseOption(d, option)
		if !known {
			return adapt.Unknown(d)
		}
		if err == nil {
			err = adapt.Located(d, s.Check())
		}
		return err
	}, "policy")
	if err != nil {
		return err
	}
	if err := s.CheckKeys(); err != nil {
		return block.Errf("subject jwt %s: %w", s.Issuer, err)
	}
	if len(s.Policies) == 0 {
		return block.Errf("subject jwt %s: %w", s.Issuer, oauthsubject.ErrNoPolicy)
	}
	return nil
}
