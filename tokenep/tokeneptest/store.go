package tokeneptest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Store is a store that can be away, and that counts what is read and written.
type Store struct {
	store.Store

	away   atomic.Bool
	reads  atomic.Int64
	writes atomic.Int64
}

// SetAway makes every verb fail with store.ErrUnavailable, or work again.
func (s *Store) SetAway(away bool) { s.away.Store(away) }

// Writes returns how often a record was to be inserted, swapped or deleted while the store was
// there. For a nil Store it returns 0.
func (s *Store) Writes() int64 {
	if s == nil {
		return 0
	}
	return s.writes.Load()
}

// Reads returns how often a record was loaded for a request while the store was there. What runs in
// the background reads as well, whenever it comes to it, and is not counted.
func (s *Store) Reads() int64 { return s.reads.Load() }

// ofRequest is in the context of every request.
type ofRequest struct{}

// counted lets the store know what it reads for requests.
func counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ofRequest{}, true)))
	})
}

func (s *Store) err() error {
	if s.away.Load() {
		return fmt.Errorf("%w: the test took it away", store.ErrUnavailable)
	}
	return nil
}

func (s *Store) write(verb func() error) error {
	if err := s.err(); err != nil {
		return err
	}
	s.writes.Add(1)
	return verb()
}

// Insert counts, and inserts.
func (s *Store) Insert(ctx context.Context, r store.Record) error {
	return s.write(func() error { return s.Store.Insert(ctx, r) })
}

// Swap counts, and swaps.
func (s *Store) Swap(ctx context.Context, old, next store.Record) error {
	return s.write(func() error { return s.Store.Swap(ctx, old, next) })
}

// Delete counts, and deletes.
func (s *Store) Delete(ctx context.Context, kind, id string) error {
	return s.write(func() error { return s.Store.Delete(ctx, kind, id) })
}

// Load counts, and loads, unless the store is away.
func (s *Store) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := s.err(); err != nil {
		return store.Record{}, err
	}
	if ctx.Value(ofRequest{}) != nil {
		s.reads.Add(1)
	}
	return s.Store.Load(ctx, kind, id)
}

// List lists, unless the store is away.
func (s *Store) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, kind, prefix, after, limit)
}
