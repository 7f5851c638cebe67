package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// backUp writes a backup of the store to a new file.
func backUp(t testing.TB, s *Store) (path string) {
	t.Helper()
	b, err := s.Backup(t.Context(), "default", "https://id.example.com")
	must(t, err)
	defer b.Close()
	path = filepath.Join(t.TempDir(), "backup.db")
	text, err := io.ReadAll(b)
	must(t, err)
	if int64(len(text)) != b.Size {
		t.Fatalf("a backup of %d bytes says that it has %d", len(text), b.Size)
	}
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// insert stores a record under each id.
func insert(t testing.TB, s *Store, data string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: id, Data: []byte(data), Expires: time.Now().Add(time.Hour)}))
	}
}

// A backup that is made during writes is sound, and has everything that was acknowledged before it
// began.
func TestBackupOfAStoreInUse(t *testing.T) {
	s := open(t, file(t), Options{})
	var writers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer writers.Wait()
	defer stop()
	for g := range 8 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r := store.Record{Kind: kind, ID: fmt.Sprintf("busy-%d-%d", g, i), Data: make([]byte, 2000), Expires: time.Now().Add(time.Hour)}
				if err := s.Insert(ctx, r); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for round := range 5 {
		id := fmt.Sprint("round-", round)
		insert(t, s, id, id)
		path := backUp(t, s)
		insert(t, s, id, id+"-later")

		origin, err := CheckBackup(path)
		must(t, err)
		if origin.Server != "default" || origin.Issuer != "https://id.example.com" || time.Since(origin.Taken) > time.Minute {
			t.Errorf("it comes from %+v", origin)
		}
		sound(t, path) // for bbolt a backup is a file like any other
		restored := file(t)
		_, err = Restore(path, restored, time.Now(), anyOrigin)
		must(t, err)
		sound(t, restored)
		copied, err := Open(restored, Options{})
		must(t, err)
		if _, err := copied.Load(t.Context(), kind, id); err != nil {
			t.Errorf("%s was stored before the backup: %v", id, err)
		}
		if _, err := copied.Load(t.Context(), kind, id+"-later"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s was stored after the backup: %v", id+"-later", err)
		}
		must(t, copied.Close())
	}
}

func anyOrigin(Origin) error { return nil }

// While a slow reader reads a backup, the file does not grow and no write waits.
func TestBackupReadSlowly(t *testing.T) {
	path := file(t)
	s := open(t, path, Options{SweepInterval: -1})
	insert(t, s, "before", "a")
	b, err := s.Backup(t.Context(), "default", "")
	must(t, err)
	defer b.Close()
	first := make([]byte, 10)
	_, err = io.ReadFull(b, first)
	must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := store.Record{Kind: kind, ID: "a", Version: 1}
	for range 200 { // each write would need new pages if the old ones could not be reused
		r.Data = make([]byte, store.MaxData)
		must(t, s.Swap(ctx, r, r))
		r.Version++
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > 2<<20 {
		t.Errorf("the file has %d bytes, for one record of %d", info.Size(), store.MaxData)
	}
	rest, err := io.ReadAll(b)
	must(t, err)
	copied := filepath.Join(t.TempDir(), "backup.db")
	must(t, os.WriteFile(copied, slices.Concat(first, rest), 0o600))
	_, err = CheckBackup(copied)
	must(t, err)
}

// The copy has private keys, so it cannot be found by name, and is removed with its reader.
func TestBackupLeavesNothingBehind(t *testing.T) {
	path := file(t)
	s := open(t, path, Options{})
	b, err := s.Backup(t.Context(), "default", "")
	must(t, err)
	info, err := b.file.Stat()
	must(t, err)
	if runtime.GOOS != "windows" {
		if info.Mode().Perm() != 0o600 {
			t.Errorf("the copy has mode %v", info.Mode())
		}
		onlyFile(t, path)
	}
	must(t, b.Close())
	onlyFile(t, path)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backup(ctx, "default", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	onlyFile(t, path)
	must(t, s.Close())
	if _, err := s.Backup(t.Context(), "default", ""); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("of a closed store: %v", err)
	}
	onlyFile(t, path)
}

// onlyFile reports anything beside the file.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the directory has %v", entries)
	}
}

// spoiled returns files, made from a good backup, that must be refused, and the error of each.
func spoiled(t *testing.T, good []byte) map[string]struct {
	content []byte
	want    string
} {
	flipped := func(at int) []byte {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		return bad
	}
	newer := file(t)
	db, err := bbolt.Open(newer, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucket(formatBucket)
		must(t, err)
		return bucket.Put(formatKey, []byte("2"))
	}))
	// A backup of a store as a newer version would make it.
	s := &Store{db: db, now: time.Now}
	newerBackup := backUp(t, s)
	must(t, db.Close())

	foreign := file(t)
	db, err = bbolt.Open(foreign, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("sessions")); return err }))
	foreignBackup := backUp(t, &Store{db: db, now: time.Now})
	must(t, db.Close())

	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		must(t, err)
		return text
	}
	return map[string]struct {
		content []byte
		want    string
	}{
		"an empty file":                     {nil, "is empty"},
		"a byte short":                      {good[:len(good)-1], "truncated"},
		"half of it":                        {good[:len(good)/2], "truncated"},
		"its first page":                    {good[:os.Getpagesize()], "truncated"},
		"a byte more":                       {append(bytes.Clone(good), 'x'), "truncated"},
		"another page":                      {flipped(3*os.Getpagesize() + 100), "has been changed"},
		"another first byte":                {flipped(0), "has been changed"},
		"another issuer of the same length": {bytes.Replace(good, []byte("id.example.com"), []byte("id.example.org"), 1), ""},
		"its end alone":                     {good[bytes.LastIndex(good, []byte(trailerMark)):], "truncated, or has been changed"},
		"a text":                            {[]byte("backup"), "was not made by a backup"},
		"the file of another program":       {read(foreign), "was not made by a backup"},
		"a backup of another program":       {read(foreignBackup), "or by another program"},
		"a backup of a newer layout":        {read(newerBackup), "it was written by a newer version"},
	}
}

func TestCheckBackupRefuses(t *testing.T) {
	s := open(t, file(t), Options{})
	insert(t, s, strings.Repeat("a", 3000), "a", "b", "c")
	good, err := os.ReadFile(backUp(t, s))
	must(t, err)
	for name, bad := range spoiled(t, good) {
		path := file(t)
		must(t, os.WriteFile(path, bad.content, 0o600))
		_, err := CheckBackup(path)
		if bad.want == "" {
			// The digest covers the pages only: it detects accidents, and authenticates nothing.
			must(t, err)
			continue
		}
		if !errors.Is(err, errNoBackup) || !strings.Contains(err.Error(), bad.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", name, err, bad.want)
		}
	}
	if _, err := CheckBackup(t.TempDir()); !errors.Is(err, errNoBackup) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := CheckBackup(file(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
