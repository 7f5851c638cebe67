package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

// parse reads the rules for API tokens. Syntax:
//
//	api_tokens {
//	    prefix       <prefix>
//	    max_per_user <count>
//	    max_age      <duration>
//	    allow_never
//	    end_reused
//	    token_type   <urns…>
//	    service      <audience> [<scope tokens…>]
//	    token_pattern <regular expression>
//	}
//
// service and token_pattern may be repeated.
func (t *APITokenRules) parse(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("api_tokens takes no argument")
	}
	return adapt.Block(d, func(option string) error {
		if err := t.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(d, t.config().Validate())
	}, "service", "token_pattern")
}

func (t *APITokenRules) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "prefix":
		return adapt.One(d, &t.Prefix)
	case "max_per_user":
		return adapt.Count(d, &t.MaxPerUser)
	case "max_age":
		return adapt.Duration(d, &t.MaxAge, tokenep.CheckLife)
	case "allow_never":
		return adapt.Flag(d, &t.AllowNever)
	case "end_reused":
		return adapt.Flag(d, &t.EndReused)
	case "token_type":
		return adapt.Some(d, &t.TokenTypes, func(urns []string) error { return adapt.CheckURNs(urns, adapt.Line(option)) })
	case "service":
		return t.parseService(d)
	case "token_pattern":
		pattern := ""
		if err := adapt.One(d, &pattern); err != nil {
			return err
		}
		t.TokenPatterns = append(t.TokenPatterns, pattern)
		return adapt.Located(d, t.check())
	default:
		return adapt.Unknown(d)
	}
}

func (t *APITokenRules) parseService(d *caddyfile.Dispenser) error {
	var words []string
	if err := adapt.Some(d, &words); err != nil {
		return err
	}
	s := APITokenService{Audience: words[0]}
	if len(words) > 1 {
		s.Scope = words[1:]
	}
	t.Services = append(t.Services, s)
	return adapt.Located(d, s.check())
}
