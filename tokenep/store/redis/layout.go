package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A kind is spread over this many slots of a cluster. It can never change, because the place of a
// record depends on it.
const shards = 16

// The value of a record is its version and its expiry (Unix milliseconds, 0 for never), each 8
// bytes, big-endian, and then its data.
const head = 16

var errDamaged = errors.New("a value is too short to be a record")

// shard is the beginning of keys in one slot of a kind. The part in braces determines the slot, so
// that records and their indexes are together.
type shard string

func (s *Store) shard(kind string, number uint32) shard {
	return shard(fmt.Sprintf("oauth:{%s:%s:%x}", s.namespace, kind, number))
}

// place returns the shard of a record.
func (s *Store) place(kind, id string) shard {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return s.shard(kind, h.Sum32()%shards)
}

// kinds returns the key of the set of all kinds that there have ever been.
func (s *Store) kinds() string { return fmt.Sprintf("oauth:{%s}kinds", s.namespace) }

func (s shard) record(id string) string { return string(s) + ":" + id }

// ids returns the key of a sorted set of ids, all with score 0: in the order of the ids.
func (s shard) ids() string { return string(s) + "ids" }

// expiry returns the key of a sorted set of ids, by when Redis drops the record.
func (s shard) expiry() string { return string(s) + "expires" }

func encode(r store.Record, version uint64) []byte {
	value := make([]byte, 0, head+len(r.Data))
	value = binary.BigEndian.AppendUint64(value, version)
	value = binary.BigEndian.AppendUint64(value, uint64(r.Millis()))
	return append(value, r.Data...)
}

func decode(kind, id, value string) (store.Record, error) {
	if len(value) < head {
		return store.Record{}, errDamaged
	}
	version := binary.BigEndian.Uint64([]byte(value[:8]))
	millis := binary.BigEndian.Uint64([]byte(value[8:head]))
	return store.Record{
		Kind: kind, ID: id, Version: version, Data: []byte(value[head:]),
		Expires: store.At(int64(millis)),
	}, nil
}

// dropAt returns when Redis drops the record, in Unix milliseconds; 0 means never.
func (s *Store) dropAt(r store.Record) int64 {
	if at := r.Millis(); at != 0 {
		return at + s.slack.Milliseconds()
	}
	return 0
}
