package caddymodule_test

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

func init() { caddy.RegisterModule(new(failingStore)) }

// failingStore is a store of a third party, for the scripts. It keeps records in memory, but
// loading the client "away" fails because the engine is away, and loading the client "broken" fails
// with an unexpected error.
type failingStore struct{ store.Store }

func (*failingStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "oauth_server.stores.failing", New: func() caddy.Module { return new(failingStore) }}
}

func (*failingStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

func (*failingStore) Locate(server string) (string, error) { return server, nil }

func (*failingStore) Check(string) error { return nil }

func (*failingStore) Open(string, *slog.Logger) (store.Store, error) {
	return &failingStore{memory.New(memory.Options{})}, nil
}

func (*failingStore) Volatile() bool { return true }

func (f *failingStore) Load(ctx context.Context, kind, id string) (store.Record, error) {
	switch id {
	case "away":
		return store.Record{}, store.ErrUnavailable
	case "broken":
		return store.Record{}, errors.New("disk is on fire")
	}
	return f.Store.Load(ctx, kind, id)
}

var (
	_ oauthserver.StoreOpener = (*failingStore)(nil)
	_ caddyfile.Unmarshaler   = (*failingStore)(nil)
)
