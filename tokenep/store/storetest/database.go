package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Database is the database of an engine, under the control of a test.
type Database struct {
	// Open opens the same records each time, with this time-out for each verb, and closes the store
	// with t.Cleanup.
	Open func(t testing.TB, timeout time.Duration) store.Store

	Kill   func()       // kills it, like kill -9
	Start  func() error // starts it again, and returns when it answers
	Pause  func()       // stops it from answering, like a machine that hangs
	Resume func()       // ends a Pause
	Secret string       // a part of the password, which must not be in any error
}

// timeout is longer than a verb takes on a busy machine.
const timeout = 3 * time.Second

// answers waits until the stores reach the database again.
func answers(t *testing.T, stores ...store.Store) {
	t.Helper()
	for _, s := range stores {
		var err error
		for range 100 {
			if _, err = s.Load(t.Context(), kind, "none"); errors.Is(err, store.ErrNotFound) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		want(t, "Load when the database is back", err, store.ErrNotFound)
	}
}
