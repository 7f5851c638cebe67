package storetest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func testInsert(t *testing.T, s store.Store) {
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a", Version: 7, Data: []byte("one")}))
	has(t, s, "a", 1, "one")
}

func testInsertTwice(t *testing.T, s store.Store) {
	r := store.Record{Kind: kind, ID: "a", Data: []byte("one")}
	must(t, s.Insert(t.Context(), r))
	r.Data = []byte("two")
	want(t, "Insert", s.Insert(t.Context(), r), store.ErrExists)
	has(t, s, "a", 1, "one")
}

func testLoadMissing(t *testing.T, s store.Store) {
	_, err := s.Load(t.Context(), kind, "a")
	want(t, "Load from an empty store", err, store.ErrNotFound)
	must(t, s.Insert(t.Context(), store.Record{Kind: "other", ID: "a"}))
	_, err = s.Load(t.Context(), kind, "a")
	want(t, "Load of another kind's id", err, store.ErrNotFound)
}

func testSwap(t *testing.T, s store.Store) {
	r := store.Record{Kind: kind, ID: "a", Data: []byte("one")}
	must(t, s.Insert(t.Context(), r))
	old := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("not what is stored: ignored")}
	r.Version, r.Data = 9, []byte("two")
	must(t, s.Swap(t.Context(), old, r))
	has(t, s, "a", 2, "two")
	old.Version = 2
	r.Data = nil
	must(t, s.Swap(t.Context(), old, r))
	has(t, s, "a", 3, "")
}

func testStaleSwap(t *testing.T, s store.Store) {
	r := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("one")}
	must(t, s.Insert(t.Context(), r))
	must(t, s.Swap(t.Context(), r, r))
	for _, version := range []uint64{0, 1, 3, 1<<64 - 1} {
		old := r
		old.Version = version
		want(t, "Swap", s.Swap(t.Context(), old, store.Record{Kind: kind, ID: "a", Data: []byte("two")}), store.ErrConflict)
	}
	has(t, s, "a", 2, "one")
}

func testSwapGone(t *testing.T, s store.Store) {
	r := store.Record{Kind: kind, ID: "a", Version: 1}
	must(t, s.Insert(t.Context(), r))
	must(t, s.Delete(t.Context(), kind, "a"))
	never := store.Record{Kind: "other", ID: "a"}
	want(t, "Swap of what was deleted", s.Swap(t.Context(), r, r), store.ErrConflict)
	want(t, "Swap of what never was", s.Swap(t.Context(), never, never), store.ErrConflict)
	for _, k := range []string{kind, "other"} {
		_, err := s.Load(t.Context(), k, "a")
		want(t, "Load", err, store.ErrNotFound)
	}
}

func testDelete(t *testing.T, s store.Store) {
	must(t, s.Delete(t.Context(), kind, "a"))
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "ab"}))
	must(t, s.Insert(t.Context(), store.Record{Kind: "other", ID: "a"}))
	for range 2 {
		must(t, s.Delete(t.Context(), kind, "a"))
		_, err := s.Load(t.Context(), kind, "a")
		want(t, "Load", err, store.ErrNotFound)
	}
	has(t, s, "ab", 1, "")
	_, err := s.Load(t.Context(), "other", "a")
	must(t, err)
}

func testInsertAgain(t *testing.T, s store.Store) {
	r := store.Record{Kind: kind, ID: "a", Version: 1, Data: []byte("one")}
	must(t, s.Insert(t.Context(), r))
	must(t, s.Swap(t.Context(), r, r))
	must(t, s.Delete(t.Context(), kind, "a"))
	r.Data = []byte("two")
	must(t, s.Insert(t.Context(), r))
	has(t, s, "a", 1, "two")
}

func testList(t *testing.T, s store.Store) {
	ids := []string{"a", "a\x00", "a/1", "a/2", "a0", "b", "b\xff", "b\xff\xff", "c", "é"}
	for _, id := range slices.Backward(ids) {
		must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: id, Data: []byte(id)}))
	}
	must(t, s.Insert(t.Context(), store.Record{Kind: "other", ID: "a1"}))
	for _, test := range []struct {
		prefix, after string
		limit         int
		ids           []string
	}{
		{"", "", store.MaxPage, ids},
		{"", "", 3, ids[:3]},
		{"", "a/1", 2, ids[3:5]},
		{"", "a/11", 1, ids[3:4]},
		{"", "é", 9, nil},
		{"a", "", 9, ids[:5]},
		{"a/", "", 9, ids[2:4]},
		{"a/", "a/1", 9, ids[3:4]},
		{"a/", "a", 9, ids[2:4]},
		{"a/", "b", 9, nil},
		{"b\xff", "", 9, ids[6:8]},
		{"bb", "", 9, nil},
		{strings.Repeat("\xff", store.MaxID), "", 9, nil},
	} {
		page, err := s.List(t.Context(), kind, test.prefix, test.after, test.limit)
		must(t, err)
		got := make([]string, 0, len(page))
		for _, r := range page {
			same(t, r, store.Record{Kind: kind, ID: r.ID, Version: 1, Data: []byte(r.ID)})
			got = append(got, r.ID)
		}
		if !slices.Equal(got, test.ids) {
			t.Errorf("List(%q, %q, %d) = %q, want %q", test.prefix, test.after, test.limit, got, test.ids)
		}
	}
	page, err := s.List(t.Context(), "none", "", "", 9)
	if must(t, err); len(page) != 0 {
		t.Errorf("List of a kind that has no records returned %d", len(page))
	}
}

func testNothingShared(t *testing.T, s store.Store) {
	// With much data too, because an engine may copy small data in any case.
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "large", Data: make([]byte, store.MaxData)}))
	data := []byte("one")
	r := store.Record{Kind: kind, ID: "a", Version: 1, Data: data}
	must(t, s.Insert(t.Context(), r))
	copy(data, "XXX")
	has(t, s, "a", 1, "one")

	copy(data, "two")
	must(t, s.Swap(t.Context(), r, r))
	copy(data, "XXX")
	has(t, s, "a", 2, "two")

	loaded, err := s.Load(t.Context(), kind, "a")
	must(t, err)
	page, err := s.List(t.Context(), kind, "", "", 1)
	must(t, err)
	copy(loaded.Data, "XXX")
	_ = append(loaded.Data, "more"...)
	copy(page[0].Data, "YYY")
	has(t, s, "a", 2, "two")
	if !bytes.Equal(loaded.Data, []byte("XXX")) {
		t.Error("what Load returned is shared with what List returned")
	}
}
