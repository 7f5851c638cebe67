package memory

import "container/heap"

// garbage is a heap of the items that expire, the next to expire first. Each item has its index in
// it, so that an item which is swapped or deleted is removed at once, and a record that is renewed
// each second does not fill the heap.
type garbage []*item

var _ heap.Interface = (*garbage)(nil)

// add adds an item, if it expires.
func (g *garbage) add(it *item) {
	if !it.record.Expires.IsZero() {
		heap.Push(g, it)
	}
}

// remove removes an item, if it is there.
func (g *garbage) remove(it *item) {
	if it.index >= 0 {
		heap.Remove(g, it.index)
	}
}

func (g garbage) Len() int { return len(g) }

func (g garbage) Less(i, j int) bool {
	return g[i].record.Expires.Before(g[j].record.Expires)
}

func (g garbage) Swap(i, j int) {
	g[i], g[j] = g[j], g[i]
	g[i].index, g[j].index = i, j
}

// Push implements heap.Interface.
func (g *garbage) Push(x any) {
	it := x.(*item)
	it.index = len(*g)
	*g = append(*g, it)
}

// Pop implements heap.Interface.
func (g *garbage) Pop() any {
	last := len(*g) - 1
	it := (*g)[last]
	(*g)[last] = nil // so that the record can be collected
	*g = (*g)[:last]
	it.index = -1
	return it
}
