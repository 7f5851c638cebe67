package bolt

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A write that has not been received when its context ends has no effect.
func TestContextWhileWaiting(t *testing.T) {
	s := open(t, file(t), Options{})
	tx, err := s.db.Begin(true) // blocks the committer
	must(t, err)
	first := make(chan error, 1)
	go func() { first <- s.Insert(t.Context(), store.Record{Kind: kind, ID: "first"}) }()

	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- s.Insert(ctx, store.Record{Kind: kind, ID: "second"}) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("Insert whose context ended: %v, want %v", err, context.Canceled)
	}
	must(t, tx.Rollback())
	must(t, <-first)
	if _, err := s.Load(t.Context(), kind, "second"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load of what was given up: %v, want %v", err, store.ErrNotFound)
	}
}

// A write that has been received, but whose context ended before its transaction, is left out.
func TestContextBeforeTransaction(t *testing.T) {
	s := open(t, file(t), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	left := &op{ctx: ctx, apply: func(*bbolt.Tx) (bool, error) {
		t.Error("applied a write whose context has ended")
		return false, nil
	}}
	other := &op{ctx: t.Context(), apply: func(*bbolt.Tx) (bool, error) { return true, nil }}
	must(t, s.update([]*op{left, other}))
	if !errors.Is(left.err, context.Canceled) || other.err != nil {
		t.Errorf("errors %v and %v, want %v and none", left.err, other.err, context.Canceled)
	}
}

// If a transaction fails, nothing of it is in the file, all writes in it fail, and the next one
// works.
func TestFailedTransaction(t *testing.T) {
	s := open(t, file(t), Options{})
	fine := func() *op {
		return &op{ctx: t.Context(), apply: func(tx *bbolt.Tx) (bool, error) {
			bucket, err := tx.CreateBucketIfNotExists([]byte(kind))
			must(t, err)
			return true, put(tx, bucket, kind, "a", nil, encode(store.Record{}, 1))
		}}
	}
	for name, apply := range map[string]func(*bbolt.Tx) (bool, error){
		"an error": func(*bbolt.Tx) (bool, error) { return true, errDamaged },
		"a panic":  func(*bbolt.Tx) (bool, error) { panic("page 7 makes no sense") },
	} {
		err := s.update([]*op{fine(), {ctx: t.Context(), apply: apply}, fine()})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, want %v", name, err, store.ErrUnavailable)
		}
		if _, err := s.Load(t.Context(), kind, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: Load of what was written beside it: %v, want %v", name, err, store.ErrNotFound)
		}
	}
	must(t, s.update([]*op{fine()}))
	_, err := s.Load(t.Context(), kind, "a")
	must(t, err)
}
