package outbound

import "time"

// maxBytes bounds what each of the two tables has in memory, however long the answers are.
const maxBytes = 32 << 20

// maxLooked is how many entries of a full table are looked at for some that are over.
const maxLooked = 16

// table has answers by the hash of what was asked.
type table[V any] struct {
	entries map[Key]*question[V]
	bytes   int
}

func newTable[V any]() table[V] { return table[V]{entries: make(map[Key]*question[V])} }

func (t *table[V]) forget(key Key) {
	if old, there := t.entries[key]; there {
		t.bytes -= old.size
		delete(t.entries, key)
	}
}

// insert makes room by forgetting what is over, or else any others.
func (t *table[V]) insert(key Key, q *question[V], most int, now time.Time) {
	for len(t.entries) > 0 && (len(t.entries) >= most || t.bytes+q.size > maxBytes) {
		t.makeRoom(now)
	}
	t.entries[key] = q
	t.bytes += q.size
}

// makeRoom forgets an entry, and some that are over.
func (t *table[V]) makeRoom(now time.Time) {
	seen := 0
	for other, old := range t.entries { // in any order
		if seen++; seen == 1 || !now.Before(old.answer.Until) {
			t.forget(other)
		}
		if seen == maxLooked {
			break
		}
	}
}

// entryWeight is what an entry weighs beside its value, in bytes.
const entryWeight = 512
