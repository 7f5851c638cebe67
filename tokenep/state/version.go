package state

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Version is a record as a Check saw and allowed it, and what the Spend of the same type replaces.
// It is opaque, and good for one Spend.
//
// Spend is one conditional write of exactly this version. On a conflict the check that was passed
// to Check runs again, on the new version, and that version decides: the credential may have been
// spent, revoked or reused meanwhile. Time is checked again at the spend in any case. If the new
// version passes, but says something else than what the caller has read, the error is ErrChanged.
type Version struct {
	of any // a pointer to a checked[T] or the like: a pointer, so that no log prints what is in it
}

// checked is what is in a Version.
type checked[T any] struct {
	*record.Stored[T]
	decide decision[T]
	edited T // what decide edits: kept, because each escape of a large record costs a copy
}

// decision returns an error unless a credential may be spent, and edits its record to say that it
// was. Without write the credential may be used with the record as it is. asked says that the
// caller's own check has passed on this version, and does not run again.
type decision[T any] func(v *T, expires *time.Time, asked bool) (write bool, err error)

// errOtherVersion is for a programming error.
var errOtherVersion = errors.New("the version is not from a Check of this type")

// checkRecord loads a record and lets decide look at it. It writes nothing. The value is returned
// with an error of decide as well.
func checkRecord[T any](ctx context.Context, s store.Store, kind, id string, decide decision[T]) (*checked[T], error) {
	seen, err := record.Load[T](ctx, s, kind, id)
	c := &checked[T]{Stored: seen, decide: decide}
	if err != nil {
		return c, unknown(kind, err)
	}
	_, _, err = c.edit(seen, false)
	return c, err
}

// edit lets decide edit a copy of what was seen, c.edited.
func (c *checked[T]) edit(seen *record.Stored[T], asked bool) (write bool, expires time.Time, err error) {
	c.edited, expires = seen.Value, seen.Expires
	write, err = c.decide(&c.edited, &expires, asked)
	return write, expires, err
}

// spend replaces the version that was checked, or whichever is stored by then and passes the same
// check. read returns of a value what a caller may have read: all but the bookkeeping of its use.
func (c *checked[T]) spend(ctx context.Context, s store.Store, read func(T) T) (T, error) {
	seen := c.Stored
	for range Attempts {
		same := seen.Version == c.Version
		write, expires, err := c.edit(seen, same)
		if err == nil && !same && !reflect.DeepEqual(read(seen.Value), read(c.Value)) {
			err = ErrChanged
		}
		switch write = write && err == nil; {
		case write:
			if err := record.Swap(ctx, s, seen.Record, c.edited, expires); !errors.Is(err, store.ErrConflict) {
				return c.edited, err
			}
		case !same: // it was loaded just now
			return c.edited, err
		}
		now, loadErr := record.Load[T](ctx, s, c.Kind, c.ID)
		if loadErr != nil {
			return c.edited, unknown(c.Kind, loadErr)
		}
		if !write && now.Version == seen.Version {
			return c.edited, err
		}
		seen = now
	}
	return seen.Value, fmt.Errorf("spending a %s: others changed it %d times: %w", c.Kind, Attempts, store.ErrConflict)
}

// unknown turns store.ErrNotFound into ErrUnknown.
func unknown(kind string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w %s", ErrUnknown, kind)
	}
	return err
}
