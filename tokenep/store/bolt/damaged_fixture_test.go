package bolt

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// manyKinds returns a file that has every kind of page: buckets of several levels and of one page,
// a bucket within a page, a record of many pages, and free pages.
func manyKinds(t testing.TB) (path string) {
	t.Helper()
	path = file(t)
	s, err := Open(path, Options{SweepInterval: -1})
	must(t, err)
	for i := range 400 {
		insert(t, s, strings.Repeat("a", 100+i%200), fmt.Sprintf("thing-%03d", i))
	}
	must(t, s.Insert(t.Context(), store.Record{Kind: "large", ID: "a", Data: make([]byte, store.MaxData)}))
	must(t, s.Insert(t.Context(), store.Record{Kind: "small", ID: "a"}))
	for i := 100; i < 300; i++ {
		must(t, s.Delete(t.Context(), kind, fmt.Sprintf("thing-%03d", i)))
	}
	must(t, s.Close())
	sound(t, path)
	return path
}

// A damagedFile is a good file of which something was changed.
type damagedFile struct {
	name string
	make func(content []byte) []byte
	want string // in the error; "" is any error
}

func page(content []byte, id uint64) []byte { return content[id*uint64(os.Getpagesize()):] }

// pageOf returns the number of the first page in use that has these flags and at least count
// elements.
func pageOf(t *testing.T, content []byte, flags, count uint16) uint64 {
	t.Helper()
	list := page(content, native.Uint64(newestMeta(content)[32:]))
	var free []uint64
	for i := range int(native.Uint16(list[10:])) {
		free = append(free, native.Uint64(list[pageHead+8*i:]))
	}
	for id := uint64(2); id < native.Uint64(newestMeta(content)[40:]); id++ {
		if p := page(content, id); !slices.Contains(free, id) && native.Uint64(p) == id && native.Uint16(p[8:]) == flags && native.Uint16(p[10:]) >= count {
			return id
		}
	}
	t.Fatal("no such page")
	return 0
}

// setMeta changes both of the first pages, and their checksums.
func setMeta(content []byte, change func(meta []byte)) []byte {
	for id := range uint64(2) {
		meta := page(content, id)[pageHead:][:metaSize]
		change(meta)
		sum := fnv.New64a()
		_, _ = sum.Write(meta[:metaSize-8])
		native.PutUint64(meta[metaSize-8:], sum.Sum64())
	}
	return content
}

func newestMeta(content []byte) []byte {
	a, b := page(content, 0)[pageHead:], page(content, 1)[pageHead:]
	if native.Uint64(a[48:]) > native.Uint64(b[48:]) {
		return a
	}
	return b
}

// damagedFiles returns what must be refused.
func damagedFiles(t *testing.T, good []byte) []damagedFile {
	t.Helper()
	branch, leaf := pageOf(t, good, flagBranch, 3), pageOf(t, good, flagLeaf, 5)
	free := native.Uint64(newestMeta(good)[32:])
	root := native.Uint64(newestMeta(good)[16:])
	changed := func(id uint64, at int, number uint64, size int) func([]byte) []byte {
		return func(content []byte) []byte {
			var text [8]byte
			native.PutUint64(text[:], number) // little-endian machines: the low bytes come first
			copy(page(content, id)[at:], text[:size])
			return content
		}
	}
	unlisted := func(change func([]byte) []byte) func([]byte) []byte {
		return func(content []byte) []byte {
			content = setMeta(content, func(meta []byte) { native.PutUint64(meta[32:], noFreelist) })
			return change(content)
		}
	}
	list := []damagedFile{
		{"nothing", func([]byte) []byte { return nil }, "the file is empty"},
		{"one byte", func(c []byte) []byte { return c[:1] }, "damaged, or is no store"},
		{"zeros", func(c []byte) []byte { return make([]byte, len(c)) }, "damaged, or is no store"},
		{"text", func(c []byte) []byte { return bytes.Repeat([]byte("a text\n"), len(c)/7) }, "damaged, or is no store"},
		{"no first pages", func(c []byte) []byte { clear(c[:2*os.Getpagesize()]); return c }, "damaged, or is no store"},
		{"a root beyond the end", func(c []byte) []byte {
			return setMeta(c, func(meta []byte) { native.PutUint64(meta[16:], 1<<40) })
		}, "is referred to, but there is none"},
		{"a list of free pages beyond the end", func(c []byte) []byte {
			return setMeta(c, func(meta []byte) { native.PutUint64(meta[32:], 1<<60) })
		}, "is referred to, but there is none"},
		{"pages beyond the end", func(c []byte) []byte {
			return setMeta(c, func(meta []byte) { native.PutUint64(meta[40:], 1<<50) })
		}, "it is cut off"},
		{"pages of one byte", func(c []byte) []byte {
			return setMeta(c, func(meta []byte) { native.PutUint32(meta[8:], 1) })
		}, ""},
		{"a list of 2^40 free pages", func(c []byte) []byte {
			return changed(free, pageHead, 1<<40, 8)(changed(free, 10, 0xFFFF, 2)(c))
		}, "is not a list of free pages"},
		{"a free page without end", changed(free, pageHead, 1<<62, 8), "is referred to, but there is none"},
		{"a free page that is in use", changed(free, pageHead, leaf, 8), "is both free and in use"},
		{"another page instead of the list", changed(free, 8, flagLeaf, 2), "is not a list of free pages"},
		{"a branch that leads to itself", changed(branch, pageHead+8, branch, 8), "is referred to twice"},
		{"a branch that leads nowhere", changed(branch, pageHead+8, 1<<44, 8), "is referred to, but there is none"},
		{"a branch without children", changed(branch, 10, 0, 2), "is no good branch or leaf"},
		{"a leaf of 65,535 records", changed(leaf, 10, 0xFFFF, 2), "is no good branch or leaf"},
		{"a leaf that overflows", changed(leaf, 12, 1<<31, 4), "is referred to"},
		{"a key of 4 GB", changed(leaf, pageHead+8, 0xFFFFFFF0, 4), "is no good branch or leaf"},
		{"a value of 4 GB", changed(leaf, pageHead+12, 0xFFFFFFF0, 4), "is no good branch or leaf"},
		{"a leaf under another number", changed(leaf, 0, leaf+1, 8), "says that it is page"},
		{"a leaf of another kind", changed(leaf, 8, 0x40, 2), "is no good branch or leaf"},
		{"no buckets", changed(root, 10, 0, 2), "is neither in use nor free"},
		{"a bucket less", changed(root, 10, uint64(native.Uint16(page(good, root)[10:])-1), 2), "is neither in use nor free"},
		{"no list of free pages, and a circle", unlisted(changed(branch, pageHead+8, branch, 8)), "is referred to twice"},
		{"no list of free pages, and a key of 4 GB", unlisted(changed(leaf, pageHead+8, 0xFFFFFFF0, 4)), "is no good branch or leaf"},
	}
	// What is behind the end is not in use.
	end := int(native.Uint64(newestMeta(good)[40:])) * os.Getpagesize()
	for size := 100; size < end; size += os.Getpagesize() / 2 {
		list = append(list, damagedFile{fmt.Sprintf("its first %d bytes", size), func(c []byte) []byte { return c[:size] }, ""})
	}
	return list
}
