package bolt

import (
	"context"

	"go.etcd.io/bbolt"
)

// sweepBatch is how many expired records one transaction deletes. It delays a write that shares the
// transaction by far less than an fsync.
const sweepBatch = 64

// Sweep deletes the records that have expired, and returns how many there were.
//
// It reads them from the front of the expiry index. A cursor over the records themselves would read
// the whole file each time to find a few, and keep old pages in use meanwhile. The index costs a
// write little: records that expire together are on one page of it, which a group of writes shares.
//
// Each batch is found in a short read, and deleted in a write that goes to the committer like any
// other, so that requests share its transaction rather than wait behind it. The last batch is
// empty: it lets the committer notice a lost file even when there are no other writes.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	for {
		keys, err := s.expired()
		if err != nil {
			return total, err
		}
		removed := 0
		err = s.commit(ctx, func(tx *bbolt.Tx) (bool, error) {
			var err error
			removed, err = remove(tx, keys)
			return len(keys) > 0, err
		})
		if err != nil || len(keys) == 0 {
			return total, err
		}
		total += removed
	}
}

// expired returns up to sweepBatch keys of the index that have expired.
func (s *Store) expired() (keys [][]byte, err error) {
	now := uint64(max(0, s.now().UnixMilli()))
	err = s.view(func(tx *bbolt.Tx) error {
		index := tx.Bucket(expiryBucket)
		if index == nil {
			return nil
		}
		c := index.Cursor()
		for key, _ := c.First(); key != nil && len(keys) < sweepBatch; key, _ = c.Next() {
			if at, _, _, _ := splitExpiryKey(key); at > now {
				break
			}
			keys = append(keys, append([]byte(nil), key...))
		}
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}

// remove deletes these keys of the index and their records, except those that a Swap or an Insert
// has given another time meanwhile.
func remove(tx *bbolt.Tx, keys [][]byte) (removed int, err error) {
	index := tx.Bucket(expiryBucket)
	if index == nil {
		return 0, nil
	}
	for _, key := range keys {
		if err := index.Delete(key); err != nil {
			return removed, err
		}
		at, kind, id, ok := splitExpiryKey(key)
		bucket := tx.Bucket([]byte(kind))
		if !ok || bucket == nil {
			continue
		}
		value := bucket.Get([]byte(id))
		if len(value) < head || millis(value) != at {
			continue
		}
		if err := bucket.Delete([]byte(id)); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
