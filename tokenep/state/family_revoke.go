package state

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
)

const (
	// tombstoneLife is how long a family that was revoked before it started cannot start. The
	// request that would start it is running already; the day is for clocks that jump.
	tombstoneLife = 24 * time.Hour

	// endingLife is how long ending a family may take after the client that caused it has gone.
	endingLife = 10 * time.Second
)

// RevokeToken revokes the family of a refresh token of any generation (RFC 7009 §2.1), unless check
// returns an error. An error that Is ErrRefused means that there was nothing to revoke, which a
// client is not told (§2.2).
func (s Families) RevokeToken(ctx context.Context, token string, check func(Family) error) error {
	t, ok := parseRefreshToken(s.MAC, token)
	if !ok {
		return fmt.Errorf("%w refresh token", ErrMalformed)
	}
	stored, err := record.Load[storedFamily](ctx, s.Store, kindFamily, t.familyID())
	if err != nil {
		return unknown(kindFamily, err)
	}
	f := stored.Value
	if subtle.ConstantTimeCompare(f.Hash, t.secretHash()) != 1 {
		return fmt.Errorf("%w secret of family %s", ErrUnknown, f.ID)
	}
	if err := check(f.Family); err != nil || !f.Revoked.IsZero() {
		return err
	}
	return s.Revoke(ctx, f.ID)
}

// Revoke ends a family and its access tokens. A call that failed can be repeated: revoking a family
// that was revoked before does it all again. A family that has not started cannot start any more.
//
// The access tokens end first, so that nothing of a revoked family is good. Access tokens that are
// made between the two writes carry the same grant_id, and end as well.
func (s Families) Revoke(ctx context.Context, id string) error {
	if _, err := parseFamilyID(id); err != nil {
		return err
	}
	if err := s.Revocations.endGrant(ctx, id, time.Time{}, s.TokenLife); err != nil {
		return err
	}
	now := moment(s.Now)
	_, err := record.Upsert(ctx, s.Store, kindFamily, id, func(f *storedFamily, expires *time.Time) (bool, error) {
		if !f.Revoked.IsZero() {
			return false, nil
		}
		if f.ID == "" { // it has not started
			f.ID, *expires = id, now.Add(tombstoneLife)
		}
		f.Revoked = now
		return true, nil
	})
	return err
}

// endReused ends the family of a token that was used again after its grace.
func (s Families) endReused(ctx context.Context, id string, err error) error {
	if errors.Is(err, ErrReused) {
		return s.end(ctx, id, err)
	}
	return err
}

// end revokes a family because of what was presented, and returns why, or the error of the store.
// It does not end with the request: whoever presents something stolen could hang up.
func (s Families) end(ctx context.Context, id string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endingLife)
	defer cancel()
	if err := s.Revoke(ctx, id); err != nil {
		return fmt.Errorf("revoking family %s (%v): %w", id, why, err)
	}
	return why
}
