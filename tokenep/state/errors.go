package state

import (
	"errors"
	"fmt"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// What a caller can do something about. Everything else is the error of a store: store.ErrNotFound
// for an id that nobody has, store.ErrExists for one that is taken, store.ErrConflict for a record
// that others keep changing, and store.ErrUnavailable. All of them are wrapped: compare with
// errors.Is.
var (
	// ErrInvalid: an argument is outside its limits; the text says which.
	ErrInvalid = record.ErrInvalid

	// ErrChanged: between Check and Spend somebody changed what the caller may have read, such as a
	// scope. Nothing was spent, and a new Check may pass. It Is store.ErrConflict as well.
	ErrChanged = fmt.Errorf("what was checked has changed: %w", store.ErrConflict)

	// ErrTooMany: the owner has as many API tokens as one may have.
	ErrTooMany = errors.New("too many API tokens")

	// ErrRolledOften: so many secrets of the API token are good that it can have no more.
	ErrRolledOften = errors.New("the API token was rolled too often; wait until an old secret has ended, or let all of them end now")

	// ErrNotAllowed: the owner may not have such an API token.
	ErrNotAllowed = errors.New("not allowed")

	// ErrBadAPIToken: the API token is not good, for one of the reasons below.
	ErrBadAPIToken = errors.New("API token refused")

	ErrMalformedAPIToken = fmt.Errorf("%w: malformed or mistyped", ErrBadAPIToken) // no look-up
	ErrUnknownAPIToken   = fmt.Errorf("%w: unknown", ErrBadAPIToken)               // id or secret
	ErrExpiredAPIToken   = fmt.Errorf("%w: expired", ErrBadAPIToken)
	ErrRevokedAPIToken   = fmt.Errorf("%w: revoked", ErrBadAPIToken)
	ErrRolledAPIToken    = fmt.Errorf("%w: it was rolled, and the old secret has ended", ErrBadAPIToken)
	ErrEarlyAPIToken     = fmt.Errorf("%w: not good yet", ErrBadAPIToken)
	ErrAddressAPIToken   = fmt.Errorf("%w: not from this address", ErrBadAPIToken)
	ErrOwnerAPIToken     = fmt.Errorf("%w: its owner may not have it any more", ErrBadAPIToken)

	// ErrRefused: a refresh token, code, device code or id is not good, for one of the reasons
	// below. The text says what it is.
	ErrRefused = errors.New("refused")

	ErrMalformed = fmt.Errorf("%w: malformed", ErrRefused) // no look-up was needed
	ErrUnknown   = fmt.Errorf("%w: unknown", ErrRefused)   // not in the store, or no longer
	ErrExpired   = fmt.Errorf("%w: expired", ErrRefused)
	ErrSpent     = fmt.Errorf("%w: used before", ErrRefused)            // it was good for one use
	ErrReused    = fmt.Errorf("%w: rotated and used again", ErrRefused) // somebody has a copy
	ErrRevoked   = fmt.Errorf("%w: revoked", ErrRefused)

	// What a device is told while the user has not allowed it (RFC 8628 §3.5).
	ErrPending  = errors.New("the user has not decided")
	ErrSlowDown = errors.New("the device asks too often")
	ErrDenied   = errors.New("the user denied it")

	// ErrDecided: the user has already allowed or denied the device.
	ErrDecided = errors.New("the user has already decided")
)

// Attempts is how often a change is tried when others keep changing the record first. A caller that
// gets ErrChanged starts again at Check, at most as often.
const Attempts = record.Attempts

func invalidf(format string, args ...any) error { return record.Invalidf(format, args...) }

// invalidAs is an error that Is ErrInvalid and the other one.
func invalidAs(other error, format string, args ...any) error {
	return invalidAnd{record.Invalidf(format, args...), other}
}

type invalidAnd struct{ invalid, other error }

func (e invalidAnd) Error() string   { return e.invalid.Error() }
func (e invalidAnd) Unwrap() []error { return []error{e.invalid, e.other} }
