package oauthserver_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

// shelf is a store module that can be opened to write, and nothing else.
type shelf struct{}

func (shelf) Locate(server string) (string, error) { return server, nil }
func (shelf) Check(string) error                   { return nil }
func (shelf) Volatile() bool                       { return false }

func (shelf) Open(string, *slog.Logger) (store.Store, error) {
	return nil, errors.New("opened to write")
}

// readable can be opened to read as well.
type readable struct{ shelf }

func (readable) OpenToRead(string, *slog.Logger) (store.Store, error) {
	return memory.New(memory.Options{}), nil
}

// Whoever follows revocations opens the store to read, where a module can do that.
func TestFollowerOpensToRead(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for name, row := range map[string]struct {
		module oauthserver.StoreOpener
		ready  bool
	}{
		"it can":    {readable{}, true},
		"it cannot": {shelf{}, false},
	} {
		f, err := oauthserver.FollowRevocations(ctx, row.module, name, "default")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Ready(); (err == nil) != row.ready {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Release(); err != nil {
			t.Error(err)
		}
	}
}
