package redisstore

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/internal/database"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/redis"
)

func init() { caddy.RegisterModule(new(Store)) }

// Store is the store redis: it keeps everything in Redis 7 or Valkey, which any number of machines can share. The records of each server have keys of their own, by its name.
// Set appendonly yes, appendfsync always and maxmemory-policy noeviction: with less, Redis may forget what was answered to a client.
type Store struct {
	// Where it is: redis://user:password@host:port/database, rediss:// for TLS, or unix://path/to/socket; with ?addr=host:port for further nodes of a
	// cluster. Placeholders are resolved when the configuration is loaded, and the password must be one: {env.REDIS_PASSWORD}, or {file./run/secrets/redis}.
	// It is encoded as a URL wants it; when a placeholder is all of the URL, the password in it is encoded already.
	// With rediss:// the parameter ca_file=/path/to/ca.pem names the authorities to trust instead of the system's.
	URL string `json:"url,omitempty"`

	resolved string
	server   string
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.redis",
		New: func() caddy.Module { return new(Store) },
	}
}

// Locate resolves the URL, and returns a digest of it.
func (r *Store) Locate(server string) (location string, err error) {
	r.server = server
	r.resolved, location, err = database.Locate("url of the store", r.URL, server)
	return location, err
}

// Open makes no connection yet: Redis may be away when Caddy starts.
func (r *Store) Open(_ string, logger *slog.Logger) (store.Store, error) {
	return redis.Open(context.Background(), r.resolved, redis.Options{Namespace: r.server, Logger: logger})
}

// Volatile is false: the records are in Redis.
func (*Store) Volatile() bool { return false }

// UnmarshalCaddyfile reads the store. Syntax:
//
//	store redis <url>
func (r *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return database.ReadAddress(d, &r.URL)
}

// Interface guards
var (
	_ caddyfile.Unmarshaler   = (*Store)(nil)
	_ oauthserver.StoreOpener = (*Store)(nil)
)
