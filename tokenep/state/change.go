package state

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// change loads a record, lets edit decide, and replaces exactly the version that edit saw by what edit made of it. When
// somebody else was faster it begins anew: edit then decides again, on the record as it has become. If edit returns an error,
// or write is false, nothing is written. The value is returned as edit left it, with edit's error too, for the log.
//
// edit may change expires, which is when the record becomes garbage. The error Is ErrUnknown when there is no record.
func change[T any](ctx context.Context, s store.Store, kind, id string, edit func(v *T, expires *time.Time) (write bool, err error)) (T, error) {
	var v T
	for range swapAttempts {
		var old store.Record
		var err error
		if v, old, err = load[T](ctx, s, kind, id); err != nil {
			return v, err
		}
		next := store.Record{Kind: kind, ID: id, Expires: old.Expires}
		write, err := edit(&v, &next.Expires)
		if err != nil || !write {
			return v, err
		}
		if next.Data, err = json.Marshal(v); err != nil {
			return v, fmt.Errorf("%s: %w", kind, err)
		}
		err = s.Swap(ctx, old, next)
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return v, fmt.Errorf("changing a %s: %w", kind, err)
		}
	}
	return v, fmt.Errorf("others keep changing a %s: %w", kind, store.ErrConflict)
}

// load returns a record and what it says, or an error that Is ErrUnknown.
func load[T any](ctx context.Context, s store.Store, kind, id string) (T, store.Record, error) {
	var v T
	record, err := s.Load(ctx, kind, id)
	if errors.Is(err, store.ErrNotFound) {
		return v, record, fmt.Errorf("%w %s", ErrUnknown, kind)
	}
	if err != nil {
		return v, record, fmt.Errorf("loading a %s: %w", kind, err)
	}
	if err := json.Unmarshal(record.Data, &v); err != nil {
		return v, record, fmt.Errorf("the record of a %s is damaged: %w", kind, err)
	}
	return v, record, nil
}

// insert stores a new record. The error Is store.ErrExists when the id is taken.
func insert(ctx context.Context, s store.Store, kind, id string, v any, expires time.Time) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = s.Insert(ctx, store.Record{Kind: kind, ID: id, Data: data, Expires: expires})
	}
	if err != nil {
		return fmt.Errorf("storing a %s: %w", kind, err)
	}
	return nil
}

// hashID is the id of a record that is found by a secret: the SHA-256 of it, so that the store never has the secret.
func hashID(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// moment is a time as records have it: in UTC, in whole milliseconds.
func moment(now func() time.Time) time.Time { return now().UTC().Truncate(time.Millisecond) }

// orDefault is d, or else what holds when d is zero.
func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
