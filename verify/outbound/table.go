package outbound

import (
	"crypto/sha256"
	"time"
)

// maxBytes bounds what each of the two tables has in memory, however long the answers are.
const maxBytes = 32 << 20

// table has answers by the hash of a token.
type table struct {
	entries map[[sha256.Size]byte]said
	bytes   int
}

func newTable() table { return table{entries: make(map[[sha256.Size]byte]said)} }

func (t *table) forget(key [sha256.Size]byte) {
	if old, there := t.entries[key]; there {
		t.bytes -= old.size
		delete(t.entries, key)
	}
}

// insert makes room by forgetting what is over, or else any others.
func (t *table) insert(key [sha256.Size]byte, answer said, most int, now time.Time) {
	for full := true; full && len(t.entries) > 0; {
		if full = len(t.entries) >= most || t.bytes+answer.size > maxBytes; full {
			t.makeRoom(now)
		}
	}
	t.entries[key] = answer
	t.bytes += answer.size
}

// makeRoom forgets an entry, and some that are over.
func (t *table) makeRoom(now time.Time) {
	seen := 0
	for other, old := range t.entries { // in any order
		if seen++; seen == 1 || !now.Before(old.until) {
			t.forget(other)
		}
		if seen == maxLooked {
			break
		}
	}
}

// What an entry and a value weigh beside their texts, in bytes.
const (
	entryWeight = 512
	valueWeight = 64
)

// weigh returns about how many bytes of memory an answer has.
func (s said) weigh() int {
	n := entryWeight
	if s.err != nil {
		n += len(s.err.Error())
	}
	if s.token != nil {
		n += 2 * weigh(s.token.Claims) // those that have fields of a Token are there twice
	}
	return n
}

func weigh(value any) int {
	n := valueWeight
	switch value := value.(type) {
	case string:
		n += len(value)
	case []any:
		for _, element := range value {
			n += weigh(element)
		}
	case map[string]any:
		for name, member := range value {
			n += len(name) + weigh(member)
		}
	}
	return n
}
