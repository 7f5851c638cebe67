package storetest_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func newMemory(t *testing.T) store.Store {
	t.Helper()
	s := memory.New(memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A Faulty without faults is a store.
func TestFaultyWithoutFaults(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return storetest.NewFaulty(newMemory(t)) })
}

// Two handles on one memory are like two machines on one database.
func TestShared(t *testing.T) {
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		s := newMemory(t)
		return storetest.NewFaulty(s), storetest.NewFaulty(s)
	})
}

func TestFaults(t *testing.T) {
	const kind = "thing"
	verbs := map[string]func(ctx context.Context, s store.Store) error{
		"Insert": func(ctx context.Context, s store.Store) error {
			return s.Insert(ctx, store.Record{Kind: kind, ID: "new"})
		},
		"Swap": func(ctx context.Context, s store.Store) error {
			r := store.Record{Kind: kind, ID: "old", Version: 1}
			return s.Swap(ctx, r, r)
		},
		"Delete": func(ctx context.Context, s store.Store) error { return s.Delete(ctx, kind, "old") },
		"Load": func(ctx context.Context, s store.Store) error {
			_, err := s.Load(ctx, kind, "old")
			return err
		},
		"List": func(ctx context.Context, s store.Store) error {
			_, err := s.List(ctx, kind, "", "", 9)
			return err
		},
	}
	// written reports whether the verb was done.
	written := map[string]func(s store.Store) bool{
		"Insert": func(s store.Store) bool { _, err := s.Load(t.Context(), kind, "new"); return err == nil },
		"Swap":   func(s store.Store) bool { r, _ := s.Load(t.Context(), kind, "old"); return r.Version == 2 },
		"Delete": func(s store.Store) bool { _, err := s.Load(t.Context(), kind, "old"); return err != nil },
	}
	for _, test := range []struct {
		name   string
		fault  storetest.Fault
		err    map[string]error // by verb; "" is any other
		writes bool
	}{
		{"none", storetest.None, map[string]error{"": nil}, true},
		{"conflict", storetest.Conflict, map[string]error{"Insert": store.ErrExists, "Swap": store.ErrConflict, "": nil}, false},
		{"away", storetest.Away, map[string]error{"": store.ErrUnavailable}, false},
		{"answer lost", storetest.Lost, map[string]error{"": store.ErrUnavailable}, true},
		{"hangs", storetest.Hang, map[string]error{"": context.Canceled}, false},
		{"hangs after the write", storetest.LateHang, map[string]error{"": context.Canceled}, true},
	} {
		for verb, do := range verbs {
			t.Run(test.name+"/"+verb, func(t *testing.T) {
				expected, named := test.err[verb]
				if !named {
					expected = test.err[""]
				}
				inner := newMemory(t)
				f := storetest.NewFaulty(inner)
				if err := f.Insert(t.Context(), store.Record{Kind: kind, ID: "old"}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f.Fail(func(c storetest.Call) storetest.Fault {
					if c.Verb != verb || c.Kind != kind {
						t.Errorf("asked of %+v", c)
					}
					switch {
					case test.fault == storetest.LateHang && written[verb] != nil:
						go func() {
							for !written[verb](inner) {
								runtime.Gosched()
							}
							cancel()
						}()
					case test.fault == storetest.Hang, test.fault == storetest.LateHang:
						cancel()
					}
					return test.fault
				})
				if err := do(ctx, f); !errors.Is(err, expected) {
					t.Errorf("error %v, want %v", err, expected)
				}
				if written[verb] == nil {
					return
				}
				writes := test.writes || test.fault == storetest.Conflict && verb == "Delete"
				if got := written[verb](inner); got != writes {
					t.Errorf("written %t, want %t", got, writes)
				}
			})
		}
	}
}

func TestFailNext(t *testing.T) {
	f := storetest.NewFaulty(newMemory(t))
	f.FailNext(2, "Load", storetest.Away)
	for i, expected := range []error{store.ErrUnavailable, store.ErrUnavailable, store.ErrNotFound} {
		if err := f.Delete(t.Context(), "thing", "a"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if _, err := f.Load(t.Context(), "thing", "a"); !errors.Is(err, expected) {
			t.Errorf("Load %d: %v, want %v", i, err, expected)
		}
	}
}
