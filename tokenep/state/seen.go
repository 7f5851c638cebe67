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

const kindSeen = "seen" // id: the SHA-256 of where the id is unique, and of the id

// MaxSeenLife is how far ahead the exp of something that is good for one use may lie: what is kept
// is kept for so long, and it is the client that says so.
const MaxSeenLife = 24 * time.Hour

// storedSeen is the record of an id.
type storedSeen struct {
	Until time.Time `json:"until"` // what it belongs to is good until then, leeway included
}

// Seen remembers the ids of what is good for one use: jti of client assertions (RFC 7523 §3, OpenID
// Connect Core §9), of proofs (RFC 9449 §11.1), of subject tokens.
type Seen struct {
	Store store.Store
	Now   func() time.Time // the clock
}

// Add remembers an id until exp. Of all who add it, before that, one succeeds; the others get
// ErrSpent. Ids are compared within their space, such as the issuer and the kind of token. The
// error Is ErrExpired when exp is longer ago than any leeway, and ErrInvalid when it is more than
// MaxSeenLife ahead.
func (s Seen) Add(ctx context.Context, space, id string, exp time.Time) error {
	now := moment(s.Now)
	until := exp.UTC().Add(verify.MaxLeeway)
	switch {
	case id == "":
		return invalidf("an empty id")
	case !now.Before(until):
		return fmt.Errorf("%w id", ErrExpired)
	case exp.After(now.Add(MaxSeenLife)):
		return invalidf("exp is more than %v ahead", MaxSeenLife)
	}
	key := record.HashID(fmt.Sprintf("%d %s%s", len(space), space, id)) // with the length no two pairs are one text
	for range Attempts {
		err := record.Insert(ctx, s.Store, kindSeen, key, storedSeen{until}, until.Add(clockJump))
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		// It was seen; or what it belonged to has expired, and the engine has not dropped it.
		_, err = record.Change(ctx, s.Store, kindSeen, key, func(seen *storedSeen, expires *time.Time) (bool, error) {
			if now.Before(seen.Until) {
				return false, fmt.Errorf("%w: id", ErrSpent)
			}
			seen.Until, *expires = until, until.Add(clockJump)
			return true, nil
		})
		if !errors.Is(err, store.ErrNotFound) { // else it was dropped this moment
			return err
		}
	}
	return fmt.Errorf("remembering an id: %w", store.ErrConflict)
}
