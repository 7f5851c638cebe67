package tokenep

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

// Stats returns how many attempts were refused, and how many wait now. Of a nil Limiter it is none.
func (l *Limiter) Stats() (refused uint64, waiting int64) {
	if l == nil {
		return 0, 0
	}
	return l.refused.Load(), l.waiting.Load()
}
