package kubernetessubjects

import (
	"cmp"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// UnmarshalCaddyfile reads how the API of a cluster is asked, and the policies for the tokens of
// its service accounts. Syntax:
//
//	subject kubernetes [<url>] {
//	    audience   <values…>
//	    token_file <path>
//	    <options of oauthsubject.Asked>
//	}
//
// Without a URL it is the cluster that the server runs in, whose ca is at its usual place.
func (s *Subject) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if d.CountRemainingArgs() > 0 {
		if err := adapt.One(d, &s.URL, func(url string) error { return outbound.CheckURL("url", url) }); err != nil {
			return err
		}
	}
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		line := *d
		if err := s.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(&line, cmp.Or(s.Options().Validate(), s.Answers().Validate()))
	}, oauthsubject.AskedRepeatable)
	if err == nil {
		err = s.literal().Validate()
		if err == nil && len(s.Policies) == 0 {
			err = oauthsubject.ErrNoPolicy
		}
		if err != nil {
			return block.Errf("subject kubernetes: %w", err)
		}
	}
	return err
}

func (s *Subject) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "audience":
		return adapt.Audience(d, &s.Audience)
	case "token_file":
		return adapt.One(d, &s.TokenFile)
	}
	known, err := s.ParseOption(d, option)
	if !known {
		return adapt.Unknown(d)
	}
	return err
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Subject)(nil)
