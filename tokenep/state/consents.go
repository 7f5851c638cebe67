package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindConsent = "consent" // id: the SHA-256 of the person's name, a dot, that of the client_id

// Limits of one record.
const (
	maxAllowed = 8   // answers of a person that are remembered; then the oldest is forgotten
	maxGrants  = 200 // authorizations that may still be good; then the person is asked again

	// consentLife is how long after its last use a consent is remembered, so that the records of
	// people who never come back do not stay for ever.
	consentLife = 365 * 24 * time.Hour
)

// Consent is what a person has allowed a client (RFC 6749 §10.2), and has not to be asked again.
// All times are whole milliseconds, in UTC.
type Consent struct {
	ID             string    `json:"id"` // where List goes on
	Subject        string    `json:"sub"`
	ClientID       string    `json:"client_id"`
	RegistrationID string    `json:"registration_id,omitempty"` // of the client
	Allowed        []Allowed `json:"allowed,omitempty"`         // none: it was revoked
	Created        time.Time `json:"created,omitzero"`
	Used           time.Time `json:"used,omitzero"` // when the client was last given a code
}

// Allowed is one answer of a person: this scope at each of these resources (RFC 8707), or where
// there is none, at those that the server has for all.
type Allowed struct {
	Scope    verify.Scope `json:"scope,omitempty"`
	Audience []string     `json:"aud,omitempty"`
}

// storedConsent is the record of a consent, and what came of it.
type storedConsent struct {
	Consent
	Grants []consentGrant `json:"grants,omitempty"`
}

// consentGrant is a code that was given, by its family, and the last time at which anything that
// came of it can be good.
type consentGrant struct {
	ID   string    `json:"id"`
	Ends time.Time `json:"ends,omitzero"`
	Code time.Time `json:"code,omitzero"` // end of the code, if a family is started with it
}

// Includes reports whether all that is asked for was allowed: each scope at each resource. What was
// allowed at one resource is not allowed at another.
func (c Consent) Includes(asked Allowed) bool {
	targets := asked.Audience
	if len(targets) == 0 {
		targets = []string{""} // those of the server
	}
	return !slices.ContainsFunc(targets, func(target string) bool {
		var scope verify.Scope
		known := false
		for _, a := range c.Allowed {
			if slices.Contains(a.Audience, target) || target == "" && len(a.Audience) == 0 {
				known, scope = true, append(scope, a.Scope...)
			}
		}
		return !known || !scope.Includes(asked.Scope)
	})
}

// Consents remembers what people have allowed: one record for each person and client.
//
// It also lists the codes that were given, by their families, for as long as anything that came of
// them can be good, so that revoking a consent ends exactly that: codes, refresh tokens and access
// tokens. The families are listed, and not found by subject and client, because a family is ended
// by its own record: no other node has to hear of it in time.
//
// Store, Families and Now are required.
type Consents struct {
	Store    store.Store
	Families Families         // of the codes
	Now      func() time.Time // the clock
}

func consentID(subject, clientID string) string { return ofPerson(subject) + record.HashID(clientID) }

// ofPerson begins the ids of the consents of a person.
func ofPerson(subject string) string { return record.HashID(subject) + "." }

// Find returns what a person has allowed a client as it is registered now: one that was removed
// does not come back by its name. The error Is ErrUnknown if that is nothing, or if there are so
// many authorizations that the person has to be asked before there is one more: whoever can make a
// browser load pages should not be able to end anything by that.
func (s Consents) Find(ctx context.Context, subject, clientID, registrationID string) (Consent, error) {
	stored, err := record.Load[storedConsent](ctx, s.Store, kindConsent, consentID(subject, clientID))
	if err != nil {
		return Consent{}, unknown(kindConsent, err)
	}
	c := stored.Value.Consent
	if len(c.Allowed) == 0 || c.RegistrationID != registrationID || len(stored.Value.live(moment(s.Now))) >= maxGrants {
		return Consent{}, fmt.Errorf("%w %s", ErrUnknown, kindConsent)
	}
	return c, nil
}

// Allow remembers that a person has allowed what a code, which was just made, stands for. refreshes
// says that the client may get refresh tokens for it.
func (s Consents) Allow(ctx context.Context, c Code, refreshes bool) error {
	return s.note(ctx, c, refreshes, true, func(stored *storedConsent) error {
		if stored.RegistrationID != c.RegistrationID {
			stored.Allowed = nil
		}
		if len(stored.Allowed) == 0 {
			stored.Consent = Consent{
				ID: consentID(c.Subject, c.ClientID), Subject: c.Subject, ClientID: c.ClientID, RegistrationID: c.RegistrationID, Created: c.Created,
			}
		}
		stored.allow(Allowed{c.Scope, c.Audience})
		return nil
	})
}

// Repeat notes a code that was given because of what is remembered. The error Is ErrRevoked if it
// is not remembered any more: then the code must not be given.
func (s Consents) Repeat(ctx context.Context, c Code, refreshes bool) error {
	return s.note(ctx, c, refreshes, false, func(stored *storedConsent) error {
		if stored.RegistrationID != c.RegistrationID || !stored.Includes(Allowed{c.Scope, c.Audience}) {
			return fmt.Errorf("%w consent", ErrRevoked)
		}
		return nil
	})
}

// allow adds an answer, in the place of those that it includes.
func (c *storedConsent) allow(a Allowed) {
	if c.Includes(a) {
		return
	}
	only := Consent{Allowed: []Allowed{a}}
	c.Allowed = append(slices.DeleteFunc(c.Allowed, only.Includes), a)
	c.Allowed = c.Allowed[max(0, len(c.Allowed)-maxAllowed):]
}

// live returns the authorizations of which something may still be good.
func (c *storedConsent) live(now time.Time) []consentGrant {
	return slices.DeleteFunc(slices.Clone(c.Grants), func(g consentGrant) bool { return !now.Before(g.Ends) })
}

// note adds the code to the record, after edit has looked at it. If there are too many and the
// person was asked, room makes some, so that none is good that is not listed.
func (s Consents) note(ctx context.Context, c Code, refreshes, asked bool, edit func(*storedConsent) error) error {
	now := moment(s.Now)
	added := consentGrant{ID: c.Family, Ends: s.end(c, refreshes)}
	if refreshes {
		added.Code = c.Expires
	}
	var gone []string
	for {
		var full []consentGrant
		_, err := record.Upsert(ctx, s.Store, kindConsent, consentID(c.Subject, c.ClientID), func(stored *storedConsent, expires *time.Time) (bool, error) {
			full = nil
			if err := edit(stored); err != nil {
				return false, err
			}
			stored.Grants = slices.DeleteFunc(stored.live(now), func(g consentGrant) bool { return slices.Contains(gone, g.ID) })
			if len(stored.Grants) >= maxGrants {
				full = stored.Grants
				return false, fmt.Errorf("%w: too many authorizations", ErrRevoked)
			}
			stored.Grants = append(stored.Grants, added)
			stored.Used = c.Created
			if *expires = now.Add(consentLife); added.Ends.After(*expires) {
				*expires = added.Ends
			}
			return true, nil
		})
		if full == nil || !asked {
			return err
		}
		more, err := s.room(ctx, full, now)
		if err != nil {
			return err
		}
		gone = append(gone, more...)
	}
}

// room returns authorizations that need not be listed any more: those whose code was never used, or
// else, one that it has ended, which is the oldest.
func (s Consents) room(ctx context.Context, grants []consentGrant, now time.Time) (gone []string, err error) {
	for _, g := range grants {
		if g.Code.IsZero() || now.Before(g.Code.Add(MaxCodeLife)) {
			continue // something may come of it yet, or has, without a family
		}
		f, err := record.Load[storedFamily](ctx, s.Store, kindFamily, g.ID)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && len(f.Value.Hash) == 0:
			gone = append(gone, g.ID)
		case err != nil:
			return nil, err
		}
	}
	if len(gone) > 0 {
		return gone, nil
	}
	oldest := grants[0].ID
	return []string{oldest}, s.Families.Revoke(ctx, oldest)
}

// end is when all that can come of a code is over.
func (s Consents) end(c Code, refreshes bool) time.Time {
	life := RevocationSlack + clockJump
	if s.Families.TokenLife != nil {
		life += s.Families.TokenLife()
	}
	if refreshes {
		life += orDefault(s.Families.Absolute, DefaultAbsolute)
	}
	return c.Expires.Add(life)
}
