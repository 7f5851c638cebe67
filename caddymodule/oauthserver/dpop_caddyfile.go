package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// parseDPoP reads the rules for proofs of clients. Syntax:
//
//	dpop {
//	    window <duration>
//	    nonce  required|off
//	}
func (s *AuthorizationServer) parseDPoP(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("dpop takes no argument")
	}
	c := new(DPoP)
	s.DPoP = c
	return adapt.Block(d, func(option string) error {
		switch option {
		case "window":
			return adapt.Duration(d, &c.Window, CheckWindow)
		case "nonce":
			return adapt.Choice(d, &c.Nonce, NonceRequired, NonceOff)
		default:
			return adapt.Unknown(d)
		}
	})
}
