package state

import (
	"errors"
	"fmt"
)

// What a caller can do something about. Everything else is the error of a store: store.ErrNotFound for an id that nobody
// has, store.ErrExists for one that is taken, store.ErrConflict for a record that others keep changing, and
// store.ErrUnavailable. All of them are wrapped: compare with errors.Is.
var (
	// ErrInvalid: what was asked for is outside the limits; the text says which.
	ErrInvalid = errors.New("invalid")

	// ErrTooMany: the owner has as many API tokens as one may have.
	ErrTooMany = errors.New("too many API tokens")

	// ErrRotating: somebody else is rotating the API token, or was a minute ago.
	ErrRotating = errors.New("API token is being rotated")

	// ErrBadAPIToken: the API token is no good, for one of the reasons below.
	ErrBadAPIToken = errors.New("API token refused")

	ErrMalformedAPIToken = fmt.Errorf("%w: malformed or mistyped", ErrBadAPIToken) // found without any look-up
	ErrUnknownAPIToken   = fmt.Errorf("%w: unknown", ErrBadAPIToken)               // no such id, or not its secret
	ErrExpiredAPIToken   = fmt.Errorf("%w: expired", ErrBadAPIToken)
	ErrRevokedAPIToken   = fmt.Errorf("%w: revoked", ErrBadAPIToken)
)

// swapAttempts bounds how often a change is tried again because somebody else changed the record first. Each round that
// fails is one in which another caller succeeded.
const swapAttempts = 100

// invalid is a text that says what is outside the limits.
type invalid string

func (e invalid) Error() string { return string(e) }

// Is makes it an ErrInvalid.
func (e invalid) Is(target error) bool { return target == ErrInvalid }

func invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }
