package bolt

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"
)

// maxGroup is how many writes share a transaction: 16 MiB at 64 KiB of data each.
const maxGroup = 256

// An op is one write that waits for its transaction.
type op struct {
	ctx   context.Context
	apply func(tx *bbolt.Tx) (wrote bool, err error)
	err   error      // of this write alone
	done  chan error // receives one value when the outcome is on the disk
}

// commit runs apply in a transaction, and returns its outcome once that is on the disk. apply
// checks before it writes. With an error it returns wrote = false if it has written nothing, which
// concerns this write alone, and true if it may have written a part, which makes all writes of the
// transaction fail.
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
		return ctx.Err() // the outcome is open, but the caller need not wait for a slow disk
	}
}

var errClosed = errors.New("the store is closed")

// commitAll commits the writes that verbs send, until Close.
//
// An fsync takes a thousand times as long as the writes that it makes durable, so those that arrive
// during one share the next. The first write is committed at once, alone if no other is waiting,
// and those that arrive meanwhile form the next group. There is no timer, and no wait for further
// writers: waiting for those that were just answered was measured, and makes larger groups but not
// more writes a second.
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

// gather adds the writes that are waiting to a group.
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

// update runs a group in one transaction. The error is the transaction's; the outcome of each write
// is in its op. A group that changes nothing costs no fsync.
//
// On a damaged file bbolt may also fail to roll a transaction back, and then keeps its lock. The
// next write would wait for ever, so no more are made.
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
	// Without a database the transaction was closed, and holds no lock.
	s.stuck = errors.Is(err, errDamagedFile) && (used == nil || used.DB() != nil)
	return unavailable(err)
}

// apply runs the writes of a group in the transaction.
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
