package bolt

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"
)

// maxGroup is how many writes share a transaction. At 64 KiB of data each, they
// are 16 MiB.
const maxGroup = 256

// An op is one write that waits for its transaction.
type op struct {
	ctx   context.Context
	apply func(tx *bbolt.Tx) (wrote bool, err error)
	err   error      // of this write alone
	done  chan error // gets one value, when the outcome is on the disk
}

// commit has apply run in a transaction, and returns what came of it once that
// is on the disk. apply looks before it writes: with an error it returns false
// if it has not written, which is its own affair, and true if it has perhaps
// written a part, which fails all that share the transaction.
func (s *Store) commit(ctx context.Context, apply func(tx *bbolt.Tx) (wrote bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{ctx: ctx, apply: apply, done: make(chan error, 1)}
	select {
	case s.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return unavailable(errClosed)
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err() // the outcome is open: a slow disk is no reason to keep the caller
	}
}

var errClosed = errors.New("the store is closed")

// commitAll commits what the verbs send, until Close.
//
// An fsync takes a thousand times as long as what it makes durable. So whoever
// writes while one is under way shares the next: the first write that comes is
// committed at once, alone if nobody else is waiting, and those that arrive
// meanwhile make the next group. Nothing waits for a timer, nor for writers that
// may yet come: to wait for those just answered was measured, and gives larger
// groups but no more writes a second.
func (s *Store) commitAll() {
	group := make([]*op, 0, maxGroup)
	for {
		select {
		case o := <-s.ops:
			group = s.gather(append(group, o))
		case <-s.closing:
			return
		}
		err := s.update(group)
		for _, o := range group {
			if err != nil {
				o.err = err
			}
			o.done <- o.err
		}
		clear(group)
		group = group[:0]
	}
}

// gather adds to a group the writes that are waiting.
func (s *Store) gather(group []*op) []*op {
	for len(group) < maxGroup {
		select {
		case o := <-s.ops:
			group = append(group, o)
		default:
			return group
		}
	}
	return group
}

var errNothing = errors.New("nothing to commit")

// update runs a group in one transaction. The error is of the transaction; what
// came of each write is in its op. A group that changes nothing costs no fsync.
//
// On a damaged file bbolt may not come to the end of undoing a transaction either, and then keeps its lock: whoever wrote next
// would wait for ever, so nobody does.
func (s *Store) update(group []*op) error {
	if s.stuck {
		return unavailable(errDamagedFile)
	}
	if err := s.place.check(); err != nil {
		return unavailable(err)
	}
	var used *bbolt.Tx
	err := survive(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			used = tx
			return apply(tx, group)
		})
	})
	if err == nil || errors.Is(err, errNothing) {
		return nil
	}
	s.stuck = errors.Is(err, errDamagedFile) && (used == nil || used.DB() != nil) // else it was closed, and has none
	return unavailable(err)
}

// apply has each write of a group do its part of the transaction.
func apply(tx *bbolt.Tx, group []*op) error {
	changed := false
	for _, o := range group {
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		wrote, err := o.apply(tx)
		if wrote && err != nil {
			return err
		}
		o.err = err
		changed = changed || wrote
	}
	if !changed {
		return errNothing
	}
	return nil
}
