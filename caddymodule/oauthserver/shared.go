package oauthserver

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// pool holds what outlives a reload. The new configuration starts before the old one stops.
var pool = caddy.NewUsagePool()

// shared is the state that all configurations of a server share, as long as there is one. Its key
// in the pool is the name of the store's module and the location of the records; by default, the
// name of the server is part of the location. It is a store.Store that is opened late: "caddy
// validate" provisions a configuration and never starts it, and must not leave a file behind.
type shared struct {
	memory  *server.Memory
	measure atomic.Pointer[storeMeasure] // by the name that the server had last

	mu     sync.Mutex // held while opening
	engine atomic.Pointer[engine]
	opener func() (store.Store, error)

	users atomic.Int64              // requests in progress that may need the store
	used  atomic.Pointer[time.Time] // when the last one ended
}

// quotaKey is the key in the pool of the one quota of the process for lines about refused requests.
type quotaKey struct{}

type sharedQuota struct{ tokenep.LogQuota }

// Destruct does nothing: a quota holds only memory.
func (*sharedQuota) Destruct() error { return nil }

// AcquireLogQuota returns the quota that all handlers and servers of the process share, for lines
// about refused requests. Whoever provisions one of them acquires it, and releases it in Cleanup.
func AcquireLogQuota() *tokenep.LogQuota {
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(quotaKey{}, func() (caddy.Destructor, error) { return new(sharedQuota), nil })
	return &value.(*sharedQuota).LogQuota
}

// ReleaseLogQuota releases it, once for each time that it was acquired.
func ReleaseLogQuota() error {
	_, err := pool.Delete(quotaKey{})
	return err
}

type engine struct{ store.Store }

// acquireShared returns the shared state of a key, for the server of that name. It makes it if no
// configuration has it.
func acquireShared(key, name string, opener func() (store.Store, error)) (*shared, error) {
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return &shared{memory: server.NewMemory(time.Now), opener: opener}, nil
	})
	if err != nil {
		return nil, err
	}
	s := value.(*shared)
	s.measure.Store(measureStore(name))
	return s, nil
}

// Use keeps the store open until done is called. It is for a request that may need the store, and
// that Caddy may go on serving after it has replaced the configuration.
func (s *AuthorizationServer) Use() (done func()) { return s.shared.use() }

// Engine returns the store itself. The error wraps store.ErrUnavailable until the store is open.
func (s *AuthorizationServer) Engine() (store.Store, error) {
	if e := s.shared.engine.Load(); e != nil {
		return e.Store, nil
	}
	return nil, errNotOpen
}

// open opens the store unless an earlier configuration has done so. After a failure it may be
// called again.
func (s *shared) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine.Load() != nil {
		return nil
	}
	opened, err := s.opener()
	if err != nil {
		return err
	}
	s.engine.Store(&engine{opened})
	return nil
}

// use counts a request that may need the store, until done is called.
func (s *shared) use() (done func()) {
	s.users.Add(1)
	return func() {
		now := time.Now()
		s.used.Store(&now)
		s.users.Add(-1)
	}
}

const (
	drainFor   = 5 * time.Second // a verb waits for a database for up to 3 s
	drainQuiet = 100 * time.Millisecond
)

// drain waits until no request needs the store, for drainFor at most. When a configuration with
// another store takes over, Caddy cleans up the old one while that still serves requests, and may
// get a few more that were on their way. So drain returns only after drainQuiet without a request.
func (s *shared) drain() {
	deadline := time.Now().Add(drainFor)
	for ; time.Now().Before(deadline) && !caddy.Exiting(); time.Sleep(10 * time.Millisecond) {
		used := s.used.Load()
		if s.users.Load() == 0 && (used == nil || time.Since(*used) > drainQuiet) {
			return
		}
	}
}

// Destruct closes the store after the last configuration has released it.
func (s *shared) Destruct() error {
	s.drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.engine.Load(); e != nil {
		if closer, ok := e.Store.(io.Closer); ok {
			return closer.Close()
		}
	}
	return nil
}

var errNotOpen = fmt.Errorf("%w: the store is not open yet", store.ErrUnavailable)

// Insert implements store.Store.
func (s *shared) Insert(ctx context.Context, r store.Record) error {
	began, err := time.Since(processStart), errNotOpen
	if e := s.engine.Load(); e != nil {
		err = e.Insert(ctx, r)
	}
	s.measure.Load().done(insert, began, err)
	return err
}

// Load implements store.Store.
func (s *shared) Load(ctx context.Context, kind, id string) (r store.Record, err error) {
	began, err := time.Since(processStart), errNotOpen
	if e := s.engine.Load(); e != nil {
		r, err = e.Load(ctx, kind, id)
	}
	s.measure.Load().done(load, began, err)
	return r, err
}

// Swap implements store.Store.
func (s *shared) Swap(ctx context.Context, old, next store.Record) error {
	began, err := time.Since(processStart), errNotOpen
	if e := s.engine.Load(); e != nil {
		err = e.Swap(ctx, old, next)
	}
	s.measure.Load().done(swap, began, err)
	return err
}

// Delete implements store.Store.
func (s *shared) Delete(ctx context.Context, kind, id string) error {
	began, err := time.Since(processStart), errNotOpen
	if e := s.engine.Load(); e != nil {
		err = e.Delete(ctx, kind, id)
	}
	s.measure.Load().done(remove, began, err)
	return err
}

// List implements store.Store.
func (s *shared) List(ctx context.Context, kind, prefix, after string, limit int) (page []store.Record, err error) {
	began, err := time.Since(processStart), errNotOpen
	if e := s.engine.Load(); e != nil {
		page, err = e.List(ctx, kind, prefix, after, limit)
	}
	s.measure.Load().done(list, began, err)
	return page, err
}

// Interface guards
var (
	_ store.Store      = (*shared)(nil)
	_ caddy.Destructor = (*shared)(nil)
)
