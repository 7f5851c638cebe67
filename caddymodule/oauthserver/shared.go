package oauthserver

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// pool holds what outlives a reload of the configuration: the new one starts before the old one stops.
var pool = caddy.NewUsagePool()

// shared is the state that all configurations of a server share while at least one of them lives. It is keyed by the store and where its records are; the
// default file and the memory store have the server's name in that. It is a store.Store that opens late: "caddy validate" provisions and never starts, and
// must not leave a file behind.
type shared struct {
	memory *server.Memory

	mu     sync.Mutex // held while opening
	engine atomic.Pointer[engine]
	opener func() (store.Store, error)

	users atomic.Int64              // requests that are being served
	used  atomic.Pointer[time.Time] // when the last one ended
}

type engine struct{ store.Store }

// acquireShared takes part in the shared state under a key, or makes it.
func acquireShared(key string, opener func() (store.Store, error)) (*shared, error) {
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return &shared{memory: server.NewMemory(time.Now), opener: opener}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*shared), nil
}

// Use keeps the store open until done is called, for a request that may need it and that may be
// served when the configuration has been replaced by another.
func (s *AuthorizationServer) Use() (done func()) { return s.shared.use() }

// Engine returns the store itself. The error wraps store.ErrUnavailable until the store is open.
func (s *AuthorizationServer) Engine() (store.Store, error) {
	if e := s.shared.engine.Load(); e != nil {
		return e.Store, nil
	}
	return nil, errNotOpen
}

// open opens the store unless an earlier configuration has. A failure is not remembered.
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

// use notes a request that may need the store, until it calls done.
func (s *shared) use() (done func()) {
	s.users.Add(1)
	return func() {
		now := time.Now()
		s.used.Store(&now)
		s.users.Add(-1)
	}
}

const (
	drainFor   = 5 * time.Second // a verb that waits for a database does so for three
	drainQuiet = 100 * time.Millisecond
)

// drain waits until no request needs the store any more. When a configuration with another store takes over, Caddy lets go of the old one while it still
// serves requests, and perhaps gets some that were on their way: so there has to have been none for a moment.
func (s *shared) drain() {
	for deadline := time.Now().Add(drainFor); time.Now().Before(deadline) && !caddy.Exiting(); time.Sleep(10 * time.Millisecond) {
		used := s.used.Load()
		if s.users.Load() == 0 && (used == nil || time.Since(*used) > drainQuiet) {
			return
		}
	}
}

// Destruct closes the store when the last configuration has let go of it.
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
	if e := s.engine.Load(); e != nil {
		return e.Insert(ctx, r)
	}
	return errNotOpen
}

// Load implements store.Store.
func (s *shared) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if e := s.engine.Load(); e != nil {
		return e.Load(ctx, kind, id)
	}
	return store.Record{}, errNotOpen
}

// Swap implements store.Store.
func (s *shared) Swap(ctx context.Context, old, next store.Record) error {
	if e := s.engine.Load(); e != nil {
		return e.Swap(ctx, old, next)
	}
	return errNotOpen
}

// Delete implements store.Store.
func (s *shared) Delete(ctx context.Context, kind, id string) error {
	if e := s.engine.Load(); e != nil {
		return e.Delete(ctx, kind, id)
	}
	return errNotOpen
}

// List implements store.Store.
func (s *shared) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if e := s.engine.Load(); e != nil {
		return e.List(ctx, kind, prefix, after, limit)
	}
	return nil, errNotOpen
}

// Interface guards
var (
	_ store.Store      = (*shared)(nil)
	_ caddy.Destructor = (*shared)(nil)
)
