package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

const kind = "thing"

func open(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		path := file(t)
		t.Cleanup(func() { sound(t, path) }) // after Close
		return open(t, path, Options{})
	})
}

// sound reports errors in a closed file: in its pages, and in the index, which must have the expiry
// of each record and nothing else.
func sound(t testing.TB, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: time.Second})
	must(t, err)
	defer db.Close()
	must(t, db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("damaged file: %v", err)
		}
		expected := map[string]bool{}
		must(t, tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			if name[0] == '#' {
				return nil
			}
			return bucket.ForEach(func(id, value []byte) error {
				if at := millis(value); at != 0 {
					expected[string(expiryKey(at, string(name), string(id)))] = true
				}
				return nil
			})
		}))
		if index := tx.Bucket(expiryBucket); index != nil {
			must(t, index.ForEach(func(key, _ []byte) error {
				if !expected[string(key)] {
					t.Errorf("the index has %q, but no record expires so", key)
				}
				delete(expected, string(key))
				return nil
			}))
		}
		for key := range expected {
			t.Errorf("the index lacks %q", key)
		}
		return nil
	}))
}

func TestReopen(t *testing.T) {
	path := file(t)
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	r := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("one"), Expires: expires}
	s := open(t, path, Options{})
	must(t, s.Insert(t.Context(), r))
	must(t, s.Swap(t.Context(), r, r))
	must(t, s.Close())

	s = open(t, path, Options{})
	got, err := s.Load(t.Context(), kind, "a")
	must(t, err)
	if got.Version != 2 || string(got.Data) != "one" || !got.Expires.Equal(expires) {
		t.Errorf("after reopening: %+v", got)
	}
}

func TestOpenTwice(t *testing.T) {
	path := file(t)
	open(t, path, Options{})
	start := time.Now()
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), path) {
		t.Errorf("second Open: %v, want an error that says which file is in use", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("second Open took %v, want it to fail fast", took)
	}
}

func TestOpenForeignFile(t *testing.T) {
	text := file(t)
	must(t, os.WriteFile(text, bytes.Repeat([]byte("not a store\n"), 1000), 0o600))
	other := file(t)
	db, err := bbolt.Open(other, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	}))
	must(t, db.Close())
	for name, path := range map[string]string{"text": text, "another program's": other, "a directory": t.TempDir()} {
		if s, err := Open(path, Options{}); err == nil {
			t.Errorf("Open of %s file succeeded", name)
			must(t, s.Close())
		}
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	mode := func(path string, expected os.FileMode) {
		t.Helper()
		info, err := os.Stat(path)
		must(t, err)
		if got := info.Mode().Perm(); got != expected {
			t.Errorf("mode of %s is %v, want %v", path, got, expected)
		}
	}
	path := filepath.Join(t.TempDir(), "new", "store.db")
	s := open(t, path, Options{})
	mode(filepath.Dir(path), 0o700)
	mode(path, 0o600)
	must(t, s.Close())

	must(t, os.Chmod(path, 0o644))
	var log bytes.Buffer
	open(t, path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mode(path, 0o600)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), path) {
		t.Errorf("no warning of a file that others could read: %q", log.String())
	}
}

func TestClose(t *testing.T) {
	path := file(t)
	s := open(t, path, Options{})
	var writers sync.WaitGroup
	inserted := make([]bool, 64)
	for i := range inserted {
		writers.Go(func() {
			err := s.Insert(context.Background(), store.Record{Kind: kind, ID: fmt.Sprint(i)})
			if inserted[i] = err == nil; err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Insert beside Close: %v, want %v", err, store.ErrUnavailable)
			}
		})
	}
	must(t, s.Close())
	must(t, s.Close())
	writers.Wait()

	r := store.Record{Kind: kind, ID: "a", Version: 1}
	_, load := s.Load(t.Context(), kind, "a")
	_, list := s.List(t.Context(), kind, "", "", 1)
	for verb, err := range map[string]error{
		"Insert": s.Insert(t.Context(), r), "Swap": s.Swap(t.Context(), r, r),
		"Delete": s.Delete(t.Context(), kind, "a"), "Load": load, "List": list,
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s after Close: %v, want %v", verb, err, store.ErrUnavailable)
		}
	}
	s = open(t, path, Options{})
	for i, acknowledged := range inserted {
		if _, err := s.Load(t.Context(), kind, fmt.Sprint(i)); acknowledged && err != nil {
			t.Errorf("Load of what was inserted beside Close: %v", err)
		}
	}
}

// The verbs on a damaged record fail, and no others.
func TestDamagedRecord(t *testing.T) {
	s := open(t, file(t), Options{})
	r := store.Record{Kind: kind, ID: "a", Version: 1}
	must(t, s.Insert(t.Context(), r))
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(kind)).Put([]byte("a"), []byte("short"))
	}))
	_, load := s.Load(t.Context(), kind, "a")
	for verb, err := range map[string]error{"Load": load, "Swap": s.Swap(t.Context(), r, r)} {
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v, want %v: %v", verb, err, store.ErrUnavailable, errDamaged)
		}
	}
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"}))
	must(t, s.Delete(t.Context(), kind, "a"))
	must(t, s.Insert(t.Context(), r))
}
