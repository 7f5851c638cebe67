package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Fault is what goes wrong with one verb.
type Fault int

// What can go wrong. After ErrExists and ErrConflict nothing was written. After the others the
// caller cannot know, so a test of it needs both.
const (
	None     Fault = iota
	Conflict       // Insert returns ErrExists and Swap ErrConflict; other verbs succeed
	Away           // store.ErrUnavailable; nothing was written
	Lost           // the write happened, and its answer is store.ErrUnavailable
	Hang           // nothing happens until the context ends, and then its error
	LateHang       // the write happens, and then nothing until the context ends
)

// A Call is a call of a verb of a Faulty.
type Call struct {
	Verb string // Insert, Load, Swap, Delete or List
	Kind string
	ID   string // the prefix of a List
}

// Faulty is a store that fails like an engine, for tests of its users: what they answer, what they
// repeat, and that they spend nothing twice. Make one with NewFaulty; it is safe for concurrent
// use.
type Faulty struct {
	store.Store

	mu     sync.Mutex
	choose func(Call) Fault
}

// NewFaulty returns a store that does what s does, until Fail is called.
func NewFaulty(s store.Store) *Faulty { return &Faulty{Store: s} }

// Fail sets choose, which returns the fault of each call, and is called by one goroutine at a time.
// nil means no faults.
func (f *Faulty) Fail(choose func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose = choose
}

// FailNext makes the next n calls of a verb fail, and no others. "" means any verb.
func (f *Faulty) FailNext(n int, verb string, fault Fault) {
	f.Fail(func(c Call) Fault {
		if n == 0 || verb != "" && c.Verb != verb {
			return None
		}
		n--
		return fault
	})
}

// Insert implements store.Store.
func (f *Faulty) Insert(ctx context.Context, r store.Record) error {
	return f.do(ctx, Call{"Insert", r.Kind, r.ID}, store.ErrExists, func() error { return f.Store.Insert(ctx, r) })
}

// Load implements store.Store.
func (f *Faulty) Load(ctx context.Context, kind, id string) (r store.Record, err error) {
	err = f.do(ctx, Call{"Load", kind, id}, nil, func() error {
		r, err = f.Store.Load(ctx, kind, id)
		return err
	})
	if err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// Swap implements store.Store.
func (f *Faulty) Swap(ctx context.Context, old, next store.Record) error {
	return f.do(ctx, Call{"Swap", old.Kind, old.ID}, store.ErrConflict, func() error { return f.Store.Swap(ctx, old, next) })
}

// Delete implements store.Store.
func (f *Faulty) Delete(ctx context.Context, kind, id string) error {
	return f.do(ctx, Call{"Delete", kind, id}, nil, func() error { return f.Store.Delete(ctx, kind, id) })
}

// List implements store.Store.
func (f *Faulty) List(ctx context.Context, kind, prefix, after string, limit int) (page []store.Record, err error) {
	err = f.do(ctx, Call{"List", kind, prefix}, nil, func() error {
		page, err = f.Store.List(ctx, kind, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

func (f *Faulty) fault(c Call) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.choose == nil {
		return None
	}
	return f.choose(c)
}

// do runs a verb with the fault that was chosen for it. conflict is nil for a verb that has no such
// error.
func (f *Faulty) do(ctx context.Context, c Call, conflict error, verb func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fault := f.fault(c)
	switch {
	case fault == Conflict && conflict != nil:
		return conflict
	case fault == Away:
		return fmt.Errorf("%w: injected failure of %s of %s", store.ErrUnavailable, c.Verb, c.Kind)
	case fault == Hang:
		<-ctx.Done()
		return ctx.Err()
	}
	err := verb()
	if err != nil {
		return err // the engine's own error: nothing was written
	}
	switch fault {
	case Lost:
		return fmt.Errorf("%w: injected loss of the answer to %s of %s", store.ErrUnavailable, c.Verb, c.Kind)
	case LateHang:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

var _ store.Store = (*Faulty)(nil)
