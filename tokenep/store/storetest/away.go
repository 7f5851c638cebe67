package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// RunAway tests what verbs return while the database of an engine is unavailable, and that they
// reach it again.
func RunAway(t *testing.T, d Database) {
	const timeout = 300 * time.Millisecond
	s := d.Open(t, timeout)
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "kept"}))

	d.Pause()
	Unavailable(t, s, d.Secret, 5*(timeout+time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Load(ctx, kind, "kept"); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Load past the caller's time: %v", err)
	}
	d.Resume()
	answers(t, s)

	d.Kill()
	Unavailable(t, s, d.Secret, 5*time.Second)
	Unavailable(t, d.Open(t, timeout), d.Secret, 5*time.Second)
	must(t, d.Start())
	answers(t, s)
	has(t, s, "kept", 1, "")
}

// Unavailable reports verbs that do not return store.ErrUnavailable, that show a part of the
// password, or that take longer than allowed, all five together.
func Unavailable(t testing.TB, s store.Store, secret string, within time.Duration) {
	t.Helper()
	ctx := t.Context()
	start := time.Now()
	r := store.Record{Kind: kind, ID: "a", Version: 1}
	_, load := s.Load(ctx, kind, "a")
	_, list := s.List(ctx, kind, "", "", 1)
	for verb, err := range map[string]error{
		"Insert": s.Insert(ctx, r), "Swap": s.Swap(ctx, r, r), "Delete": s.Delete(ctx, kind, "a"), "Load": load, "List": list,
	} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want %v", verb, err, store.ErrUnavailable)
		}
		if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%s shows the password: %v", verb, err)
		}
	}
	if took := time.Since(start); took > within {
		t.Errorf("five verbs took %v, want at most %v", took, within)
	}
}

// RunClosed tests that every verb of a store that was closed, once or twice, returns
// store.ErrUnavailable.
func RunClosed(t *testing.T, s interface {
	store.Store
	Close() error
}) {
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	must(t, s.Close())
	must(t, s.Close())
	Unavailable(t, s, "", time.Second)
}

// RunMalformed tests that none of the addresses opens a store, and that no error shows the secret,
// which is in each of them.
func RunMalformed(t *testing.T, open func(address string) (store.Store, error), secret string, addresses ...string) {
	for _, address := range addresses {
		if _, err := open(address); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Open(%q): %v, want an error that does not show it", address, err)
		}
	}
}

// RunApart tests that two authorization servers in one database do not see each other's records.
func RunApart(t *testing.T, a, b store.Store) {
	r := store.Record{Kind: kind, ID: "a"}
	must(t, a.Insert(t.Context(), r))
	must(t, b.Insert(t.Context(), r))
	must(t, a.Delete(t.Context(), kind, "a"))
	page, err := b.List(t.Context(), kind, "", "", 9)
	must(t, err)
	if len(page) != 1 {
		t.Errorf("List of one returned %d records, after the other's were deleted, want 1", len(page))
	}
}
