package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// rotationLimit is how long after its beginning a rotation may still revoke the old token. After
// reservationLife others may undo the rotation; the time between is for clocks that differ.
const rotationLimit = reservationLife / 2

// Rotate replaces a token by a new one of the same name, owner, service, scope and expiry, and
// revokes the old one with its access tokens: the secret changes, and nothing is prolonged. While
// there are two, they count as one.
//
// First the new one is made; the last write revokes the old one. A crash before that leaves the old
// one good, and a new one that nobody has seen. That one is revoked by the next Rotate, after a
// minute, or when its place is needed.
//
// The error Is ErrBadAPIToken when the token is expired or revoked, ErrRotating while somebody else
// rotates it, and store.ErrNotFound for an unknown id.
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

// replace revokes the old token; if it cannot, it revokes the one just made.
func (s APITokens) replace(ctx context.Context, id string, made APIToken) error {
	// All access tokens that the old one can still get are issued before that time. If the old one
	// stays good after all, those that it gets later are good.
	if err := s.revokeAccessTokens(ctx, id, made.Created.Add(reservationLife)); err != nil {
		return err
	}
	changed, err := s.markRevoked(ctx, id, func() error {
		// A negative age means that the clock was set back: then the true age is unknown.
		if age := s.Now().Sub(made.Created); max(age, -age) > rotationLimit {
			return fmt.Errorf("%w: %s: it took too long; try again in a minute", ErrRotating, id)
		}
		return nil
	})
	switch {
	case changed:
		// Now without a date, for access tokens that a node whose clock is ahead has dated later.
		// If this fails, those that were revoked above are.
		_ = s.revokeAccessTokens(ctx, id, time.Time{})
	case err == nil:
		err = ErrRevokedAPIToken // by somebody else, who meant its successor too
	}
	if errors.Is(err, ErrRevokedAPIToken) || errors.Is(err, ErrRotating) {
		if late := s.Revoke(ctx, made.ID); late != nil {
			return fmt.Errorf("%w; and the new one is not revoked: %w", err, late)
		}
	}
	return err
}

// makeWay lets a token be rotated again, unless somebody is rotating it.
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

// undo revokes the successor of a token whose rotation was interrupted, unless the old token is
// revoked. Whoever was rotating may only be slow: undo writes the old token unchanged, so that
// their Swap conflicts, and they find that it is too late.
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
