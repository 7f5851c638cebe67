package oauthtoken

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func parse(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	oauth_token [<matcher>] {
//	    server <name>
//	    token_endpoint <paths…> {
//	        json
//	        subject_token_type  <urn>
//	        subject_token_error invalid_request | invalid_grant
//	        ignore              <parameters…>
//	    }
//	    jwks       <path>
//	    revocation <path>
//	    metadata   <paths…>
//	}
//
// token_endpoint may be repeated. Its options apply to all paths of the line.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("oauth_token takes no argument; name the server in its block")
	}
	return adapt.Block(d, func(option string) error {
		line := *d // stays at the option
		if err := h.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(&line, h.literal().Validate())
	}, "token_endpoint")
}

func (h *Handler) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "server":
		return adapt.One(d, &h.Server)
	case "token_endpoint":
		return h.parseTokenEndpoint(d)
	case "jwks":
		return adapt.One(d, &h.JWKS)
	case "revocation":
		return adapt.One(d, &h.Revocation)
	case "metadata":
		return adapt.Some(d, &h.Metadata)
	default:
		return adapt.Unknown(d)
	}
}

// literal returns the paths that have no placeholder.
func (h *Handler) literal() server.Paths {
	p := server.Paths{Metadata: adapt.Literals(h.Metadata)}
	for _, t := range h.TokenEndpoints {
		if adapt.IsLiteral(t.Path) {
			p.Token = append(p.Token, server.TokenPath{Path: t.Path})
		}
	}
	if adapt.IsLiteral(h.JWKS) {
		p.JWKS = h.JWKS
	}
	if adapt.IsLiteral(h.Revocation) {
		p.Revocation = h.Revocation
	}
	return p
}

func (h *Handler) parseTokenEndpoint(d *caddyfile.Dispenser) error {
	var paths []string
	if err := adapt.Some(d, &paths); err != nil {
		return err
	}
	var t TokenEndpoint
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "json":
			return adapt.Flag(d, &t.JSON)
		case "subject_token_type":
			return adapt.One(d, &t.SubjectTokenType)
		case "subject_token_error":
			return adapt.Choice(d, &t.SubjectTokenError, string(tokenep.InvalidRequest), string(tokenep.InvalidGrant))
		case "ignore":
			return adapt.Some(d, &t.Ignore)
		default:
			return adapt.Unknown(d)
		}
	})
	for _, t.Path = range paths {
		h.TokenEndpoints = append(h.TokenEndpoints, t)
	}
	return err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
