package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

// parseTokenExchange reads which tokens can be exchanged. Syntax:
//
//	token_exchange {
//	    anonymous
//	    api_tokens {
//	        prefix       <prefix>
//	        max_per_user <count>
//	        max_age      <duration>
//	        token_type   <urns…>
//	    }
//	}
func (s *AuthorizationServer) parseTokenExchange(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("token_exchange takes no argument")
	}
	e := new(TokenExchange)
	s.TokenExchange = e
	return adapt.Block(d, func(option string) error {
		switch option {
		case "anonymous":
			return adapt.Flag(d, &e.Anonymous)
		case "api_tokens":
			e.APITokens = new(APITokenRules)
			return e.APITokens.parse(d)
		default:
			return adapt.Unknown(d)
		}
	})
}

func (t *APITokenRules) parse(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("api_tokens takes no argument")
	}
	return adapt.Block(d, func(option string) error {
		if err := t.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(d, t.config().Validate())
	})
}

func (t *APITokenRules) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "prefix":
		return adapt.One(d, &t.Prefix)
	case "max_per_user":
		return adapt.Count(d, &t.MaxPerUser)
	case "max_age":
		return adapt.Duration(d, &t.MaxAge, tokenep.CheckLife)
	case "token_type":
		return adapt.Some(d, &t.TokenTypes, func(urns []string) error { return adapt.CheckURNs(urns, adapt.Line(option)) })
	default:
		return adapt.Unknown(d)
	}
}
