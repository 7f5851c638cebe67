package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Record is one piece of state. It is opaque to a store: only the package that wrote Data knows
// what it means.
type Record struct {
	// Kind is what the record is: a code, a family, a client. It matches [a-z_]{1,32}, and is a
	// constant of the source, never a part of a request.
	Kind string

	// ID names the record within its kind: 1 to [MaxID] bytes, any bytes. Ids are compared and
	// ordered byte by byte: no case is folded and no character is special.
	ID string

	// Version is 1 after Insert and one more after each Swap. The caller gets it from Load or List,
	// and passes it to Swap in the old record.
	Version uint64

	// Data is at most [MaxData] bytes; nil and empty are the same.
	Data []byte

	// Expires is when the record becomes garbage; the zero time means never. It must be in the
	// years 1970 to 9999, and is returned in UTC, rounded up to the millisecond.
	Expires time.Time
}

// Limits that every engine enforces, so that all accept the same records.
const (
	MaxKind = 32       // bytes of a Kind
	MaxID   = 128      // bytes of an ID, and of the prefix and after of a List
	MaxData = 64 << 10 // bytes of Data
	MaxPage = 1000     // records of one List
)

// The errors of a Store. Engines wrap them: compare with errors.Is.
var (
	// ErrExists: Insert found a record with this kind and id. Nothing was written.
	ErrExists = errors.New("store: record exists")

	// ErrNotFound: Load found no record with this kind and id.
	ErrNotFound = errors.New("store: record not found")

	// ErrConflict: the version that Swap was to replace is not, or is no longer, the stored one.
	// Nothing was written.
	ErrConflict = errors.New("store: record was changed meanwhile")

	// ErrUnavailable: the engine cannot be reached, is closed or is full. It says nothing about the
	// record; the answer to a client is 503, never an invalid_* code.
	ErrUnavailable = errors.New("store: unavailable")

	// ErrInvalid: the arguments are outside the limits. Nothing was written.
	ErrInvalid = errors.New("store: invalid argument")
)

// A Store keeps records. It is all that an authorization server needs of a database: five verbs,
// each on one record. There is no transaction over two records, and nothing built on a Store may
// need one.
//
// A Store is safe for concurrent use, by goroutines and, where the engine allows it, by processes.
// The verbs on one record are linearizable: they happen one after another, each at some moment
// between its call and its return. Of any number of concurrent Swaps of one version exactly one
// succeeds, and of concurrent Inserts of one id exactly one. The single use of a code and the
// rotation of a refresh token depend on this alone, so an engine that reads, decides and then
// writes without a condition is not a Store.
//
// A write that returned nil is seen by every later verb, and is already as durable as the engine's
// documentation says. After ErrExists, ErrConflict or ErrInvalid nothing was written. After any
// other error the write may have happened, or may still happen: a caller that needs to know loads
// the record again.
//
// Expiry is garbage collection and nothing else. Before Expires a record is kept. From Expires on
// the engine may delete it at any time, or never, and until it does every verb treats it like any
// other record. A caller that must know whether a record has expired compares the time itself. An
// engine with a clock of its own waits longer, because its clock may be ahead of the caller's. A
// record that has not expired is never dropped to make room: a full engine returns ErrUnavailable.
//
// Nothing is shared: an engine keeps no reference to the Data that it is passed, and the Data that
// it returns belongs to the caller.
//
// With a context that is already done, a verb does nothing and returns the context's error. When it
// ends during the verb, the verb may return early with that error, and then a write may or may not
// have happened, as above.
//
// All errors are those of this package or of the context. Package storetest is this contract as a
// test; an engine that passes it is a Store.
type Store interface {
	// Insert stores a new record as version 1; r.Version is ignored. It returns ErrExists if the
	// kind has a record with this id.
	Insert(ctx context.Context, r Record) error

	// Load returns the record, or ErrNotFound.
	Load(ctx context.Context, kind, id string) (Record, error)

	// Swap replaces the record if its stored version is still old.Version: it stores the Data and
	// Expires of next, as version old.Version+1. Otherwise, and also if the record is gone, it
	// returns ErrConflict. Kind and ID of old and next must be equal (ErrInvalid); old.Data and
	// next.Version are ignored.
	Swap(ctx context.Context, old, next Record) error

	// Delete removes the record, whatever its version. It is not an error if there is none. An
	// Insert may use the id again, and starts at version 1.
	Delete(ctx context.Context, kind, id string) error

	// List returns up to limit (1 to MaxPage) records of a kind whose id begins with prefix and is
	// greater than after, ordered by id. For the next page, pass the last id as after; an empty
	// page is the end, a short one may not be. Pages are not a snapshot: a record that exists all
	// the time is returned once, and one that is inserted or deleted meanwhile once or not at all.
	// List is for management only: no request for a token may need it.
	List(ctx context.Context, kind, prefix, after string, limit int) ([]Record, error)
}

// CheckKey returns ErrInvalid unless kind and id are within the limits.
func CheckKey(kind, id string) error {
	if err := checkKind(kind); err != nil {
		return err
	}
	if len(id) < 1 || len(id) > MaxID {
		return fmt.Errorf("%w: id must have 1 to %d bytes, got %d", ErrInvalid, MaxID, len(id))
	}
	return nil
}

// CheckRecord returns ErrInvalid unless all of r is within the limits.
func CheckRecord(r Record) error {
	if err := CheckKey(r.Kind, r.ID); err != nil {
		return err
	}
	if len(r.Data) > MaxData {
		return fmt.Errorf("%w: data must have at most %d bytes, got %d", ErrInvalid, MaxData, len(r.Data))
	}
	if !r.Expires.IsZero() && (r.Expires.Unix() <= 0 || r.Expires.Unix() >= year10000) {
		return fmt.Errorf("%w: expires must be in the years 1970 to 9999", ErrInvalid)
	}
	return nil
}

// CheckSwap returns ErrInvalid unless next is within the limits and may follow old.
func CheckSwap(old, next Record) error {
	if old.Kind != next.Kind || old.ID != next.ID {
		return fmt.Errorf("%w: old and next must be the same record", ErrInvalid)
	}
	return CheckRecord(next)
}

// CheckList returns ErrInvalid unless the arguments of a List are within the limits.
func CheckList(kind, prefix, after string, limit int) error {
	if err := checkKind(kind); err != nil {
		return err
	}
	if len(prefix) > MaxID || len(after) > MaxID {
		return fmt.Errorf("%w: prefix and after must have at most %d bytes", ErrInvalid, MaxID)
	}
	if limit < 1 || limit > MaxPage {
		return fmt.Errorf("%w: limit must be 1 to %d, got %d", ErrInvalid, MaxPage, limit)
	}
	return nil
}

// Millis returns when r expires, in Unix milliseconds, rounded up so that no engine drops it early;
// 0 means never. At is the inverse.
func (r Record) Millis() int64 {
	if r.Expires.IsZero() {
		return 0
	}
	return r.Expires.Add(time.Millisecond - 1).UnixMilli()
}

// At returns the Expires of a record from Unix milliseconds: in UTC, and zero for 0.
func At(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

const year10000 = 253402300800 // Unix seconds; RFC 3339 and JSON times end here

func checkKind(kind string) error {
	if len(kind) < 1 || len(kind) > MaxKind {
		return fmt.Errorf("%w: kind must have 1 to %d bytes, got %d", ErrInvalid, MaxKind, len(kind))
	}
	for _, c := range []byte(kind) {
		if c != '_' && (c < 'a' || c > 'z') {
			return fmt.Errorf("%w: kind must be letters a to z and _, got %q", ErrInvalid, kind)
		}
	}
	return nil
}

type urgentKey struct{}

// Urgent returns a context for an Insert that must not fail for lack of room, since it takes rights
// away. An engine that bounds the number of its records keeps some room for such records alone.
func Urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey{}, true) }

// IsUrgent reports whether ctx comes from Urgent.
func IsUrgent(ctx context.Context) bool { return ctx.Value(urgentKey{}) != nil }
