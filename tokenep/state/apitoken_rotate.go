package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// rotationLimit is how long after its begin a rotation may still revoke the old token. After
// reservationLife others may undo it; the time between allows for clocks that differ.
const rotationLimit = reservationLife / 2

// Rotate replaces a token by a new one of the same name, owner, service, scope and expiry, and
// revokes the old one with its access tokens: it changes the secret and prolongs nothing. The two
// count as one.
//
// First the new one is made, and its last write revokes the old one. Dying before that leaves the
// old one working, and a new one that nobody has seen; it is ended by the next Rotate, which has to
// wait for a minute, or when its place is needed.
//
// The error Is ErrBadAPIToken when the token is expired or revoked, ErrRotating while somebody else
// is at it, and store.ErrNotFound for an id that nobody has.
func (s APITokens) Rotate(ctx context.Context, id string) (token string, made APIToken, err error) {
	old, err := s.Load(ctx, id)
	if err != nil {
		return "", APIToken{}, err
	}
	now := s.second()
	if err := old.live(now); err != nil {
		return "", APIToken{}, err
	}
	next := APIToken{
		Name: old.Name, Owner: old.Owner, Service: old.Service, Scope: old.Scope,
		Created: now, Expires: old.Expires,
	}
	if latest := now.Add(s.MaxAge); next.Expires.After(latest) {
		next.Expires = latest
	}
	if err := s.validate(&next); err != nil {
		return "", APIToken{}, err
	}
	token, made, err = s.write(ctx, next, id)
	if err != nil {
		return "", APIToken{}, err
	}
	if err := s.replace(ctx, id, made); err != nil {
		return "", APIToken{}, err
	}
	return token, made, nil
}

// replace revokes the old token in favour of the one just made, or else the one just made.
func (s APITokens) replace(ctx context.Context, id string, made APIToken) error {
	// All access tokens that can still be had for the old one are issued before that time. If the
	// old one lives on after all, what is issued for it later is good.
	if err := s.revokeAccessTokens(ctx, id, made.Created.Add(reservationLife)); err != nil {
		return err
	}
	changed, err := s.markRevoked(ctx, id, func() error {
		// Negative is the age after the clock was set back, and then nobody knows what it is.
		if age := s.Now().Sub(made.Created); max(age, -age) > rotationLimit {
			return fmt.Errorf("%w: %s, but it took too long; try again in a minute", ErrRotating, id)
		}
		return nil
	})
	switch {
	case changed:
		// It is gone for good, and so may be what a node whose clock is ahead has dated later. If
		// this fails, what was revoked above is revoked.
		_ = s.revokeAccessTokens(ctx, id, time.Time{})
	case err == nil:
		err = ErrRevokedAPIToken // by somebody else, who meant what has become of it too
	}
	if errors.Is(err, ErrRevokedAPIToken) || errors.Is(err, ErrRotating) {
		return errors.Join(err, s.Revoke(ctx, made.ID))
	}
	return err
}

// makeWay lets a token be rotated again, if nobody is at it.
func (s APITokens) makeWay(ctx context.Context, owner *apiTokenOwner, id string, now time.Time) error {
	i := owner.successor(id)
	if i < 0 {
		return nil
	}
	if !owner.Tokens[i].late(now) {
		return fmt.Errorf("%w: %s; try again in a minute", ErrRotating, id)
	}
	return s.undo(ctx, &owner.Tokens[i], now)
}

// undo ends the successor of a token whose rotation died, unless the rotation had come to its end.
// Whoever was rotating may only be slow: the old token is written as it is, so that a Swap that was
// decided on before fails, and the decision, taken again, is that it is too late.
func (s APITokens) undo(ctx context.Context, e *apiOwned, now time.Time) error {
	lives, err := s.change(ctx, e.Replaces, func(*storedAPIToken) error { return nil })
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return err
	}
	if !lives {
		e.Replaces = ""
		return nil
	}
	gone, err := s.giveUp(ctx, *e, now)
	if err == nil && !gone {
		err = s.Revoke(ctx, e.ID)
	}
	if errors.Is(err, store.ErrNotFound) { // somebody else gave it up
		err = nil
	}
	e.Dead = err == nil
	return err
}
