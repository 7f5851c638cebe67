package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// parseTokenExchange reads which tokens can be exchanged. Syntax:
//
//	token_exchange {
//	    anonymous
//	    max_chain <duration>
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
		case "max_chain":
			return adapt.Duration(d, &e.MaxChain, server.CheckMaxChain)
		case "api_tokens":
			e.APITokens = new(APITokenRules)
			return e.APITokens.parse(d)
		default:
			return adapt.Unknown(d)
		}
	})
}
