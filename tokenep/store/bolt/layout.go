package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// The file has one bucket per kind, named as the kind, made when it is first written to. A key is
// an id; a value is
//
//	version  8 bytes, big-endian
//	expires  8 bytes, big-endian: Unix milliseconds, 0 for never
//	data     the rest
//
// Two more buckets have names that no kind can have. formatBucket has the version of this layout.
// expiryBucket is an index of the records that expire, in the order in which they do: a key is
// expires, kind, a NUL and the id, and the value is empty. It is written in the transaction that
// writes the record, so it is always correct.
var (
	formatBucket = []byte("#format")
	formatKey    = []byte("version")
	format       = []byte("1")
	expiryBucket = []byte("#expiry")
)

const head = 16 // bytes of a value before its data

// checkFormat refuses a file of another layout. It reports whether the file is a new one, which has
// no mark yet.
func checkFormat(db *bbolt.DB) (blank bool, err error) {
	known := false
	err = survive(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			first, _ := tx.Cursor().First()
			blank = first == nil
			if bucket := tx.Bucket(formatBucket); bucket != nil {
				known = bytes.Equal(bucket.Get(formatKey), format)
			}
			return nil
		})
	})
	if err == nil && !known && !blank {
		err = fmt.Errorf("the file is not a store of format %s: it was written by a newer version, or by another program", format)
	}
	return blank, err
}

// markFormat marks a new file, and refuses a file of another layout.
func markFormat(db *bbolt.DB) error {
	blank, err := checkFormat(db)
	if err != nil || !blank {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(formatBucket)
		if err != nil {
			return err
		}
		return bucket.Put(formatKey, format)
	})
}

var errDamaged = errors.New("damaged record")

// encode returns the value of a record.
func encode(r store.Record, version uint64) []byte {
	value := make([]byte, head, head+len(r.Data))
	binary.BigEndian.PutUint64(value, version)
	binary.BigEndian.PutUint64(value[8:], uint64(r.Millis()))
	return append(value, r.Data...)
}

// decode copies a record out of a value, which is valid only in its transaction.
func decode(kind, id string, value []byte) (store.Record, error) {
	if len(value) < head {
		return store.Record{}, errDamaged
	}
	return store.Record{
		Kind:    kind,
		ID:      id,
		Version: version(value),
		Data:    bytes.Clone(value[head:]),
		Expires: store.At(int64(millis(value))),
	}, nil
}

// version reads the version of a value.
func version(value []byte) uint64 { return binary.BigEndian.Uint64(value) }

// millis reads when a value expires.
func millis(value []byte) uint64 { return binary.BigEndian.Uint64(value[8:]) }

// expiryKey returns the key of a record in expiryBucket.
func expiryKey(millis uint64, kind, id string) []byte {
	key := make([]byte, 0, 8+len(kind)+1+len(id))
	key = binary.BigEndian.AppendUint64(key, millis)
	key = append(key, kind...)
	key = append(key, 0)
	return append(key, id...)
}

// splitExpiryKey is the inverse of expiryKey. It returns copies.
func splitExpiryKey(key []byte) (millis uint64, kind, id string, ok bool) {
	if len(key) < 8 {
		return 0, "", "", false
	}
	kind, id, ok = strings.Cut(string(key[8:]), "\x00")
	return binary.BigEndian.Uint64(key), kind, id, ok
}

// listPage reads one page of a List.
func listPage(c *bbolt.Cursor, kind, prefix, after string, limit int) ([]store.Record, error) {
	var page []store.Record
	key, value := c.Seek([]byte(max(prefix, after)))
	if key != nil && string(key) == after {
		key, value = c.Next()
	}
	for ; key != nil && len(page) < limit && strings.HasPrefix(string(key), prefix); key, value = c.Next() {
		r, err := decode(kind, string(key), value)
		if err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, nil
}
