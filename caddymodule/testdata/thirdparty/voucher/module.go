package voucher

import (
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func init() {
	caddy.RegisterModule(new(Module))
}

// Module adds the grant and its endpoint to a server.
type Module struct {
	// How long a voucher is good. Default: 1h.
	Life caddy.Duration `json:"life,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Module) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.grants.voucher",
		New: func() caddy.Module { return new(Module) },
	}
}

// UnmarshalCaddyfile reads the grant. Syntax:
//
//	grant voucher {
//	    life <duration>
//	}
func (m *Module) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the grant
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(d.Nesting()) {
		if d.Val() != "life" {
			return d.Errf("unrecognized subdirective '%s'", d.Val())
		}
		if !d.NextArg() {
			return d.ArgErr()
		}
		life, err := caddy.ParseDuration(d.Val())
		if err != nil {
			return d.WrapErr(err)
		}
		m.Life = caddy.Duration(life)
	}
	return nil
}

// Extend adds the grant and the endpoint.
func (m *Module) Extend(c *server.Config) error {
	if m.Life < 0 {
		return errors.New("life must not be negative")
	}
	life := time.Duration(m.Life)
	if life == 0 {
		life = time.Hour
	}
	c.Grants = append(c.Grants, func(s *server.Server) (tokenep.Grant, error) { return New(s, life), nil })
	c.Endpoints = append(c.Endpoints, func(s *server.Server) (tokenep.Endpoint, error) { return New(s, life).Endpoint(), nil })
	return nil
}

// Interface guards
var (
	_ oauthserver.Extension = (*Module)(nil)
	_ caddyfile.Unmarshaler = (*Module)(nil)
)
