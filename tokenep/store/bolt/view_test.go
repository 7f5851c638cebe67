package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// If the file of an open Store is damaged, verbs fail, but the process does not end and no lock
// stays held.
func TestFileDamagedWhileOpen(t *testing.T) {
	for name, damage := range map[string]func(f *os.File, size int64) error{
		"pages without sense": func(f *os.File, size int64) error {
			// All but the two meta pages.
			_, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(size)-8192), 8192)
			return err
		},
		"a file that is cut off": func(f *os.File, _ int64) error { return f.Truncate(8192) },
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			s, err := Open(path, Options{SweepInterval: -1})
			must(t, err)
			for i := range 500 {
				must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: fmt.Sprint(i), Data: make([]byte, 200), Expires: time.Now().Add(-time.Hour)}))
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			info, err := f.Stat()
			must(t, err)
			must(t, errors.Join(damage(f, info.Size()), f.Close()))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()

			r := store.Record{Kind: kind, ID: "7", Version: 1}
			for range 2 { // the second meets what the first has left
				_, load := s.Load(ctx, kind, "7")
				_, list := s.List(ctx, kind, "", "", 10)
				_, sweep := s.Sweep(ctx)
				for verb, err := range map[string]error{
					"Load": load, "List": list, "Sweep": sweep,
					"Insert": s.Insert(ctx, r), "Swap": s.Swap(ctx, r, r), "Delete": s.Delete(ctx, kind, "7"),
				} {
					if !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("%s: %v, want store.ErrUnavailable", verb, err)
					}
				}
			}
			_ = s.Close() // it must return, with any error
		})
	}
}
