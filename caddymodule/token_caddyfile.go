package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func parseEndpoints(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	e := new(Endpoints)
	return e, e.UnmarshalCaddyfile(h.Dispenser)
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
// token_endpoint may be repeated; its options hold for all the paths of its line.
func (e *Endpoints) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("oauth_token takes no argument; name the server in its block")
	}
	return readBlock(d, func(option string) error {
		line := *d // stays where the option is
		if err := e.parseOption(d, option); err != nil {
			return err
		}
		return located(&line, e.literal().Validate())
	}, "token_endpoint")
}

func (e *Endpoints) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "server":
		return readOne(d, &e.Server)
	case "token_endpoint":
		return e.parseTokenEndpoint(d)
	case "jwks":
		return readOne(d, &e.JWKS)
	case "revocation":
		return readOne(d, &e.Revocation)
	case "metadata":
		return readSome(d, &e.Metadata)
	default:
		return unknown(d)
	}
}

// literal returns the paths that are known without resolving placeholders.
func (e *Endpoints) literal() server.Paths {
	p := server.Paths{Metadata: literals(e.Metadata)}
	for _, t := range e.TokenEndpoints {
		if isLiteral(t.Path) {
			p.Token = append(p.Token, server.TokenPath{Path: t.Path})
		}
	}
	if isLiteral(e.JWKS) {
		p.JWKS = e.JWKS
	}
	if isLiteral(e.Revocation) {
		p.Revocation = e.Revocation
	}
	return p
}

func (e *Endpoints) parseTokenEndpoint(d *caddyfile.Dispenser) error {
	var paths []string
	if err := readSome(d, &paths); err != nil {
		return err
	}
	var t TokenEndpoint
	err := readBlock(d, func(option string) error {
		switch option {
		case "json":
			return readFlag(d, &t.JSON)
		case "subject_token_type":
			return readOne(d, &t.SubjectTokenType)
		case "subject_token_error":
			return readChoice(d, &t.SubjectTokenError, string(tokenep.InvalidRequest), string(tokenep.InvalidGrant))
		case "ignore":
			return readSome(d, &t.Ignore)
		default:
			return unknown(d)
		}
	})
	for _, t.Path = range paths {
		e.TokenEndpoints = append(e.TokenEndpoints, t)
	}
	return err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Endpoints)(nil)
