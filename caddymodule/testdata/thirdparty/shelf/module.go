package shelf

import (
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func init() {
	caddy.RegisterModule(new(Module))
}

// Module keeps everything on a shelf of this process: it is gone when the process ends.
type Module struct{}

// CaddyModule returns the Caddy module information.
func (*Module) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.shelf",
		New: func() caddy.Module { return new(Module) },
	}
}

// UnmarshalCaddyfile reads the store. Syntax:
//
//	store shelf
func (*Module) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Locate gives each server a shelf of its own.
func (*Module) Locate(server string) (string, error) { return server, nil }

// Check has nothing to check: each shelf is a new one.
func (*Module) Check(string) error { return nil }

// Open returns an empty shelf.
func (*Module) Open(string, *slog.Logger) (store.Store, error) { return New(), nil }

// Volatile reports that nobody else can read the shelf.
func (*Module) Volatile() bool { return true }

// Interface guards
var (
	_ oauthserver.StoreOpener = (*Module)(nil)
	_ caddyfile.Unmarshaler   = (*Module)(nil)
)
