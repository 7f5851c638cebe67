package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func testExpires(t *testing.T, s store.Store) {
	soon := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	east := time.FixedZone("east", 3600)
	r := store.Record{Kind: kind, ID: "a", Version: 1}
	for i, test := range []struct{ given, back time.Time }{
		{soon, soon},
		{time.Time{}, time.Time{}},
		{soon.Add(1), soon.Add(time.Millisecond)},
		{soon.In(east), soon},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		next := r
		next.Expires = test.given
		if i == 0 {
			must(t, s.Insert(t.Context(), next))
		} else {
			must(t, s.Swap(t.Context(), r, next))
			r.Version++
		}
		loaded, err := s.Load(t.Context(), kind, "a")
		must(t, err)
		page, err := s.List(t.Context(), kind, "", "", 1)
		must(t, err)
		for _, got := range append(page, loaded) {
			same(t, got, store.Record{Kind: kind, ID: "a", Version: r.Version, Expires: test.back})
			if got.Expires.Location() != time.UTC {
				t.Errorf("expires in %v, want UTC", got.Expires.Location())
			}
		}
	}
}

func testKept(t *testing.T, s store.Store) {
	now := time.Now()
	for i := range 50 {
		for name, expires := range map[string]time.Time{
			"gone": now.Add(-time.Hour), "soon": now.Add(time.Hour), "never": {},
		} {
			must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: fmt.Sprint(name, i), Expires: expires}))
		}
	}
	for i := range 50 {
		for _, name := range []string{"soon", "never"} {
			if _, err := s.Load(t.Context(), kind, fmt.Sprint(name, i)); err != nil {
				t.Errorf("Load of what expires %s: %v", name, err)
			}
		}
	}
}

func testExpired(t *testing.T, s store.Store) {
	past := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	r := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("one"), Expires: past}
	must(t, s.Insert(t.Context(), r))

	switch loaded, err := s.Load(t.Context(), kind, "a"); {
	case err == nil:
		same(t, loaded, r)
	default:
		want(t, "Load", err, store.ErrNotFound)
	}
	if err := s.Insert(t.Context(), r); err != nil {
		want(t, "Insert", err, store.ErrExists)
	}
	alive := store.Record{Kind: kind, ID: "a", Data: []byte("two")}
	switch err := s.Swap(t.Context(), r, alive); {
	case err == nil:
		has(t, s, "a", 2, "two")
	case errors.Is(err, store.ErrConflict):
		must(t, s.Insert(t.Context(), alive))
		has(t, s, "a", 1, "two")
	default:
		t.Errorf("Swap: error %v, want none or %v", err, store.ErrConflict)
	}

	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "b", Expires: past}))
	must(t, s.Delete(t.Context(), kind, "b"))
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"}))
	has(t, s, "b", 1, "")
}
