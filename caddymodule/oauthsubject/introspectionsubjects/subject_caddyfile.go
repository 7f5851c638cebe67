package introspectionsubjects

import (
	"cmp"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// UnmarshalCaddyfile reads how another authorization server is asked, and the policies for its
// tokens. Syntax:
//
//	subject introspection <url> {
//	    client     <id> <secret>
//	    auth       client_secret_basic | client_secret_post
//	    issuer     <iss>
//	    audience   <values…>
//	    insecure_any_audience
//	    token_type <urn>
//	    insecure_http
//	    <options of oauthsubject.Asked>
//	}
func (s *Subject) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if err := s.ParseURL(d); err != nil {
		return err
	}
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		line := *d
		if err := s.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(&line, cmp.Or(s.Connection.Options().Validate(), s.Answers().Validate()))
	}, oauthsubject.AskedRepeatable)
	if err == nil {
		err = cmp.Or(s.checkOptions(), s.options(s.Literal()).Validate())
		if err != nil {
			return block.Errf("subject introspection %s: %w", verify.ShownURL(s.URL), err)
		}
	}
	return err
}

func (s *Subject) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "issuer":
		return adapt.One(d, &s.Issuer)
	case "audience":
		return adapt.Audience(d, &s.Audience)
	case "insecure_any_audience":
		return adapt.Flag(d, &s.InsecureAnyAudience)
	case "token_type":
		return adapt.One(d, &s.TokenType, oauthsubject.CheckTokenType)
	}
	known, err := s.Introspection.ParseOption(d, option)
	if !known {
		known, err = s.Asked.ParseOption(d, option)
	}
	if !known {
		return adapt.Unknown(d)
	}
	return err
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Subject)(nil)
