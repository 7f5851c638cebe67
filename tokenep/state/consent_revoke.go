package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// List returns up to limit (1 to store.MaxPage) records of consents, those of one person if subject
// is not empty, in the order of their ids. To go on, pass next as after; an empty next is the end.
func (s Consents) List(ctx context.Context, subject, after string, limit int) (consents []Consent, next string, err error) {
	prefix := ""
	if subject != "" {
		prefix = ofPerson(subject)
	}
	records, err := s.Store.List(ctx, kindConsent, prefix, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("listing consents: %w", err)
	}
	now := moment(s.Now)
	for _, r := range records {
		c, err := record.Decode[storedConsent](r)
		if err != nil {
			return nil, "", fmt.Errorf("consent %s: %w", r.ID, err)
		}
		if len(c.Allowed) > 0 && now.Before(r.Expires) {
			consents = append(consents, c.Consent)
		}
		next = r.ID
	}
	return consents, next, nil
}

// Revoke forgets what a person has allowed a client, of whatever registration, and ends all that
// came of it: codes, families of refresh tokens, and access tokens with their descendants. A call
// that failed can be repeated. The error Is store.ErrNotFound if there is nothing to revoke.
//
// What came of it ends first, and the record is emptied as it was when that was done: a code that
// is given at the same time is either ended as well, or refused by Repeat.
func (s Consents) Revoke(ctx context.Context, subject, clientID string) error {
	for range Attempts {
		stored, err := record.Load[storedConsent](ctx, s.Store, kindConsent, consentID(subject, clientID))
		if err != nil {
			return err
		}
		c := stored.Value
		if len(c.Allowed) == 0 && len(c.Grants) == 0 {
			return fmt.Errorf("the %s was revoked before: %w", kindConsent, store.ErrNotFound)
		}
		if err := s.endGrants(ctx, c.Grants); err != nil {
			return err
		}
		c.Allowed, c.Grants = nil, nil
		err = record.Swap(ctx, s.Store, stored.Record, c, moment(s.Now).Add(clockJump))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("revoking a %s: others changed it %d times: %w", kindConsent, Attempts, store.ErrConflict)
}

// RevokeAll is Revoke for all that a person has allowed.
func (s Consents) RevokeAll(ctx context.Context, subject string) error {
	for after := ""; ; {
		consents, next, err := s.List(ctx, subject, after, store.MaxPage)
		if err != nil || next == "" {
			return err
		}
		for _, c := range consents {
			if err := s.Revoke(ctx, subject, c.ClientID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		after = next
	}
}

func (s Consents) endGrants(ctx context.Context, grants []consentGrant) error {
	now := moment(s.Now)
	for _, g := range grants {
		if now.Before(g.Ends) {
			if err := s.Families.Revoke(ctx, g.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
