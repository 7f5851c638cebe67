package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Rotate replaces a token by a new one of the same name, owner, service, scope and expiry, and revokes the old one: it changes
// the secret and prolongs nothing. The two count as one. First the new one is made, then the old one ends, so that dying in
// between leaves the old one working; Rotate can then be called again, after a minute, and ends the new one that nobody saw.
//
// The error Is ErrBadAPIToken when the token is expired or revoked, ErrRotating while somebody else is at it, and
// store.ErrNotFound for an id that nobody has.
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
	if err := s.check(&next); err != nil {
		return "", APIToken{}, err
	}
	token, made, err = s.make(ctx, next, id)
	if err != nil {
		return "", APIToken{}, err
	}
	changed, err := s.revoke(ctx, id)
	if err != nil {
		return "", APIToken{}, err
	}
	if !changed {
		// Somebody revoked the old token meanwhile, and meant what has become of it too.
		return "", APIToken{}, errors.Join(ErrRevokedAPIToken, s.Revoke(ctx, made.ID))
	}
	return token, made, nil
}

// endSuccessor makes way for another rotation of a token: it ends what a rotation that died has left behind.
func (s APITokens) endSuccessor(ctx context.Context, owner *apiTokenOwner, id string, now time.Time) error {
	i := owner.successor(id)
	if i < 0 {
		return nil
	}
	e := &owner.Tokens[i]
	if !e.late(now) {
		return fmt.Errorf("%s: %w", id, ErrRotating)
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
