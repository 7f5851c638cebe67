package tokenep

import (
	"cmp"
	"time"
)

// maxRows bounds the memory that senders can use up.
const maxRows = 1 << 16

// table is a map of at most maxRows rows.
type table[K comparable, V any] struct{ rows map[K]V }

// put sets a row, or removes it if it is stale. Each time it looks at a few other rows and removes
// the stale ones. When the table is full of others, it removes any one.
func (t *table[K, V]) put(key K, row V, stale func(V) bool) {
	if stale(row) {
		delete(t.rows, key)
		return
	}
	if t.rows == nil {
		t.rows = make(map[K]V)
	}
	t.rows[key] = row
	look, full := 2, len(t.rows) > maxRows
	if full {
		look = 64
	}
	for other, row := range t.rows {
		look--
		if other != key && (stale(row) || full && look <= 0) {
			delete(t.rows, other)
			full = false
		}
		if look <= 0 && !full {
			return
		}
	}
}

// remember notes that a sender has succeeded. It is noted a thousand times before it is forgotten,
// and not each time that it succeeds.
func (l *Limiter) remember(s sender, now time.Time) {
	if at, known := l.known.rows[s]; !known || now.Sub(at).Abs() > l.memory()/1000 {
		l.known.put(s, now, func(at time.Time) bool { return !l.isLately(at, now) })
	}
}

// isLately reports whether a success is recent, also after the clock has been set back a little.
func (l *Limiter) isLately(at, now time.Time) bool {
	return now.Sub(at).Abs() < l.memory()
}

// memory is for how long a success is remembered, at most.
func (l *Limiter) memory() time.Duration { return cmp.Or(l.Remember, lately) }

// Stats returns how many attempts were refused, and how many wait now. Of a nil Limiter it is none.
func (l *Limiter) Stats() (refused uint64, waiting int64) {
	if l == nil {
		return 0, 0
	}
	return l.refused.Load(), l.waiting.Load()
}
