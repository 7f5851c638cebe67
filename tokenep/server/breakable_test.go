package server_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// breakable is a store that can be away, and that counts what is written.
type breakable struct {
	store.Store
	away   atomic.Bool
	writes atomic.Int64
}

func (b *breakable) err() error {
	if b.away.Load() {
		return fmt.Errorf("%w: pulled the plug", store.ErrUnavailable)
	}
	return nil
}

func (b *breakable) write(verb func() error) error {
	if err := b.err(); err != nil {
		return err
	}
	b.writes.Add(1)
	return verb()
}

func (b *breakable) Insert(ctx context.Context, r store.Record) error {
	return b.write(func() error { return b.Store.Insert(ctx, r) })
}

func (b *breakable) Swap(ctx context.Context, old, next store.Record) error {
	return b.write(func() error { return b.Store.Swap(ctx, old, next) })
}

func (b *breakable) Delete(ctx context.Context, kind, id string) error {
	return b.write(func() error { return b.Store.Delete(ctx, kind, id) })
}

func (b *breakable) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := b.err(); err != nil {
		return store.Record{}, err
	}
	return b.Store.Load(ctx, kind, id)
}

func (b *breakable) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.Store.List(ctx, kind, prefix, after, limit)
}
