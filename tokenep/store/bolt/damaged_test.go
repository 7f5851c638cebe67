package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

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
