package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// parseClientCertificates reads where the certificates of clients come from. Syntax:
//
//	client_certificates {
//	    header <name>
//	    ca     <paths…>
//	}
func (s *AuthorizationServer) parseClientCertificates(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("client_certificates takes no argument")
	}
	c := new(ClientCertificates)
	s.ClientCertificates = c
	return adapt.Block(d, func(option string) error {
		switch option {
		case "header":
			if err := adapt.One(d, &c.Header); err != nil {
				return err
			}
			return adapt.Located(d, c.Check())
		case "ca":
			return adapt.Some(d, &c.CA)
		default:
			return adapt.Unknown(d)
		}
	})
}
