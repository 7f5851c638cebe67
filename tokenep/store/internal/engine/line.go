package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Line is the circuit breaker between verbs and a database server.
//
// A server that is down refuses connections, and a verb fails at once. One that hangs, or that a
// network cuts off by dropping packets, does not answer: each verb, and the request that needs it,
// would wait for the time-out, and at a thousand requests a second thousands would. So when a verb
// has waited for its whole time-out, the server is considered silent and verbs fail at once, except
// that one at a time is let through as a probe. The first answer, even if it is an error, closes
// the circuit again for all. No timer is needed, because every process keeps asking for new
// revocations.
//
// A server that has answered another verb meanwhile is not silent: it may be slow, a record may be
// locked, or one node of a cluster may be down.
type Line struct {
	Name    string        // of the engine, for errors
	Timeout time.Duration // of a verb, including all waits

	// Answer reports whether the server has sent this error. The errors of package store count as
	// answers in any case.
	Answer func(error) bool

	answers atomic.Uint64 // how many have come
	silent  atomic.Bool
	probing atomic.Bool // a verb has been let through while silent
}

// Do runs a verb within the time-out, and turns its error into one of the contract.
//
// It runs in the goroutine of the caller. With a goroutine for each verb, Do could return as soon
// as the caller's context ends, but that was measured to cost a third of the rate. So it depends on
// the database's client library: each one notices a deadline, but not each one a cancellation.
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
	// The error is not wrapped: a time-out of the Line must not look like one of the caller's
	// context.
	return none, fmt.Errorf("%w: %s: %s", store.ErrUnavailable, l.Name, err)
}

// note records the outcome of a verb. One that failed at once, or that the caller gave up, tells
// nothing about the server.
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

// timedOut also recognizes the deadline of a connection, which may come a moment before the
// context's.
func timedOut(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout()
}

// ended reports whether the context of a caller is done, or its deadline has passed.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// callers returns the error of a caller's context that has ended.
func callers(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
