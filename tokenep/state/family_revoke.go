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
// made between the two writes carry the same grant_id, and end as well. Between them no refresh
// token is good either, on any node that knows of the first one: see Check.
func (s Families) Revoke(ctx context.Context, id string) error {
	if _, err := parseFamilyID(id); err != nil {
		return err
	}
	if err := s.Revocations.endGrant(ctx, id, s.TokenLife); err != nil {
		return err
	}
	_, err := record.Upsert(ctx, s.Store, kindFamily, id, s.end(id))
	return err
}

// end makes a family one that is revoked.
func (s Families) end(id string) func(f *storedFamily, expires *time.Time) (bool, error) {
	now := moment(s.Now)
	return func(f *storedFamily, expires *time.Time) (bool, error) {
		if !f.Revoked.IsZero() {
			return false, nil
		}
		// One that has not started does not start any more.
		if end := now.Add(tombstoneLife); len(f.Hash) == 0 && expires.Before(end) {
			f.ID, *expires = id, end
		}
		f.Revoked = now
		return true, nil
	}
}

// Finish revokes the families whose end was interrupted, by the death of a process or an outage of
// the store, as far as the log says so: it forgets in time, and then nobody would know. It is for
// the start of a process, when the log has been read.
func (s Families) Finish(ctx context.Context) error {
	return s.Revocations.finishEnds(func(id string) error {
		if _, err := parseFamilyID(id); err != nil {
			return nil // of an API token
		}
		_, err := record.Change(ctx, s.Store, kindFamily, id, s.end(id))
		return err
	})
}

// errInterrupted is of a family whose end has begun, and did not come to its record: the process
// died, or the store was away.
var errInterrupted = fmt.Errorf("%w family: its access tokens had ended before", ErrRevoked)

// endReused ends the family of a token that was used again after its grace, and one whose end was
// interrupted.
func (s Families) endReused(ctx context.Context, id string, err error) error {
	if errors.Is(err, ErrReused) || errors.Is(err, errInterrupted) {
		return s.endBecause(ctx, id, err)
	}
	return err
}

// endBecause revokes a family because of what was presented, and returns why, or the error of the
// store. It does not end with the request: whoever presents something stolen could hang up.
func (s Families) endBecause(ctx context.Context, id string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endingLife)
	defer cancel()
	if err := s.Revoke(ctx, id); err != nil {
		return fmt.Errorf("revoking family %s (%v): %w", id, why, err)
	}
	return why
}
