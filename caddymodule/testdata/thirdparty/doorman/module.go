// Package doorman is a plugin of somebody else: its users are who knows the word of the day. It
// shows what a module of the namespace oauth_server.users needs.
package doorman

import (
	"context"
	"crypto/subtle"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func init() {
	caddy.RegisterModule(new(Module))
}

// Module lets in whoever knows the word.
type Module struct {
	// The word of the day. Required.
	Word string `json:"word,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Module) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.users.doorman",
		New: func() caddy.Module { return new(Module) },
	}
}

// UnmarshalCaddyfile reads the users. Syntax:
//
//	users doorman <word>
func (m *Module) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if !d.Args(&m.Word) || d.NextArg() {
		return d.Err("doorman takes the word of the day")
	}
	return nil
}

// Extend adds the users.
func (m *Module) Extend(c *server.Config) error {
	claims := tokenep.ClaimSources{{Name: "nickname", From: "name"}}
	return oauthserver.AddUsers(c, &tokenep.UserSource{
		Authenticate: func(_ context.Context, name, password string) (tokenep.User, error) {
			if subtle.ConstantTimeCompare([]byte(password), []byte(m.Word)) != 1 {
				return tokenep.User{}, tokenep.ErrNoUser
			}
			return tokenep.User{Subject: name, Claims: claims.Read(func(string) any { return name })}, nil
		},
	}, claims)
}

// Interface guards
var (
	_ oauthserver.Extension = (*Module)(nil)
	_ caddyfile.Unmarshaler = (*Module)(nil)
)
