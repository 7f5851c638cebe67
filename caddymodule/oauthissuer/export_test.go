package oauthissuer

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/verify"
)

// SetClock gives the keys that all modules fetch another clock, until t ends. None may hold any.
func SetClock(t *testing.T, now func() time.Time) {
	t.Helper()
	if _, held := pool.References(fetcherKey{}); held {
		t.Fatal("a module holds keys that are fetched by another clock")
	}
	_, _, _ = pool.LoadOrNew(fetcherKey{}, func() (caddy.Destructor, error) {
		return sharedFetcher{verify.NewFetcher(verify.URLKeysOptions{Now: now})}, nil
	})
	t.Cleanup(func() { _, _ = pool.Delete(fetcherKey{}) })
}
