package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts the pages of its file. A wrong number in one can lead it beyond the file, into a
// circle that ends with the stack of its goroutine, or into a goroutine of its own, where nobody
// can recover from a fault. So the pages are checked before bbolt uses them, and read without
// mapping them into memory: then a fault is an error.
//
// The layout of a page is bbolt's, in the byte order of the machine: its number (8 bytes), flags
// (2), the count of its elements (2), how many pages it overflows into (4), then the elements.
// Pages 0 and 1 are two versions of the root of everything, written in turn; the newer good one
// counts.
const (
	pageHead    = 16
	elementSize = 16
	metaSize    = 64 // the last 8 bytes are a checksum of the others
	bucketHead  = 16 // the page of the root, or 0 and a page follows; and a sequence

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of an element of a leaf: its value is the root of a bucket

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0) // the list of free pages is not in the file
)

var native = binary.NativeEndian

// pages are those of one file.
type pages struct {
	file io.ReaderAt
	size uint64 // of a page, in bytes
	used []bool // by number: something refers to the page, or it is free
	all  bool   // every leaf is read, and not only the pages on the way to it

	skipped bool // there is a leaf that was not read, so it is unknown how many pages it has
}

// checkPages returns an error unless the pages of a file can be read as bbolt reads them. Without
// all, it reads those that lead to records, about a hundredth of a large file, and not the records.
func checkPages(file io.ReaderAt, length int64, pageSize int, all bool) error {
	p := &pages{file: file, size: uint64(pageSize), all: all}
	root, free, err := p.meta(uint64(length))
	if err != nil {
		return err
	}
	if free == noFreelist {
		p.all = true // bbolt will search all pages for the free ones
	} else if err := p.freelist(free); err != nil {
		return err
	}
	if _, err := p.tree(root, nil, nil); err != nil {
		return err
	}
	for id, used := range p.used {
		if !used && !p.skipped && free != noFreelist {
			return fmt.Errorf("page %d is neither in use nor free", id)
		}
	}
	return nil
}

// meta reads the first two pages, and returns where the buckets and the free pages are.
func (p *pages) meta(length uint64) (root, free uint64, err error) {
	if p.size < 512 || p.size&(p.size-1) != 0 || length/p.size < 4 {
		return 0, 0, fmt.Errorf("it has %d bytes, in pages of %d", length, p.size)
	}
	var newest []byte
	for at := range uint64(2) {
		m := make([]byte, metaSize)
		if _, err := p.file.ReadAt(m, int64(at*p.size)+pageHead); err != nil {
			return 0, 0, err
		}
		sum := fnv.New64a()
		_, _ = sum.Write(m[:metaSize-8])
		good := native.Uint32(m) == boltMagic && native.Uint32(m[4:]) == boltVersion && native.Uint64(m[56:]) == sum.Sum64()
		if good && (newest == nil || native.Uint64(m[48:]) > native.Uint64(newest[48:])) {
			newest = m
		}
	}
	if newest == nil {
		return 0, 0, errors.New("its first pages are not those of a store")
	}
	if uint64(native.Uint32(newest[8:])) != p.size {
		return 0, 0, fmt.Errorf("its pages have %d bytes, not %d", native.Uint32(newest[8:]), p.size)
	}
	end := native.Uint64(newest[40:])
	if end < 4 || end > length/p.size {
		return 0, 0, fmt.Errorf("it is cut off: it has %d pages of %d", length/p.size, end)
	}
	p.used = make([]bool, end)
	p.used[0], p.used[1] = true, true
	return native.Uint64(newest[16:]), native.Uint64(newest[32:]), nil
}

// use notes that something refers to a page, or that it is free.
func (p *pages) use(id uint64) error {
	switch {
	case id >= uint64(len(p.used)):
		return fmt.Errorf("page %d is referred to, but there is none", id)
	case p.used[id]:
		return fmt.Errorf("page %d is referred to twice, or is both free and in use", id)
	}
	p.used[id] = true
	return nil
}

// read returns a page together with those that it overflows into.
func (p *pages) read(id uint64) ([]byte, error) {
	if err := p.use(id); err != nil {
		return nil, err
	}
	head := make([]byte, p.size)
	if _, err := p.file.ReadAt(head, int64(id*p.size)); err != nil {
		return nil, err
	}
	if native.Uint64(head) != id {
		return nil, fmt.Errorf("page %d says that it is page %d", id, native.Uint64(head))
	}
	more := uint64(native.Uint32(head[12:]))
	for i := range more {
		if err := p.use(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if more == 0 {
		return head, nil
	}
	page := make([]byte, (more+1)*p.size)
	_, err := p.file.ReadAt(page, int64(id*p.size))
	return page, err
}

// freelist reads the list of free pages. Where its count does not fit, that is the first number.
func (p *pages) freelist(id uint64) error {
	page, err := p.read(id)
	if err != nil {
		return err
	}
	count, list := uint64(native.Uint16(page[10:])), page[pageHead:]
	if count == 0xFFFF {
		count, list = native.Uint64(list), list[8:]
	}
	if native.Uint16(page[8:]) != flagFreelist || count > uint64(len(list)/8) {
		return fmt.Errorf("page %d is not a list of free pages", id)
	}
	for i := range count {
		if err := p.use(native.Uint64(list[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// tree checks a page and all that is below it, and reports whether it is a leaf.
func (p *pages) tree(id uint64, low, high []byte) (leaf bool, err error) {
	page, err := p.read(id)
	if err != nil {
		return false, err
	}
	list, leaf, good := elements(page, low, high)
	if !good {
		return false, fmt.Errorf("page %d is no good branch or leaf", id)
	}
	if leaf {
		return true, p.buckets(list)
	}
	aboveLeaves := false
	for i, e := range list {
		if aboveLeaves && !p.all {
			p.skipped = true
			err = p.use(e.child)
		} else {
			next := high
			if i+1 < len(list) {
				next = list[i+1].key
			}
			aboveLeaves, err = p.tree(e.child, e.key, next)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// buckets checks those whose roots are in a leaf. A small bucket is a page within the value.
func (p *pages) buckets(list []element) error {
	for _, e := range list {
		if !e.bucket {
			continue
		}
		if len(e.value) < bucketHead {
			return fmt.Errorf("bucket %q has no root", e.key)
		}
		if root := native.Uint64(e.value); root != 0 {
			if _, err := p.tree(root, nil, nil); err != nil {
				return fmt.Errorf("bucket %q: %w", e.key, err)
			}
			continue
		}
		within, leaf, good := elements(e.value[bucketHead:], nil, nil)
		if !good || !leaf {
			return fmt.Errorf("bucket %q has no good leaf", e.key)
		}
		if err := p.buckets(within); err != nil {
			return err
		}
	}
	return nil
}

// An element is one of a branch, whose child has the keys from this one on, or of a leaf.
type element struct {
	key    []byte
	child  uint64
	value  []byte
	bucket bool
}

// elements reads those of a branch or a leaf. They are good if they lie within the page, and their
// keys ascend, are not less than low, and are less than high where that is not nil.
func elements(page, low, high []byte) (list []element, leaf, good bool) {
	if len(page) < pageHead {
		return nil, false, false
	}
	flags, count := native.Uint16(page[8:]), int(native.Uint16(page[10:]))
	leaf = flags == flagLeaf
	if !leaf && (flags != flagBranch || count == 0) || pageHead+count*elementSize > len(page) {
		return nil, false, false
	}
	list = make([]element, count)
	for i := range list {
		at := page[pageHead+i*elementSize:]
		e, known := &list[i], uint32(0)
		var start, keySize, valueSize uint64
		if leaf {
			known = native.Uint32(at) &^ flagBucket
			e.bucket = native.Uint32(at) == flagBucket
			start, keySize, valueSize = uint64(native.Uint32(at[4:])), uint64(native.Uint32(at[8:])), uint64(native.Uint32(at[12:]))
		} else {
			start, keySize, e.child = uint64(native.Uint32(at)), uint64(native.Uint32(at[4:])), native.Uint64(at[8:])
		}
		if known != 0 || keySize == 0 || start < elementSize || start+keySize+valueSize > uint64(len(at)) {
			return nil, false, false
		}
		e.key, e.value = at[start:start+keySize], at[start+keySize:start+keySize+valueSize]
		after := bytes.Compare(low, e.key)
		if after > 0 || i > 0 && after == 0 || high != nil && bytes.Compare(e.key, high) >= 0 {
			return nil, false, false
		}
		low = e.key
	}
	return list, leaf, true
}
