package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Database is the database of an engine, under the control of a test.
type Database struct {
	// Open opens the same records each time, with verbs that wait for the
	// server no longer than the time-out, and arranges for the end with t.Cleanup.
	Open func(t testing.TB, timeout time.Duration) store.Store

	Kill   func()       // ends the server as kill -9 does
	Start  func() error // starts it again, and returns when it answers
	Pause  func()       // has it say nothing, as a machine does that hangs
	Resume func()       // ends a Pause
	Secret string       // a part of the password, which no error may show
}

// timeout is longer than a verb takes on a machine that is busy.
const timeout = 3 * time.Second

// answers waits until the stores have found the server again.
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
		want(t, "Load when the server is back", err, store.ErrNotFound)
	}
}
