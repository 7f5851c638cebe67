package oauthserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Follower follows the revocations of a server in another process, in its store, and writes none.
// All who follow the same ones share it. Nothing is opened before Ready is called.
type Follower struct {
	key string
	*followed
}

// followed is what is shared.
type followed struct {
	set    verify.Revocations
	open   func() (store.Store, error)
	logger *slog.Logger
	ctx    context.Context // ends with the last who follows
	stop   context.CancelFunc
	ready  atomic.Bool // the set was complete once

	mu     sync.Mutex // held while it is made complete
	engine store.Store
	tried  time.Time
	err    error // of the last try
}

// retryFollow is how long nobody tries again to read revocations that could not be read.
const retryFollow = time.Second

var errVolatile = errors.New("nobody else can read that store: it is in the memory of a process")

// CheckFollowed returns an error if a module is no store that another process has, too.
func CheckFollowed(module any) error {
	opener, ok := module.(StoreOpener)
	switch {
	case !ok:
		return fmt.Errorf("module %T does not implement oauthserver.StoreOpener", module)
	case opener.Volatile():
		return errVolatile
	}
	return nil
}

// FollowRevocations returns the Follower of the named server whose store is that module. Release
// must be called in the end.
func FollowRevocations(ctx caddy.Context, module any, moduleName, server string) (*Follower, error) {
	if err := CheckFollowed(module); err != nil {
		return nil, err
	}
	opener := module.(StoreOpener)
	open := opener.Open
	if reader, ok := module.(interface {
		OpenToRead(string, *slog.Logger) (store.Store, error)
	}); ok {
		open = reader.OpenToRead
	}
	location, err := opener.Locate(server)
	if err != nil {
		return nil, err
	}
	key := "revocations in " + StoreNamespace + "." + moduleName + " " + location
	logger := ctx.Slogger().With("server", server)
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		background, stop := context.WithCancel(context.Background()) // it outlives a reload
		f := &followed{
			open:   func() (store.Store, error) { return open(location, logger) },
			logger: logger, ctx: background, stop: stop,
		}
		running.follow(server, f)
		return f, nil
	})
	if err != nil {
		return nil, err
	}
	return &Follower{key, value.(*followed)}, nil
}

// Set returns the revocations. They are complete after Ready has returned nil.
func (f *followed) Set() *verify.Revocations { return &f.set }

// Ready returns when the revocations have been read once, or with the error for which they cannot
// be.
func (f *followed) Ready() error {
	if f.ready.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch now := time.Now(); {
	case f.ready.Load():
		return nil
	case f.err != nil && now.Sub(f.tried) < retryFollow:
		return f.err
	default:
		f.tried = now
	}
	if f.err = f.start(); f.err == nil {
		f.ready.Store(true)
	}
	return f.err
}

func (f *followed) start() (err error) {
	if f.engine == nil {
		if f.engine, err = f.open(); err != nil {
			return fmt.Errorf("opening the store: %w", err)
		}
	}
	return state.NewRevocationReader(f.engine, &f.set, time.Now, f.logger).Start(f.ctx)
}

// Destruct ends it after the last who follows has released it.
func (f *followed) Destruct() error {
	f.stop()
	running.unfollow(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if closer, ok := f.engine.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Release gives the Follower back.
func (f *Follower) Release() error {
	_, err := pool.Delete(f.key)
	return err
}

// StoreModule returns the name of the module that a configured store is.
func StoreModule(raw json.RawMessage) string {
	var named struct {
		Module string `json:"module"`
	}
	_ = json.Unmarshal(raw, &named) // Caddy refuses what is not an object
	return named.Module
}

// Interface guard
var _ caddy.Destructor = (*followed)(nil)
