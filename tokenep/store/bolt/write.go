package bolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Insert implements store.Store.
func (s *Store) Insert(ctx context.Context, r store.Record) error {
	if err := store.CheckRecord(r); err != nil {
		return err
	}
	value := encode(r, 1)
	return s.commit(ctx, func(tx *bbolt.Tx) (wrote bool, err error) {
		bucket, err := tx.CreateBucketIfNotExists([]byte(r.Kind))
		if err != nil {
			return true, err
		}
		if bucket.Get([]byte(r.ID)) != nil {
			return false, store.ErrExists
		}
		return true, put(tx, bucket, r.Kind, r.ID, nil, value)
	})
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, old, next store.Record) error {
	if err := store.CheckSwap(old, next); err != nil {
		return err
	}
	value := encode(next, old.Version+1)
	return s.commit(ctx, func(tx *bbolt.Tx) (wrote bool, err error) {
		bucket := tx.Bucket([]byte(old.Kind))
		if bucket == nil {
			return false, store.ErrConflict
		}
		was := bucket.Get([]byte(old.ID))
		switch {
		case was == nil:
			return false, store.ErrConflict
		case len(was) < head:
			return false, unavailable(errDamaged)
		case version(was) != old.Version:
			return false, store.ErrConflict
		}
		return true, put(tx, bucket, old.Kind, old.ID, was, value)
	})
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind, id string) error {
	if err := store.CheckKey(kind, id); err != nil {
		return err
	}
	return s.commit(ctx, func(tx *bbolt.Tx) (wrote bool, err error) {
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			return false, nil
		}
		was := bucket.Get([]byte(id))
		if was == nil {
			return false, nil
		}
		if err := unindex(tx, kind, id, was); err != nil {
			return true, err
		}
		return true, bucket.Delete([]byte(id))
	})
}

// put stores a value instead of was (nil: there was none), and updates the index.
func put(tx *bbolt.Tx, bucket *bbolt.Bucket, kind, id string, was, value []byte) error {
	if was != nil && millis(was) != millis(value) {
		if err := unindex(tx, kind, id, was); err != nil {
			return err
		}
	}
	if at := millis(value); at != 0 && (was == nil || millis(was) != at) {
		index, err := tx.CreateBucketIfNotExists(expiryBucket)
		if err != nil {
			return err
		}
		index.FillPercent = 0.9 // keys come almost in order
		if err := index.Put(expiryKey(at, kind, id), []byte{}); err != nil {
			return err
		}
	}
	return bucket.Put([]byte(id), value)
}

// unindex removes a record with the value was from the index.
func unindex(tx *bbolt.Tx, kind, id string, was []byte) error {
	if len(was) < head || millis(was) == 0 {
		return nil
	}
	index := tx.Bucket(expiryBucket)
	if index == nil {
		return nil
	}
	return index.Delete(expiryKey(millis(was), kind, id))
}
