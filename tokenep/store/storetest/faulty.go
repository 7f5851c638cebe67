package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Fault is what goes wrong with one verb.
type Fault int

// What can go wrong. With ErrExists and ErrConflict nothing was written; after
// the others that is open, and a test of the caller needs both.
const (
	None     Fault = iota
	Conflict       // Insert is ErrExists and Swap is ErrConflict: somebody else was first. Other verbs succeed.
	Away           // store.ErrUnavailable; nothing was written
	Lost           // the write happened, and its answer is store.ErrUnavailable
	Hang           // nothing happens until the context ends, and then its error
	LateHang       // the write happens, and then nothing until the context ends
)

// A Call is a verb that a Faulty was asked for.
type Call struct {
	Verb string // Insert, Load, Swap, Delete or List
	Kind string
	ID   string // of List: the prefix
}

// Faulty is a store whose engine fails as engines do, for tests of those who use
// one: what they answer, what they repeat, and that they spend nothing twice.
// Make one with NewFaulty; it is safe for concurrent use.
type Faulty struct {
	store.Store

	mu     sync.Mutex
	choose func(Call) Fault
}

// NewFaulty returns a store that does what s does, until Fail.
func NewFaulty(s store.Store) *Faulty { return &Faulty{Store: s} }

// Fail has choose say of each verb what goes wrong with it; nil is nothing. It
// is called by one goroutine at a time.
func (f *Faulty) Fail(choose func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose = choose
}

// FailNext has the next n calls of a verb fail so, and no others. The verb "" is any.
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

// do does a verb with the fault that is chosen for it. A conflict of verbs that
// know none is nil.
func (f *Faulty) do(ctx context.Context, c Call, conflict error, verb func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fault := f.fault(c)
	switch {
	case fault == Conflict && conflict != nil:
		return conflict
	case fault == Away:
		return fmt.Errorf("%w: %s of %s was injected to fail", store.ErrUnavailable, c.Verb, c.Kind)
	case fault == Hang:
		<-ctx.Done()
		return ctx.Err()
	}
	err := verb()
	if err != nil {
		return err // as the engine has it: nothing was written
	}
	switch fault {
	case Lost:
		return fmt.Errorf("%w: the answer to %s of %s was injected to be lost", store.ErrUnavailable, c.Verb, c.Kind)
	case LateHang:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

var _ store.Store = (*Faulty)(nil)
