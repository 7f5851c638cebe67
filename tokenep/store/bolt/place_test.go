package bolt

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// No write is acknowledged that would be lost by a restart. Reads continue, a backup has all that
// was acknowledged, and writes continue when the file is back.
func TestFileThatIsLost(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open stays where it is")
	}
	for name, lose := range map[string]func(path, aside string) error{
		"moved": os.Rename,
		"deleted": func(path, aside string) error {
			return errors.Join(os.Link(path, aside), os.Remove(path))
		},
		"replaced": func(path, aside string) error {
			return errors.Join(os.Rename(path, aside), os.WriteFile(path, []byte("another"), 0o600))
		},
		"its directory moved": func(path, _ string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".aside") },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			path := filepath.Join(t.TempDir(), "data", "store.db")
			s := open(t, path, Options{SweepInterval: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			r := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("one")}
			must(t, s.Insert(t.Context(), r))
			must(t, lose(path, path+".aside"))
			_, sweep := s.Sweep(t.Context())
			for verb, err := range map[string]error{
				"Insert": s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"}),
				"Swap":   s.Swap(t.Context(), r, r), "Delete": s.Delete(t.Context(), kind, "a"), "Sweep": sweep,
			} {
				if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errLostFile) {
					t.Errorf("%s: %v, want %v: %v", verb, err, store.ErrUnavailable, errLostFile)
				}
			}
			_, err := s.Load(t.Context(), kind, "a")
			must(t, err)
			_, err = s.List(t.Context(), kind, "", "", 1)
			must(t, err)

			if name == "its directory moved" {
				must(t, os.Rename(filepath.Dir(path)+".aside", filepath.Dir(path)))
			} else {
				checkBackupOfLost(t, s)
				must(t, os.Rename(path+".aside", path))
			}
			must(t, s.Swap(t.Context(), r, r))
			if errs, back := strings.Count(log.String(), "level=ERROR"), strings.Count(log.String(), "is back"); errs != 1 || back != 1 {
				t.Errorf("%d errors and %d messages of its return are logged, want one of each:\n%s", errs, back, &log)
			}
			must(t, s.Close())
			sound(t, path)
		})
	}
}

// checkBackupOfLost opens a backup elsewhere, and checks that it has what was acknowledged.
func checkBackupOfLost(t *testing.T, s *Store) {
	t.Helper()
	b, err := s.Backup(t.Context(), "s", "https://as.example")
	must(t, err)
	copied, err := io.ReadAll(b)
	must(t, errors.Join(err, b.Close()))
	backup, other := file(t), file(t)
	must(t, os.WriteFile(backup, copied, 0o600))
	_, err = Restore(backup, other, time.Now(), anyOrigin)
	must(t, err)
	_, err = open(t, other, Options{}).Load(t.Context(), kind, "a")
	must(t, err)
}

// A path may be a link: what counts is the file that it leads to.
func TestLinkedFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a right there")
	}
	path, link := file(t), file(t)
	must(t, os.Symlink(path, link))
	s := open(t, link, Options{SweepInterval: -1, Logger: slog.New(slog.DiscardHandler)})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	must(t, os.Remove(link))
	must(t, os.Symlink(file(t), link)) // to nothing
	if err := s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"}); !errors.Is(err, errLostFile) {
		t.Errorf("Insert: %v, want %v", err, errLostFile)
	}
	must(t, os.Remove(link))
	must(t, os.Link(path, link)) // the same file by another link
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"}))
}

// BenchmarkPlace measures what the check of the path costs each transaction.
func BenchmarkPlace(b *testing.B) {
	s := open(b, file(b), Options{SweepInterval: -1})
	for b.Loop() {
		must(b, s.place.check())
	}
}
