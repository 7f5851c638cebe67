package postgresstore

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/internal/database"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/postgres"
)

func init() { caddy.RegisterModule(new(Store)) }

// Store keeps everything in a table of PostgreSQL, which any number of machines can share. Each
// record has the name of its server. The table is created when it is first needed.
type Store struct {
	// The connection string of libpq:
	// postgres://user:password@host:port/database?sslmode=verify-full, or
	// host=… user=… password=… dbname=…. Placeholders are resolved when the configuration is
	// loaded. The password must be one, such as {env.PGPASSWORD} or
	// {file./run/secrets/postgres}; it is URL-encoded or quoted when it is inserted. If one
	// placeholder is the whole string, the password in it must be encoded already. Required.
	DSN string `json:"dsn,omitempty"`

	resolved string
	server   string
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.postgres",
		New: func() caddy.Module { return new(Store) },
	}
}

// Locate resolves the connection string, and returns a digest of it.
func (p *Store) Locate(server string) (location string, err error) {
	p.server = server
	p.resolved, location, err = database.Locate("dsn of the store", p.DSN, server)
	return location, err
}

// Check returns an error if the connection string is malformed. It makes no connection.
func (p *Store) Check(string) error { return postgres.Check(p.resolved) }

// Open does not connect yet: PostgreSQL may be unavailable when Caddy starts. The store outlives
// the configuration that opens it, and so its context.
func (p *Store) Open(_ string, logger *slog.Logger) (store.Store, error) {
	return postgres.Open(context.Background(), p.resolved, postgres.Options{Namespace: p.server, Logger: logger})
}

// OpenToRead is like Open, but leaves the deletion of what has expired to those who write.
func (p *Store) OpenToRead(_ string, logger *slog.Logger) (store.Store, error) {
	return postgres.Open(context.Background(), p.resolved, postgres.Options{Namespace: p.server, Logger: logger, SweepInterval: -1})
}

// Volatile is false: the records are in PostgreSQL.
func (*Store) Volatile() bool { return false }

// UnmarshalCaddyfile reads the store. Syntax:
//
//	store postgres <dsn>
func (p *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return database.ReadAddress(d, &p.DSN, postgres.Check)
}

// Interface guards
var (
	_ caddyfile.Unmarshaler   = (*Store)(nil)
	_ oauthserver.StoreOpener = (*Store)(nil)
)
