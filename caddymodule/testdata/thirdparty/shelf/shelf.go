// Package shelf is an example of a plugin that brings a store of its own: a map, which passes the
// test that every store has to pass (tokenep/store/storetest).
//
//	shelf.go   the store, which knows nothing of Caddy
//	module.go  the same as a module of Caddy
package shelf

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Shelf is a store.Store in memory. It forgets nothing, and so never needs the time.
type Shelf struct {
	mu      sync.Mutex
	records map[key]store.Record
}

type key struct{ kind, id string }

// New returns an empty Shelf.
func New() *Shelf { return &Shelf{records: make(map[key]store.Record)} }

// Insert implements store.Store.
func (s *Shelf) Insert(ctx context.Context, r store.Record) error {
	if err := store.CheckRecord(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, taken := s.records[key{r.Kind, r.ID}]; taken {
		return store.ErrExists
	}
	s.put(r, 1)
	return nil
}

// Load implements store.Store.
func (s *Shelf) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	r, found := s.records[key{kind, id}]
	if !found {
		return store.Record{}, store.ErrNotFound
	}
	return copied(r), nil
}

// Swap implements store.Store.
func (s *Shelf) Swap(ctx context.Context, old, next store.Record) error {
	if err := store.CheckSwap(old, next); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	r, found := s.records[key{old.Kind, old.ID}]
	if !found || r.Version != old.Version {
		return store.ErrConflict
	}
	s.put(next, old.Version+1)
	return nil
}

// Delete implements store.Store.
func (s *Shelf) Delete(ctx context.Context, kind, id string) error {
	if err := store.CheckKey(kind, id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(s.records, key{kind, id})
	return nil
}

// List implements store.Store.
func (s *Shelf) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := store.CheckList(kind, prefix, after, limit); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var page []store.Record
	for k, r := range s.records {
		if k.kind == kind && strings.HasPrefix(k.id, prefix) && k.id > after {
			page = append(page, copied(r))
		}
	}
	slices.SortFunc(page, func(a, b store.Record) int { return strings.Compare(a.ID, b.ID) })
	return page[:min(limit, len(page))], nil
}

// put stores a copy, in the precision of records.
func (s *Shelf) put(r store.Record, version uint64) {
	r = copied(r)
	r.Version, r.Expires = version, store.At(r.Millis())
	s.records[key{r.Kind, r.ID}] = r
}

func copied(r store.Record) store.Record {
	r.Data = slices.Clone(r.Data)
	return r
}

// Interface guard
var _ store.Store = (*Shelf)(nil)
