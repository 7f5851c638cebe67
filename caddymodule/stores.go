package caddymodule

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

// StoreOpener is what a module of the namespace oauth_server.stores is. A store that also is an io.Closer is closed when no configuration uses it.
type StoreOpener interface {
	// Locate says where the records of the named server are, in words that are the same for the same records. It does no I/O.
	Locate(server string) (location string, err error)
	// Open opens the store at the location. It is called when the configuration starts, once for as many reloads as keep the location.
	Open(location string, logger *slog.Logger) (store.Store, error)
}

// MemoryStore keeps everything in this process: keys, API tokens and run-time clients are gone when it ends, but survive a reload.
// It is for trying things out.
type MemoryStore struct {
	// How many records it holds. Default: 2097152. When it is full new ones are refused; what lives is never dropped.
	// A change takes effect with the next start of Caddy, since a reload keeps the memory.
	MaxRecords int `json:"max_records,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*MemoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.memory",
		New: func() caddy.Module { return new(MemoryStore) },
	}
}

// Validate refuses a negative bound.
func (m *MemoryStore) Validate() error {
	if m.MaxRecords < 0 {
		return fmt.Errorf("max_records is %d; it cannot be negative", m.MaxRecords)
	}
	return nil
}

// Locate gives each server a memory of its own.
func (*MemoryStore) Locate(server string) (string, error) { return server, nil }

// Open returns an empty store.
func (m *MemoryStore) Open(string, *slog.Logger) (store.Store, error) {
	return memory.New(memory.Options{Max: m.MaxRecords}), nil
}

// BoltStore keeps everything in one file on this machine, which one process at a time can use. What was answered to a client is on disk.
type BoltStore struct {
	// The file. Default: oauth_server/<name of the server>.db under Caddy's data directory. It is created with mode 0600, and its directory with 0700.
	// It holds the private signing keys: back it up as such. Placeholders are resolved when the configuration is loaded.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*BoltStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.stores.bolt",
		New: func() caddy.Module { return new(BoltStore) },
	}
}

// Locate returns the absolute path of the file.
func (b *BoltStore) Locate(server string) (string, error) {
	if b.Path == "" {
		return filepath.Join(caddy.AppDataDir(), "oauth_server", server+".db"), nil
	}
	path, err := resolve("path of the store", b.Path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// Open opens the file, or creates it.
func (*BoltStore) Open(location string, logger *slog.Logger) (store.Store, error) {
	return bolt.Open(location, bolt.Options{Logger: logger})
}

// Interface guards
var (
	_ StoreOpener     = (*MemoryStore)(nil)
	_ caddy.Validator = (*MemoryStore)(nil)
	_ StoreOpener     = (*BoltStore)(nil)
)
