package oauthserver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A request that comes before Start waits for it, but no longer than until the request or the
// configuration ends, or Start fails.
func TestReady(t *testing.T) {
	failure := errors.New("the disk is full")
	stopped := errors.New("stopped")
	for _, row := range []struct {
		name string
		end  func(a *App, stop, leave context.CancelCauseFunc)
		want error
	}{
		{"started", func(a *App, _, _ context.CancelCauseFunc) { close(a.settled) }, nil},
		{"failed", func(a *App, _, _ context.CancelCauseFunc) { a.failure = failure; close(a.settled) }, failure},
		{"stopped", func(_ *App, stop, _ context.CancelCauseFunc) { stop(stopped) }, stopped},
		{"left", func(_ *App, _, leave context.CancelCauseFunc) { leave(nil) }, context.Canceled},
	} {
		t.Run(row.name, func(t *testing.T) {
			config, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			request, leave := context.WithCancelCause(t.Context())
			defer leave(nil)
			a := &App{ctx: caddy.Context{Context: config}, settled: make(chan struct{})}
			result := make(chan error, 1)
			go func() { result <- a.ready(request) }()
			select {
			case err := <-result:
				t.Fatalf("did not wait: %v", err)
			case <-time.After(time.Millisecond):
			}
			row.end(a, stop, leave)
			if err := <-result; !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}

// Until Start has opened it, the store is unavailable.
func TestEngineIsUnavailableUntilItIsOpen(t *testing.T) {
	s := &AuthorizationServer{shared: new(shared)}
	if _, err := s.Engine(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want store.ErrUnavailable", err)
	}
}
