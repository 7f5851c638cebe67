package memory

import (
	"cmp"
	"slices"
	"strings"
)

// blockSize is how many ids a block holds before it is split.
const blockSize = 512

// An order is a set of ids in the order of their bytes: blocks of sorted ids, in order. To add one
// to a million ids takes two binary searches and a move within one block. List needs no scan with
// it, whereas go-cache can only copy all.
type order [][]string

// add adds an id that is not in the set.
func (o *order) add(id string) {
	b := o.block(id)
	if b == len(*o) {
		if b == 0 {
			*o = order{{id}}
			return
		}
		b-- // greater than all: append it to the last block
	}
	block := (*o)[b]
	i, _ := slices.BinarySearch(block, id)
	block = slices.Insert(block, i, id)
	(*o)[b] = block
	if len(block) > blockSize {
		half := slices.Clone(block[blockSize/2:])
		clear(block[blockSize/2:])
		(*o)[b] = block[:blockSize/2]
		*o = slices.Insert(*o, b+1, half)
	}
}

// remove removes an id that is in the set.
func (o *order) remove(id string) {
	b := o.block(id)
	block := (*o)[b]
	i, _ := slices.BinarySearch(block, id)
	block = slices.Delete(block, i, i+1)
	(*o)[b] = block
	if len(block) == 0 {
		*o = slices.Delete(*o, b, b+1)
	}
}

// page returns up to limit ids that begin with prefix and are greater than after.
func (o order) page(prefix, after string, limit int) []string {
	from := max(prefix, after)
	var ids []string
	for b := o.block(from); b < len(o); b++ {
		i, _ := slices.BinarySearch(o[b], from)
		for _, id := range o[b][i:] {
			if len(ids) == limit || !strings.HasPrefix(id, prefix) {
				return ids
			}
			if id > after {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// block returns the index of the first block whose last id is not less than id, or the number of
// blocks. No block is empty.
func (o order) block(id string) int {
	b, _ := slices.BinarySearchFunc(o, id, func(block []string, id string) int {
		return cmp.Compare(block[len(block)-1], id)
	})
	return b
}
