package memorystore

import (
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

func init() { caddy.RegisterModule(new(Store)) }

// Store keeps everything in the memory of this process. Signing keys, API tokens and run-time
// clients survive a reload, but are gone when the process ends. It is for trying things out.
type Store struct {
	// How many records it holds. When it is full, new records are refused; none is dropped before
	// it expires. Revocations by administrators have room for a tenth more, and a hundred. A change
	// takes effect when Caddy is started again, since a reload keeps the memory. Default: 2097152.
	MaxRecords int `json:"max_records,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.memory",
		New: func() caddy.Module { return new(Store) },
	}
}

// Validate refuses a negative bound.
func (m *Store) Validate() error {
	if m.MaxRecords < 0 {
		return fmt.Errorf("max_records is %d; it cannot be negative", m.MaxRecords)
	}
	return nil
}

// Locate returns the name of the server: each has a memory of its own.
func (*Store) Locate(server string) (string, error) { return server, nil }

// Check has nothing to check.
func (*Store) Check(string) error { return nil }

// Open returns an empty store.
func (m *Store) Open(string, *slog.Logger) (store.Store, error) {
	return memory.New(memory.Options{Max: m.MaxRecords}), nil
}

// Volatile is true: the records end with the process.
func (*Store) Volatile() bool { return true }

// UnmarshalCaddyfile reads the store. Syntax:
//
//	store memory [<max_records>]
func (m *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.CountRemainingArgs() > 0 {
		return adapt.Count(d, &m.MaxRecords)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Validator         = (*Store)(nil)
	_ caddyfile.Unmarshaler   = (*Store)(nil)
	_ oauthserver.StoreOpener = (*Store)(nil)
)
