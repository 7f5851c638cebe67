package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Line is the way of verbs to a database server.
//
// A server that is not there refuses connections, and a verb fails at once. One
// that hangs, or to which packets get lost, says nothing: each verb would wait
// for its time-out, each request with it, and at a thousand requests a second
// they would be thousands. So after a verb has waited in vain the server is
// taken to be silent, and verbs fail at once; all but one at a time, which is let
// through to see. The first answer, whatever it says, opens the way for all. No
// timer is needed: there is always somebody who asks, if only to follow revocations.
//
// A server that has answered anyone meanwhile is not silent: it may be slow, or
// one record may be locked, or one node of a cluster be away.
type Line struct {
	Name    string        // of the engine, for errors
	Timeout time.Duration // of a verb, with all that it waits for

	// Answer reports whether an error is one that the server has sent. Those of
	// package store are taken for that anyway.
	Answer func(error) bool

	answers atomic.Uint64 // that have come
	silent  atomic.Bool
	probing atomic.Bool // a verb has been let through while silent
}

// Do runs a verb within the time-out, and makes its error one of the contract.
//
// It runs in the goroutine of the caller. One of its own could be left behind as
// soon as the caller's context ends; but that was measured, and took a third of
// the rate. So it is up to the client of the database to notice: all know a
// deadline, not all a cancel.
func Do[T any](ctx context.Context, l *Line, verb func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if l.silent.Load() {
		if !l.probing.CompareAndSwap(false, true) {
			return none, fmt.Errorf("%w: %s: the server does not answer", store.ErrUnavailable, l.Name)
		}
		defer l.probing.Store(false)
	}
	before := l.answers.Load()
	bounded, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	value, err := verb(bounded)
	l.note(err, before, timedOut(bounded, err) && !ended(ctx))
	switch {
	case err == nil:
		return value, nil
	case ofContract(err):
		return none, err
	case ended(ctx):
		return none, callers(ctx)
	}
	// Which errors it wraps is hidden: a time-out of ours must not pass for one
	// of the caller's context.
	return none, fmt.Errorf("%w: %s: %s", store.ErrUnavailable, l.Name, err)
}

// note draws the conclusion from the end of a verb. One that failed at once, or
// that the caller gave up, says nothing of the server.
func (l *Line) note(err error, before uint64, inVain bool) {
	switch {
	case err == nil || ofContract(err) || l.Answer(err):
		l.answers.Add(1)
		l.silent.Store(false)
	case inVain && l.answers.Load() == before:
		l.silent.Store(true)
	}
}

func ofContract(err error) bool {
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict)
}

// timedOut also knows the deadline of a connection, which may come a moment
// before the context's.
func timedOut(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout()
}

// ended reports whether the context of a caller is done, or should be.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// callers returns the error of a context that has ended.
func callers(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
