package record

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Stored is one version of a record, and the value that its Data encodes.
type Stored[T any] struct {
	store.Record
	Value T
}

// Load returns a record and its value, and never nil: with an error, what is known of them. The
// error Is store.ErrNotFound when there is no record. It never names the id, which may be something
// that a client sent.
func Load[T any](ctx context.Context, s store.Store, kind, id string) (*Stored[T], error) {
	r, err := s.Load(ctx, kind, id)
	stored := &Stored[T]{Record: r}
	if err != nil {
		return stored, fmt.Errorf("loading the %s record: %w", kind, err)
	}
	return stored, decode(r, &stored.Value)
}

// Insert stores the first version of a record. The error Is store.ErrExists when the id is taken.
func Insert(ctx context.Context, s store.Store, kind, id string, v any, expires time.Time) error {
	data, err := encode(kind, v)
	if err != nil {
		return err
	}
	err = s.Insert(ctx, store.Record{Kind: kind, ID: id, Data: data, Expires: expires})
	if err != nil {
		return fmt.Errorf("inserting the %s record: %w", kind, err)
	}
	return nil
}

// Swap replaces exactly the version old. The error Is store.ErrConflict when that version is not,
// or no longer, the stored one.
func Swap(ctx context.Context, s store.Store, old store.Record, v any, expires time.Time) error {
	data, err := encode(old.Kind, v)
	if err != nil {
		return err
	}
	next := old
	next.Data, next.Expires = data, expires
	if err := s.Swap(ctx, old, next); err != nil {
		return fmt.Errorf("changing the %s record: %w", old.Kind, err)
	}
	return nil
}

// Decode returns the value of a record.
func Decode[T any](r store.Record) (v T, err error) {
	return v, decode(r, &v)
}

func decode(r store.Record, v any) error {
	if err := json.Unmarshal(r.Data, v); err != nil {
		return fmt.Errorf("decoding the %s record: %w", r.Kind, err)
	}
	return nil
}

func encode(kind string, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the %s record: %w", kind, err)
	}
	return data, nil
}
