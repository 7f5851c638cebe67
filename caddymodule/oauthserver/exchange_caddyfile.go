package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// parseTokenExchange reads which tokens can be exchanged. Syntax:
//
//	token_exchange {
//	    anonymous
//	    api_tokens { … }
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
