package boltstore

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
)

func init() { caddy.RegisterModule(new(Store)) }

// Store keeps everything in one file on this machine, which one process at a time can use. What a
// client has been told is on disk.
type Store struct {
	// The file. Default: oauth_server/<name of the server>.db under Caddy's data directory. It is
	// created with mode 0600, and its directory with 0700. It contains the private signing keys:
	// guard its backups as well. Placeholders are resolved when the configuration is loaded.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.bolt",
		New: func() caddy.Module { return new(Store) },
	}
}

// Locate returns the absolute path of the file.
func (b *Store) Locate(server string) (string, error) {
	if b.Path == "" {
		return filepath.Join(caddy.AppDataDir(), "oauth_server", server+".db"), nil
	}
	path, err := adapt.Resolve("path of the store", b.Path, checkPath)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// Check returns an error if the file is damaged or empty, or is not a store.
func (*Store) Check(location string) error { return bolt.Check(location) }

// Open opens the file. It creates the file if there is none.
func (*Store) Open(location string, logger *slog.Logger) (store.Store, error) {
	return bolt.Open(location, bolt.Options{Logger: logger})
}

// Volatile is false: the records are in a file.
func (*Store) Volatile() bool { return false }

// UnmarshalCaddyfile reads the store. Syntax:
//
//	store bolt [<path>]
func (b *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.CountRemainingArgs() > 0 {
		return adapt.One(d, &b.Path, checkPath)
	}
	return nil
}

// checkPath refuses a path that a shell would have expanded.
func checkPath(path string) error {
	if strings.HasPrefix(path, "~") {
		return fmt.Errorf("path of the store %s: nothing stands for a home directory here; write {env.HOME}, or a path that begins with /", path)
	}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler   = (*Store)(nil)
	_ oauthserver.StoreOpener = (*Store)(nil)
)
