package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// Insert implements store.Store.
func (s *Store) Insert(ctx context.Context, r store.Record) error {
	if err := store.CheckRecord(r); err != nil {
		return err
	}
	if err := s.know(ctx, r.Kind); err != nil {
		return err
	}
	at := s.place(r.Kind, r.ID)
	return s.write(ctx, store.ErrExists, insert, []string{at.record(r.ID), at.ids(), at.expiry()}, r.ID, encode(r, 1), s.dropAt(r))
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	return engine.Do(ctx, s.line, func(ctx context.Context) (store.Record, error) {
		value, err := s.client.Get(ctx, s.place(kind, id).record(id)).Result()
		switch {
		case errors.Is(err, redis.Nil):
			return store.Record{}, store.ErrNotFound
		case err != nil:
			return store.Record{}, err
		}
		return decode(kind, id, value)
	})
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, old, next store.Record) error {
	if err := store.CheckSwap(old, next); err != nil {
		return err
	}
	at := s.place(old.Kind, old.ID)
	version := binary.BigEndian.AppendUint64(nil, old.Version)
	return s.write(ctx, store.ErrConflict, swap, []string{at.record(old.ID), at.ids(), at.expiry()},
		old.ID, encode(next, old.Version+1), s.dropAt(next), version)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind, id string) error {
	if err := store.CheckKey(kind, id); err != nil {
		return err
	}
	at := s.place(kind, id)
	return s.write(ctx, nil, remove, []string{at.record(id), at.ids(), at.expiry()}, id)
}

// List implements store.Store. It reads a page of ids from each shard, and loads the first of all
// these ids. Records that are gone by then are left out; if all are, it goes on with the next page.
func (s *Store) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := store.CheckList(kind, prefix, after, limit); err != nil {
		return nil, err
	}
	return engine.Do(ctx, s.line, func(ctx context.Context) ([]store.Record, error) {
		for after := after; ; {
			ids, err := s.ids(ctx, kind, prefix, after, limit)
			if err != nil || len(ids) == 0 {
				return nil, err
			}
			if page, err := s.loadAll(ctx, kind, ids); err != nil || len(page) > 0 {
				return page, err
			}
			after = ids[len(ids)-1]
		}
	})
}

// ids returns a page of ids, merged from the indexes of the shards.
func (s *Store) ids(ctx context.Context, kind, prefix, after string, limit int) (ids []string, err error) {
	from, to := between(prefix, after)
	some := make([]*redis.StringSliceCmd, shards)
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n := range some {
			some[n] = p.ZRangeArgs(ctx, redis.ZRangeArgs{
				Key: s.shard(kind, uint32(n)).ids(), Start: from, Stop: to, ByLex: true, Count: int64(limit),
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, cmd := range some {
		ids = append(ids, cmd.Val()...)
	}
	slices.Sort(ids)
	return ids[:min(limit, len(ids))], nil
}

// between returns the bounds of ZRANGE BYLEX for the ids that begin with prefix and are greater
// than after: ( excludes a bound and [ includes it.
func between(prefix, after string) (from, to string) {
	from, to = "("+after, "+"
	if after < prefix {
		from = "[" + prefix
	}
	// The ids with the prefix end before the prefix whose last byte is one higher.
	for end := []byte(prefix); len(end) > 0; end = end[:len(end)-1] {
		if last := len(end) - 1; end[last] < 0xff {
			end[last]++
			to = "(" + string(end)
			break
		}
	}
	return from, to
}

func (s *Store) loadAll(ctx context.Context, kind string, ids []string) ([]store.Record, error) {
	values := make([]*redis.StringCmd, len(ids))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			values[i] = p.Get(ctx, s.place(kind, id).record(id))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	records := make([]store.Record, 0, len(ids))
	for i, value := range values {
		switch text, err := value.Result(); {
		case errors.Is(err, redis.Nil):
		case err != nil:
			return nil, err
		default:
			r, err := decode(kind, ids[i], text)
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
	}
	return records, nil
}
