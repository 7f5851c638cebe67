package caddymodule

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/postgres"
)

// PostgresStore keeps everything in a table of PostgreSQL, which any number of machines can share. The records of each server have its name in them.
// The table is made when it is first needed.
type PostgresStore struct {
	// How to connect, as libpq has it: postgres://user:password@host:port/database?sslmode=verify-full, or host=… user=… password=… dbname=….
	// Placeholders are resolved when the configuration is loaded, and the password must be one: {env.PGPASSWORD}, or {file./run/secrets/postgres}.
	// It is encoded or quoted as need be; when a placeholder is all of the string, the password in it is encoded already.
	DSN string `json:"dsn,omitempty"`

	resolved string
	server   string
}

// CaddyModule returns the Caddy module information.
func (*PostgresStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.postgres",
		New: func() caddy.Module { return new(PostgresStore) },
	}
}

// Locate resolves the connection string, and returns a digest of it.
func (p *PostgresStore) Locate(server string) (location string, err error) {
	p.server = server
	p.resolved, location, err = locateDatabase("dsn of the store", p.DSN, server)
	return location, err
}

// Open makes no connection yet: PostgreSQL may be away when Caddy starts.
func (p *PostgresStore) Open(_ string, logger *slog.Logger) (store.Store, error) {
	return postgres.Open(context.Background(), p.resolved, postgres.Options{Namespace: p.server, Logger: logger})
}

// Interface guards
var _ StoreOpener = (*PostgresStore)(nil)
