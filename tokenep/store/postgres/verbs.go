package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const (
	insertSQL = `INSERT INTO oauth_records (namespace, kind, id, version, data, expires_at)
		VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING`
	loadSQL = `SELECT id, version, data, expires_at FROM oauth_records
		WHERE namespace = $1 AND kind = $2 AND id = $3`
	swapSQL = `UPDATE oauth_records SET version = version + 1, data = $5, expires_at = $6
		WHERE namespace = $1 AND kind = $2 AND id = $3 AND version = $4`
	deleteSQL = `DELETE FROM oauth_records WHERE namespace = $1 AND kind = $2 AND id = $3`
	listSQL   = `SELECT id, version, data, expires_at FROM oauth_records
		WHERE namespace = $1 AND kind = $2 AND id > $3 AND id >= $4 AND ($5::bytea IS NULL OR id < $5)
		ORDER BY id LIMIT $6`
)

// Insert implements store.Store.
func (s *Store) Insert(ctx context.Context, r store.Record) error {
	if err := store.CheckRecord(r); err != nil {
		return err
	}
	return s.write(ctx, store.ErrExists, insertSQL, s.namespace, r.Kind, []byte(r.ID), data(r), expiry(r))
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	return do(ctx, s, func(ctx context.Context) (store.Record, error) {
		r, err := scan(kind, s.pool.QueryRow(ctx, loadSQL, s.namespace, kind, []byte(id)))
		if errors.Is(err, pgx.ErrNoRows) {
			err = store.ErrNotFound
		}
		return r, err
	})
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, old, next store.Record) error {
	if err := store.CheckSwap(old, next); err != nil {
		return err
	}
	version := int64(old.Version) // a version that does not fit becomes negative, and matches none
	return s.write(ctx, store.ErrConflict, swapSQL, s.namespace, old.Kind, []byte(old.ID), version, data(next), expiry(next))
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind, id string) error {
	if err := store.CheckKey(kind, id); err != nil {
		return err
	}
	return s.write(ctx, nil, deleteSQL, s.namespace, kind, []byte(id))
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := store.CheckList(kind, prefix, after, limit); err != nil {
		return nil, err
	}
	return do(ctx, s, func(ctx context.Context) ([]store.Record, error) {
		rows, err := s.pool.Query(ctx, listSQL, s.namespace, kind, []byte(after), []byte(prefix), end(prefix), limit)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Record, error) { return scan(kind, row) })
	})
}

// write runs a statement, and returns none as the error if it changed no row.
func (s *Store) write(ctx context.Context, none error, sql string, args ...any) error {
	_, err := do(ctx, s, func(ctx context.Context) (struct{}, error) {
		tag, err := s.pool.Exec(ctx, sql, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = none
		}
		return struct{}{}, err
	})
	return err
}

func scan(kind string, row pgx.Row) (store.Record, error) {
	var id []byte
	var version int64
	var expires *time.Time
	r := store.Record{Kind: kind}
	if err := row.Scan(&id, &version, &r.Data, &expires); err != nil {
		return store.Record{}, err
	}
	r.ID, r.Version = string(id), uint64(version)
	if expires != nil {
		r.Expires = expires.UTC()
	}
	return r, nil
}

// data is never nil, which would be NULL.
func data(r store.Record) []byte {
	if r.Data == nil {
		return []byte{}
	}
	return r.Data
}

// expiry is NULL for never.
func expiry(r store.Record) *time.Time {
	if r.Expires.IsZero() {
		return nil
	}
	at := store.At(r.Millis())
	return &at
}

// end returns the upper bound of the ids that begin with prefix: the prefix whose last byte is one
// higher. It is nil, for NULL, if there is no bound.
func end(prefix string) []byte {
	for end := []byte(prefix); len(end) > 0; end = end[:len(end)-1] {
		if last := len(end) - 1; end[last] < 0xff {
			end[last]++
			return end
		}
	}
	return nil
}
