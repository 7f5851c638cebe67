package storetest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func testAnyID(t *testing.T, s store.Store) {
	ids := []string{
		"a", "A", "a ", " a", "a\x00", "a\x00b", "\x00", "\x00\x00", "/", "//", "a/b", "a/", "../a", ".",
		"%", "%2F", "%61", "a%00", "*", "?", "_", "a_", "a:b", "{a}", "'", `"`, `\`, "\n",
		"é", "e\u0301", "日本語", "\xff", "\xff\xfe", "\x80",
		strings.Repeat("x", store.MaxID), strings.Repeat("x", store.MaxID-1), strings.Repeat("\x00", store.MaxID),
	}
	for _, id := range ids {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: id, Data: []byte("of " + id)}))
	}
	for _, id := range ids {
		has(t, s, id, 1, "of "+id)
	}
	for _, id := range ids {
		old := store.Record{Kind: kind, ID: id, Version: 1}
		must(t, s.Swap(t.Context(), old, store.Record{Kind: kind, ID: id, Data: []byte("new " + id)}))
	}
	for i, id := range ids {
		has(t, s, id, 2, "new "+id)
		must(t, s.Delete(t.Context(), kind, id))
		page, err := s.List(t.Context(), kind, "", "", store.MaxPage)
		must(t, err)
		if len(page) != len(ids)-i-1 {
			t.Fatalf("after the Delete of %d of %d ids, List returned %d", i+1, len(ids), len(page))
		}
	}
}

func testData(t *testing.T, s store.Store) {
	every := make([]byte, store.MaxData)
	for i := range every {
		every[i] = byte(i * 7)
	}
	for id, data := range map[string][]byte{
		"nil":      nil,
		"empty":    {},
		"NUL":      {0},
		"not text": {0xff, 0xfe, 0, 0x80},
		"64 KiB":   every,
		"zeros":    make([]byte, store.MaxData),
	} {
		r := store.Record{Kind: kind, ID: id, Version: 1, Data: data}
		must(t, s.Insert(t.Context(), r))
		has(t, s, id, 1, string(data))
		must(t, s.Swap(t.Context(), r, r))
		has(t, s, id, 2, string(data))
	}
}

func testLimits(t *testing.T, s store.Store) {
	long := strings.Repeat("x", store.MaxID+1)
	for _, r := range []store.Record{
		{Kind: "", ID: "a"},
		{Kind: "Thing", ID: "a"},
		{Kind: "thing2", ID: "a"},
		{Kind: "a thing", ID: "a"},
		{Kind: "thing\x00", ID: "a"},
		{Kind: strings.Repeat("k", store.MaxKind+1), ID: "a"},
		{Kind: kind, ID: ""},
		{Kind: kind, ID: long},
	} {
		want(t, "Insert", s.Insert(t.Context(), r), store.ErrInvalid)
		want(t, "Swap", s.Swap(t.Context(), r, r), store.ErrInvalid)
		want(t, "Delete", s.Delete(t.Context(), r.Kind, r.ID), store.ErrInvalid)
		_, err := s.Load(t.Context(), r.Kind, r.ID)
		want(t, "Load", err, store.ErrInvalid)
	}

	fits := store.Record{Kind: strings.Repeat("k", store.MaxKind), ID: strings.Repeat("x", store.MaxID), Version: 1}
	must(t, s.Insert(t.Context(), fits))
	for _, next := range []store.Record{
		{Kind: fits.Kind, ID: fits.ID, Data: bytes.Repeat([]byte("x"), store.MaxData+1)},
		{Kind: fits.Kind, ID: fits.ID, Expires: time.Unix(-1, 0)},
		{Kind: fits.Kind, ID: fits.ID, Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Kind: fits.Kind, ID: "another"},
		{Kind: "another", ID: fits.ID},
	} {
		want(t, "Swap", s.Swap(t.Context(), fits, next), store.ErrInvalid)
	}
	r, err := s.Load(t.Context(), fits.Kind, fits.ID)
	must(t, err)
	same(t, r, fits)

	for _, list := range []struct {
		kind, prefix, after string
		limit               int
	}{
		{"", "", "", 1},
		{kind, long, "", 1},
		{kind, "", long, 1},
		{kind, "", "", 0},
		{kind, "", "", -1},
		{kind, "", "", store.MaxPage + 1},
	} {
		_, err := s.List(t.Context(), list.kind, list.prefix, list.after, list.limit)
		want(t, "List", err, store.ErrInvalid)
	}
}

func testDoneContext(t *testing.T, s store.Store) {
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a", Data: []byte("one")}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("two")}
	b := store.Record{Kind: kind, ID: "b"}
	want(t, "Insert", s.Insert(ctx, b), context.Canceled)
	want(t, "Swap", s.Swap(ctx, a, a), context.Canceled)
	want(t, "Delete", s.Delete(ctx, kind, "a"), context.Canceled)
	_, err := s.Load(ctx, kind, "a")
	want(t, "Load", err, context.Canceled)
	_, err = s.List(ctx, kind, "", "", 1)
	want(t, "List", err, context.Canceled)

	has(t, s, "a", 1, "one")
	_, err = s.Load(t.Context(), kind, "b")
	want(t, "Load of what was not inserted", err, store.ErrNotFound)
}
