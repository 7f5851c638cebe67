package htpasswdusers

import (
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/user/hashed"
	"github.com/tokenep/caddy-tokenep/tokenep/user/htpasswd"
)

func init() { caddy.RegisterModule(new(Users)) }

// Users are people in a file, one on each line, as htpasswd -B writes it: name, colon, and the
// bcrypt hash of the password. A change takes effect within a second, without a reload. While the
// file has a bad line, or is gone, those who were read before stay, and the log says which line it
// is. A file in which there is nobody any more must stay so for five seconds, since some programs
// empty a file before they write it. Clients are told nothing of these people but their names.
type Users struct {
	// The file, of 8 MiB at the most. Placeholders are resolved when the configuration is loaded.
	// Required.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Users) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.users.htpasswd",
		New: func() caddy.Module { return new(Users) },
	}
}

// Extend reads the file, and adds the people to a server.
func (u *Users) Extend(c *server.Config) error {
	path, err := adapt.Resolve("htpasswd: the path", u.Path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return err
	}
	file := htpasswd.New(path, htpasswd.Options{
		Hashes: hashed.Options{Compare: c.CompareHash, Decoy: oauthserver.UserDecoy}, Logger: c.Logger,
	})
	if err := file.Load(); err != nil {
		return err
	}
	return oauthserver.AddUsers(c, file.Source(), nil)
}

// UnmarshalCaddyfile reads the file. Syntax:
//
//	users htpasswd <path>
func (u *Users) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if err := adapt.One(d, &u.Path); err != nil {
		return err
	}
	return adapt.Block(d, func(string) error { return adapt.Unknown(d) })
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Users)(nil)
	_ oauthserver.Extension = (*Users)(nil)
)
