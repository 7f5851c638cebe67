package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindSeen = "seen" // id: the SHA-256 of a space and an id

// MaxSeenLife is how far ahead exp may be. The client chooses it, and the record is kept for as
// long.
const MaxSeenLife = 24 * time.Hour

// storedSeen is the record of an id.
type storedSeen struct {
	Until time.Time `json:"until"` // when its owner expires, with leeway
}

// Seen remembers ids of what is good for one use: the jti of client assertions (RFC 7523 §3, OpenID
// Connect Core §9), of proofs (RFC 9449 §11.1) and of subject tokens.
type Seen struct {
	Store store.Store
	Now   func() time.Time // the clock
}

// Add remembers an id until exp. Of all calls with one id before that, one succeeds, and the others
// return ErrSpent. An id is unique within its space, such as an issuer and a kind of token. The
// error Is ErrExpired when exp is longer ago than any leeway, and ErrInvalid when it is more than
// MaxSeenLife ahead.
func (s Seen) Add(ctx context.Context, space, id string, exp time.Time) error {
	now := moment(s.Now)
	until := exp.UTC().Add(verify.MaxLeeway)
	switch {
	case id == "":
		return invalidf("the id must not be empty")
	case !now.Before(until):
		return fmt.Errorf("%w id", ErrExpired)
	case exp.After(now.Add(MaxSeenLife)):
		return invalidf("exp must be at most %v ahead", MaxSeenLife)
	}
	key := seenKey(space, id)
	for range Attempts {
		err := record.Insert(ctx, s.Store, kindSeen, key, storedSeen{until}, until.Add(clockJump))
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		// It was seen; or its owner has expired, and the engine has not dropped the record yet.
		_, err = record.Change(ctx, s.Store, kindSeen, key, func(seen *storedSeen, expires *time.Time) (bool, error) {
			if now.Before(seen.Until) {
				return false, fmt.Errorf("%w: id", ErrSpent)
			}
			seen.Until, *expires = until, until.Add(clockJump)
			return true, nil
		})
		if !errors.Is(err, store.ErrNotFound) { // else the engine has just dropped it
			return err
		}
	}
	return fmt.Errorf("remembering an id: %w", store.ErrConflict)
}

// Has reports whether an id is remembered, and changes nothing: nothing keeps it from being added
// right after.
func (s Seen) Has(ctx context.Context, space, id string) (bool, error) {
	seen, err := record.Load[storedSeen](ctx, s.Store, kindSeen, seenKey(space, id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && moment(s.Now).Before(seen.Value.Until), err
}

// Forget takes back an Add: the id was of use for nothing.
func (s Seen) Forget(ctx context.Context, space, id string) error {
	return s.Store.Delete(ctx, kindSeen, seenKey(space, id))
}

// seenKey returns the id of a record. With the length, two different pairs are never one text.
func seenKey(space, id string) string {
	return record.HashID(fmt.Sprintf("%d %s%s", len(space), space, id))
}
