package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
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

// A damaged file is refused. The process goes on, and the file is free for a good one.
func TestOpenDamaged(t *testing.T) {
	path := manyKinds(t)
	good, err := os.ReadFile(path)
	must(t, err)
	for _, damaged := range damagedFiles(t, good) {
		must(t, os.WriteFile(path, damaged.make(bytes.Clone(good)), 0o600))
		for verb, open := range map[string]func() error{
			"Open":  func() error { _, err := Open(path, Options{SweepInterval: -1}); return err },
			"Check": func() error { return Check(path) },
		} {
			if err := open(); err == nil || !strings.Contains(err.Error(), damaged.want) || strings.Contains(err.Error(), "in use:") {
				t.Errorf("%s: %s returns %v, want %q", damaged.name, verb, err, damaged.want)
			}
		}
		must(t, os.WriteFile(path, good, 0o600))
		must(t, Check(path))
		s, err := Open(path, Options{SweepInterval: -1})
		must(t, err)
		must(t, s.Close())
	}
	for name, path := range map[string]string{"a directory": t.TempDir(), "a device": os.DevNull} {
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file without a list of free pages, as the bbolt command can make it, is opened if it is sound.
func TestOpenWithoutAListOfFreePages(t *testing.T) {
	path := manyKinds(t)
	good, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, setMeta(good, func(meta []byte) { native.PutUint64(meta[32:], noFreelist) }), 0o600))
	s := open(t, path, Options{SweepInterval: -1})
	_, err = s.Load(t.Context(), kind, "thing-001")
	must(t, err)
}

// bbolt searches all of a file for free pages if there is no list of them, so Open reads it all
// before, however large it is.
func TestOpenLargeWithoutAListOfFreePages(t *testing.T) {
	path := manyKinds(t)
	good, err := os.ReadFile(path)
	must(t, err)
	branch := page(good, pageOf(t, good, flagBranch, 3))
	last := int(native.Uint16(branch[10:])) - 1
	leaf := native.Uint64(branch[pageHead+last*elementSize+8:])
	for _, tc := range []struct {
		name             string
		unlisted, damage bool
		want             string // in the error; "": it is opened
	}{
		{"with a list, sound", false, false, ""},
		{"with a list, damaged", false, true, ""}, // of a large file, not every leaf is read
		{"without a list, sound", true, false, ""},
		{"without a list, damaged", true, true, "is no good branch or leaf"},
	} {
		content := bytes.Clone(good)
		if tc.unlisted {
			content = setMeta(content, func(meta []byte) { native.PutUint64(meta[32:], noFreelist) })
		}
		if tc.damage {
			native.PutUint16(page(content, leaf)[8:], 0x40)
		}
		must(t, os.WriteFile(path, content, 0o600))
		must(t, os.Truncate(path, checkAll+1))
		err := Check(path)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: Check returns %v, want %q", tc.name, err, tc.want)
		}
	}
}

// Whatever byte of a file is another one: Open refuses the file, or every record of it can be read.
func TestOpenWithAnotherByte(t *testing.T) {
	path := manyKinds(t)
	good, err := os.ReadFile(path)
	must(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	pages := len(good) / os.Getpagesize()
	refused, rounds := 0, storetest.Rounds(t, 400, 1500)
	for i := range rounds {
		// Mostly in the head of a page, or a number of its elements.
		at := random.IntN(pages)*os.Getpagesize() + random.IntN([]int{pageHead, 200, os.Getpagesize()}[i%3])
		bad := bytes.Clone(good)
		bad[at] ^= byte(1 + random.IntN(255))
		must(t, os.WriteFile(path, bad, 0o600))
		s, err := Open(path, Options{SweepInterval: -1})
		if err != nil {
			refused++
			continue
		}
		for _, kind := range []string{kind, "large", "small"} {
			if _, err := s.List(t.Context(), kind, "", "", store.MaxPage); err != nil {
				t.Errorf("byte %d of page %d is %#x instead of %#x: %v",
					at%os.Getpagesize(), at/os.Getpagesize(), bad[at], good[at], err)
			}
		}
		must(t, s.Close())
	}
	t.Logf("%d of %d files were refused", refused, rounds)
}

// Of a large file, only the pages that lead to records are read before. Then the verbs that meet a
// damaged record fail, and nothing else does.
func TestOpenLargeDamaged(t *testing.T) {
	path := file(t)
	s, err := Open(path, Options{SweepInterval: -1})
	must(t, err)
	fillLarge(t, s)
	must(t, s.Close())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	if info.Size() <= checkAll {
		t.Fatalf("the file has %d bytes only", info.Size())
	}
	random := rand.New(rand.NewPCG(3, 4))
	size := int64(os.Getpagesize())
	heads := map[uint16][]int64{} // of pages, by their flags
	for at := 2 * size; at+size <= info.Size(); at += size {
		head := make([]byte, pageHead)
		_, err := f.ReadAt(head, at)
		must(t, err)
		if flags := native.Uint16(head[8:]); native.Uint64(head) == uint64(at/size) {
			heads[flags] = append(heads[flags], at)
		}
	}
	refused, failed := 0, 0
	for i := range storetest.Rounds(t, 20, 60) {
		flags := uint16(1 + i%2)
		at := heads[flags][random.IntN(len(heads[flags]))] + random.Int64N(3*pageHead)
		was := make([]byte, 1)
		_, err := f.ReadAt(was, at)
		must(t, err)
		_, err = f.WriteAt([]byte{was[0] ^ byte(1+random.IntN(255))}, at)
		must(t, err)
		s, err := Open(path, Options{SweepInterval: -1})
		if err != nil {
			refused++
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			_, err := s.List(ctx, kind, "", "", store.MaxPage)
			if err != nil {
				failed++
			}
			if err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("byte %d of page %d: %v", at%size, at/size, err)
			}
			cancel()
			must(t, s.Close())
		}
		_, err = f.WriteAt(was, at)
		must(t, err)
	}
	t.Logf("refused %d, failed %d", refused, failed)
	if refused == 0 || failed == 0 {
		t.Errorf("%d files were refused, and %d had records that cannot be read", refused, failed)
	}
}

// fillLarge stores more than checkAll bytes.
func fillLarge(t *testing.T, s *Store) {
	t.Helper()
	s.db.NoSync = true
	defer func() { s.db.NoSync = false }()
	for i := range 2 * checkAll / store.MaxData {
		insert(t, s, strings.Repeat("a", store.MaxData/2+1), fmt.Sprintf("%s-%04d", strings.Repeat("k", 100), i))
	}
}

// A file that somebody else has made and opened meanwhile is not removed, and Check makes none.
func TestOpenLeavesFilesAlone(t *testing.T) {
	path := file(t)
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	_, inUse := Open(path, Options{})
	must(t, db.Close())
	if _, err := os.Stat(path); !errors.Is(inUse, errInUse) || err != nil {
		t.Errorf("in use: %v; afterwards: %v", inUse, err)
	}
	if err := Check(filepath.Join(path, "oauth.db")); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file in the place of the folder: %v", err)
	}
	if err := Check(filepath.Join(path+".none", "folder", "oauth.db")); err != nil {
		t.Errorf("folders that can be made: %v", err)
	}
	closed := t.TempDir()
	must(t, os.Chmod(closed, 0o500))
	if err := Check(filepath.Join(closed, "oauth.db")); os.Geteuid() != 0 && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a folder that cannot be written: %v", err)
	}
	if err := Check(path + ".none"); err != nil {
		t.Errorf("Check of no file: %v", err)
	}
	if _, err := os.Stat(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check has made the file: %v", err)
	}
}
