package idjagsubjects

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
)

// UnmarshalCaddyfile reads an identity provider, and the policies for its assertions. Syntax:
//
//	subject id_jag <issuer> {
//	    <options of an issuer in oauth_verify, but for profile and types>
//	    max_life         <duration>
//	    allow_replay
//	    client_alias     <client_id there> <client_id here>
//	    default_resource <values…>
//	    policy <name> { … }
//	}
//
// audience, of the options, is what aud of its assertions must be. Default: the issuer of this
// server. client_alias and policy may be repeated: see oauthsubject.ParsePolicy.
func (s *Subject) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if err := adapt.One(d, &s.Issuer); err != nil {
		return err
	}
	block := *d // stays where the block begins
	if err := adapt.Block(d, func(option string) error { return s.parse(d, option) }, "policy", "client_alias"); err != nil {
		return err
	}
	err := s.CheckKeys()
	if err == nil && len(s.Policies) == 0 {
		err = oauthsubject.ErrNoPolicy
	}
	if err == nil {
		_, err = s.policies()
	}
	if err != nil {
		return block.Errf("subject id_jag %s: %w", s.Issuer, err)
	}
	return nil
}

func (s *Subject) parse(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "policy":
		return oauthsubject.ParsePolicy(d, &s.Policies)
	case "max_life":
		return adapt.Duration(d, &s.MaxLife, checkLife)
	case "allow_replay":
		return adapt.Flag(d, &s.AllowReplay)
	case "client_alias":
		args := d.RemainingArgs()
		if len(args) != 2 || args[0] == "" || args[1] == "" {
			return d.Err("client_alias takes the client_id that the issuer knows, and the one that is registered here")
		}
		if s.ClientAliases[args[0]] != "" {
			return d.Errf("client_alias %s is given twice", args[0])
		}
		if s.ClientAliases == nil {
			s.ClientAliases = make(map[string]string)
		}
		s.ClientAliases[args[0]] = args[1]
		return nil
	case "default_resource":
		return adapt.Audience(d, &s.DefaultResource)
	}
	known, err := s.ParseOption(d, option)
	if !known {
		return adapt.Unknown(d)
	}
	if err == nil {
		err = adapt.Located(d, s.Check())
	}
	return err
}
