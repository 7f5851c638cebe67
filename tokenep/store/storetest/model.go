package storetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// testModel compares the store with a map of records, verb by verb. There are few ids, close to
// each other, so that the verbs of a sequence often meet the same record.
func testModel(t *testing.T, s store.Store) {
	future := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	ids := rapid.SampledFrom([]string{"a", "a\x00", "a/", "a/b", "b", "\xff"})
	data := rapid.SliceOfN(rapid.Byte(), 0, 20)
	run := ""
	rapid.Check(t, func(rt *rapid.T) {
		run = nextKind(run) // a kind of its own for each run, because one store serves all
		model := map[string]store.Record{}
		draw := func(rt *rapid.T) store.Record {
			return store.Record{
				Kind: run, ID: ids.Draw(rt, "id"), Data: data.Draw(rt, "data"),
				Expires: rapid.SampledFrom([]time.Time{{}, future}).Draw(rt, "expires"),
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"insert": func(rt *rapid.T) {
				r := draw(rt)
				_, exists := model[r.ID]
				expect(rt, s.Insert(t.Context(), r), exists, store.ErrExists)
				if !exists {
					r.Version = 1
					model[r.ID] = r
				}
			},
			"load": func(rt *rapid.T) {
				id := ids.Draw(rt, "id")
				r, err := s.Load(t.Context(), run, id)
				expected, exists := model[id]
				expect(rt, err, !exists, store.ErrNotFound)
				if exists {
					equal(rt, r, expected)
				}
			},
			"swap": func(rt *rapid.T) {
				next := draw(rt)
				old := next
				old.Version = rapid.Uint64Range(0, 4).Draw(rt, "version")
				stored, exists := model[next.ID]
				conflict := !exists || stored.Version != old.Version
				expect(rt, s.Swap(t.Context(), old, next), conflict, store.ErrConflict)
				if !conflict {
					next.Version = old.Version + 1
					model[next.ID] = next
				}
			},
			"delete": func(rt *rapid.T) {
				id := ids.Draw(rt, "id")
				expect(rt, s.Delete(t.Context(), run, id), false, nil)
				delete(model, id)
			},
			"list": func(rt *rapid.T) {
				prefix := rapid.SampledFrom([]string{"", "a", "a/", "c"}).Draw(rt, "prefix")
				after := rapid.OneOf(rapid.Just(""), ids).Draw(rt, "after")
				limit := rapid.IntRange(1, 5).Draw(rt, "limit")
				page, err := s.List(t.Context(), run, prefix, after, limit)
				expect(rt, err, false, nil)
				expected := pageOf(model, prefix, after, limit)
				if len(page) != len(expected) {
					rt.Fatalf("List(%q, %q, %d) returned %d records, want %d", prefix, after, limit, len(page), len(expected))
				}
				for i, id := range expected {
					equal(rt, page[i], model[id])
				}
			},
		})
	})
}

func expect(rt *rapid.T, err error, fails bool, with error) {
	rt.Helper()
	if !fails && err != nil || fails && !errors.Is(err, with) {
		rt.Fatalf("error %v, want %v (%t)", err, with, fails)
	}
}

func equal(rt *rapid.T, got, expected store.Record) {
	rt.Helper()
	if got.Kind != expected.Kind || got.ID != expected.ID || got.Version != expected.Version ||
		!slices.Equal(got.Data, expected.Data) || !got.Expires.Equal(expected.Expires) {
		rt.Fatalf("record %#v, want %#v", got, expected)
	}
}

// pageOf is List, on the model.
func pageOf(model map[string]store.Record, prefix, after string, limit int) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(model)) {
		if strings.HasPrefix(id, prefix) && id > after && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids
}

// nextKind counts in letters: "", a, b, …, z, aa, ab, …
func nextKind(k string) string {
	if k == "" {
		return "a"
	}
	last := len(k) - 1
	if k[last] < 'z' {
		return k[:last] + string(k[last]+1)
	}
	return nextKind(k[:last]) + "a"
}
