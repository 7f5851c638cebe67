package oauthserver

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// StoreNamespace is the namespace of the modules that are stores.
const StoreNamespace = "oauth_server.stores"

// defaultStore is the name of the store of a server that names none. It is found by its name, as
// every store is, so that this package imports no engine.
const defaultStore = "bolt"

// StoreOpener is what a module of the namespace oauth_server.stores implements. A store that is
// also an io.Closer is closed when no configuration uses it any longer. A module that has
//
//	OpenToRead(location string, logger *slog.Logger) (store.Store, error)
//
// as well opens a store by it that only Load and List are called of: one that writes nothing by
// itself either, as for a user of a database who may not.
type StoreOpener interface {
	// Locate returns where the records of the named server are: a text that is the same for the
	// same records, and contains no secret. It does no I/O.
	Locate(server string) (location string, err error)
	// Check returns an error if Open would fail because of what is at the location. It writes
	// nothing, does not use the network, and does not mind if somebody else has the store open. A
	// configuration that is refused so has not begun to answer requests.
	Check(location string) error
	// Open opens the store at the location. It is called when the app starts, and not again as long
	// as reloads keep the location.
	Open(location string, logger *slog.Logger) (store.Store, error)
	// Volatile reports whether the records are only in the memory of this process: they end with
	// it, and nobody else can read them.
	Volatile() bool
}

// parseStore reads the store. Syntax:
//
//	store <module> …
func (s *AuthorizationServer) parseStore(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("store takes the name of a module, such as bolt or memory")
	}
	name := d.Val()
	module, err := adapt.Module(d, StoreNamespace, name)
	if err != nil {
		return err
	}
	s.StoreRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

// StoreName returns the name of the module that is the store, such as "bolt".
func (s *AuthorizationServer) StoreName() string {
	if s.storeName != "" {
		return s.storeName
	}
	return cmp.Or(StoreModule(s.StoreRaw), defaultStore)
}

// acquireStore loads the store module and takes part in its shared state.
func (s *AuthorizationServer) acquireStore(ctx caddy.Context) error {
	if s.StoreRaw == nil {
		s.StoreRaw = caddyconfig.JSON(map[string]string{"module": defaultStore}, nil)
	}
	s.storeName = s.StoreName() // Caddy drops the configuration of a module that it has loaded
	loaded, err := ctx.LoadModule(s, "StoreRaw")
	if err != nil {
		return adapt.Of("store", fmt.Errorf("loading the store: %w", err))
	}
	module, ok := loaded.(StoreOpener)
	if !ok {
		return fmt.Errorf("module %T does not implement oauthserver.StoreOpener", loaded)
	}
	s.volatile = module.Volatile()
	location, err := module.Locate(s.name)
	if err != nil {
		return adapt.Of("store", err)
	}
	logger := ctx.Slogger().With("server", s.name)
	s.poolKey = StoreNamespace + "." + s.storeName + " " + location
	s.shared, err = acquireShared(s.poolKey, s.name, func() (store.Store, error) { return module.Open(location, logger) })
	if err != nil {
		return err
	}
	s.quota = AcquireLogQuota() // cleanup releases both
	if s.shared.engine.Load() == nil {
		err = module.Check(location)
	}
	return adapt.Of("store", err)
}
