package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Attempts bounds how often a change is tried because others changed the record first. In each
// attempt that fails, another caller succeeded.
const Attempts = 100

// Change loads a record, lets edit decide, and replaces exactly the version that edit saw by what
// edit made of it. On a conflict it starts again: edit decides anew, on the new version.
//
// Unless edit returns write, nothing is written. Its error is returned in either case, together
// with the value as edit left it. edit may move expires, which is when the record becomes garbage.
// The error Is store.ErrNotFound when there is no record, and store.ErrConflict after too many
// attempts.
func Change[T any](ctx context.Context, s store.Store, kind, id string, edit func(v *T, expires *time.Time) (write bool, err error)) (*Stored[T], error) {
	return change(ctx, s, kind, id, false, edit)
}

// Upsert is Change for a record that is made when there is none: edit then sees the zero value and
// the zero time.
func Upsert[T any](ctx context.Context, s store.Store, kind, id string, edit func(v *T, expires *time.Time) (write bool, err error)) (*Stored[T], error) {
	return change(ctx, s, kind, id, true, edit)
}

func change[T any](ctx context.Context, s store.Store, kind, id string, insert bool, edit func(*T, *time.Time) (bool, error)) (*Stored[T], error) {
	stored := new(Stored[T])
	v := &stored.Value
	var err error
	stored.Record, err = Edit(ctx, s, kind, id, func(r *store.Record) (write bool, err error) {
		*v = *new(T)
		switch {
		case r.Version > 0:
			if err = decode(*r, v); err != nil {
				return false, err
			}
		case !insert:
			return false, fmt.Errorf("changing the %s record: %w", kind, store.ErrNotFound)
		}
		write, err = edit(v, &r.Expires)
		if !write {
			return false, err
		}
		data, encodeErr := encode(kind, *v)
		if encodeErr != nil {
			return false, encodeErr
		}
		r.Data = data
		return true, err
	})
	return stored, err
}

// Edit is Upsert on the bare record: edit changes its Data and Expires. When there is none, edit
// sees one of version 0. Edit returns the record as it is stored when it returns.
func Edit(ctx context.Context, s store.Store, kind, id string, edit func(r *store.Record) (write bool, err error)) (store.Record, error) {
	for range Attempts {
		old, err := s.Load(ctx, kind, id)
		if errors.Is(err, store.ErrNotFound) {
			old, err = store.Record{Kind: kind, ID: id}, nil
		}
		if err != nil {
			return store.Record{}, fmt.Errorf("loading the %s record: %w", kind, err)
		}
		next := old
		write, answer := edit(&next)
		if !write {
			return old, answer
		}
		if old.Version == 0 {
			err = s.Insert(ctx, next)
		} else {
			err = s.Swap(ctx, old, next)
		}
		switch {
		case err == nil:
			next.Version = old.Version + 1
			return next, answer
		case !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists):
			return old, fmt.Errorf("writing the %s record: %w", kind, err)
		}
	}
	return store.Record{}, fmt.Errorf("writing the %s record: others changed it %d times: %w", kind, Attempts, store.ErrConflict)
}
