package httpsubjects

import (
	"cmp"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// UnmarshalCaddyfile reads how the application is asked, and the policies for its tokens. Syntax:
//
//	subject http <url> {
//	    token_type <urn>
//	    method  <method>
//	    send    bearer | header <field> [<scheme>] | cookie <name> | form <field> |
//	            json <member> | query <parameter>
//	    header  <field> <value>
//	    yes     <statuses…> [<member>=<value>]
//	    no      <statuses…> [<member>=<value>]
//	    claim   <name> <member>
//	    insecure_http
//	    <options of oauthsubject.Asked>
//	}
//
// header, yes, no and claim may be repeated.
func (s *Subject) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if err := adapt.One(d, &s.URL, func(url string) error { return outbound.CheckURL("url", url) }); err != nil {
		return err
	}
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		line := *d
		if err := s.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(&line, cmp.Or(s.literal().ValidateParts(), s.checkHeader()))
	}, "header", "yes", "no", "claim", oauthsubject.AskedRepeatable)
	if err == nil {
		err = cmp.Or(s.checkOptions(), s.literal().Validate())
		if err != nil {
			return block.Errf("subject http %s: %w", verify.ShownURL(s.URL), err)
		}
	}
	return err
}

func (s *Subject) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "token_type":
		return adapt.One(d, &s.TokenType, oauthsubject.CheckTokenType)
	case "method":
		return adapt.One(d, &s.Method)
	case "send":
		return s.parseSend(d)
	case "header":
		return remote.ParseField(d, &s.Header)
	case "yes":
		return remote.ParseRule(d, &s.Yes)
	case "no":
		return remote.ParseRule(d, &s.No)
	case "claim":
		return s.parseClaim(d)
	case "insecure_http":
		return adapt.Flag(d, &s.InsecureHTTP)
	}
	known, err := s.ParseOption(d, option)
	if !known {
		return adapt.Unknown(d)
	}
	return err
}

func (s *Subject) parseSend(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	most := 2
	switch {
	case len(args) == 0, slices.Contains(args, ""):
		most = 0
	case args[0] == subject.SendBearer:
		most = 1
	case args[0] == subject.SendHeader:
		most = 3
	}
	if most == 0 || len(args) > most || most > 1 && len(args) < 2 {
		return d.Err("send takes bearer, or another place and the name there, such as cookie session, header X-Api-Key, form token")
	}
	s.Send = args[0]
	if len(args) > 1 {
		s.Field = args[1]
	}
	if len(args) > 2 {
		s.Scheme = args[2]
	}
	return nil
}

func (s *Subject) parseClaim(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("claim takes a name, and the member of the answer that it is, such as: claim sub data.user.id")
	}
	s.Claims = append(s.Claims, Claim{Name: args[0], Member: args[1]})
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Subject)(nil)
