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

// Store keeps everything in Redis 7 or Valkey, which any number of machines can share. The keys of
// its records begin with the name of the server. Set appendonly yes, appendfsync always and
// maxmemory-policy noeviction: with less, Redis may forget what a client has been told.
type Store struct {
	// The address: redis://user:password@host:port/database, rediss:// for TLS, or
	// unix://path/to/socket; with ?addr=host:port for further nodes of a cluster. Placeholders are
	// resolved when the configuration is loaded. The password must be one, such as
	// {env.REDIS_PASSWORD} or {file./run/secrets/redis}; it is URL-encoded when it is inserted. If
	// one placeholder is the whole URL, the password in it must be URL-encoded already. With
	// rediss:// the parameter ca_file=/path/to/ca.pem names the certificate authorities to trust
	// instead of the system's. Required.
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

// Check returns an error if the URL is none of Redis. It makes no connection.
func (r *Store) Check(string) error { return redis.Check(r.resolved) }

// Open does not connect yet: Redis may be unavailable when Caddy starts. The store outlives the
// configuration that opens it, and so its context.
func (r *Store) Open(_ string, logger *slog.Logger) (store.Store, error) {
	return redis.Open(context.Background(), r.resolved, redis.Options{Namespace: r.server, Logger: logger})
}

// OpenToRead is like Open, but leaves the cleaning of the indexes to those who write.
func (r *Store) OpenToRead(_ string, logger *slog.Logger) (store.Store, error) {
	return redis.Open(context.Background(), r.resolved, redis.Options{Namespace: r.server, Logger: logger, SweepInterval: -1})
}

// Volatile is false: the records are in Redis.
func (*Store) Volatile() bool { return false }

// UnmarshalCaddyfile reads the store. Syntax:
//
//	store redis <url>
func (r *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return database.ReadAddress(d, &r.URL, redis.Check)
}

// Interface guards
var (
	_ caddyfile.Unmarshaler   = (*Store)(nil)
	_ oauthserver.StoreOpener = (*Store)(nil)
)
