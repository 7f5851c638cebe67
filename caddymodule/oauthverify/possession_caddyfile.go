package oauthverify

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/verify"
)

// parseBlock reads the options that have a block of their own.
func (o *Options) parseBlock(d *caddyfile.Dispenser, option string) error {
	if option == "keep_authorization" {
		return d.Err("keep_authorization is written: authorization keep")
	}
	switch option {
	case "authorization":
		return o.parseAuthorization(d)
	case "mcp":
		return o.parseMCP(d)
	case "dpop":
		return o.parseDPoP(d)
	case "client_certificates":
		return o.parseClientCertificates(d)
	default:
		return adapt.Unknown(d)
	}
}

// parseDPoP reads the rules for tokens that are bound to a key. Syntax:
//
//	dpop {
//	    required
//	    origin <origins…>
//	    prefix <path>
//	    window <duration>
//	    nonce  required|off
//	}
//
// The block can be left out.
func (o *Options) parseDPoP(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("dpop takes no argument")
	}
	c := new(DPoP)
	o.DPoP = c
	return adapt.Block(d, func(option string) error {
		switch option {
		case "required":
			return adapt.Flag(d, &c.Required)
		case "origin":
			if err := adapt.Some(d, &c.Origins); err != nil {
				return err
			}
		case "prefix":
			return adapt.One(d, &c.Prefix, verify.CheckPrefix)
		case "window":
			return adapt.Duration(d, &c.Window, oauthserver.CheckWindow)
		case "nonce":
			return adapt.Choice(d, &c.Nonce, oauthserver.NonceRequired, oauthserver.NonceOff)
		default:
			return adapt.Unknown(d)
		}
		return adapt.Located(d, o.checkPossession())
	})
}

// parseClientCertificates reads the rules for tokens that are bound to a certificate. Syntax:
//
//	client_certificates {
//	    required
//	    header <name>
//	}
func (o *Options) parseClientCertificates(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("client_certificates takes no argument")
	}
	c := new(ClientCertificates)
	o.ClientCertificates = c
	return adapt.Block(d, func(option string) error {
		switch option {
		case "required":
			return adapt.Flag(d, &c.Required)
		case "header":
			if err := adapt.One(d, &c.Header); err != nil {
				return err
			}
			return adapt.Located(d, o.checkPossession())
		default:
			return adapt.Unknown(d)
		}
	})
}
