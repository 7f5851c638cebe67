package state

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// APIToken is what is known of a long-lived credential that a user made for a program, to be
// exchanged for access tokens (RFC 8693 §2.1). It does not have the token's text, which is shown
// once, when it is made or rolled. All times are whole seconds, in UTC.
type APIToken struct {
	ID      string       `json:"id"`
	Name    string       `json:"name,omitempty"`  // for people
	Note    string       `json:"note,omitempty"`  // likewise, and longer
	Owner   string       `json:"owner"`           // a user: sub of the access tokens
	Service string       `json:"service"`         // aud of the access tokens
	Scope   verify.Scope `json:"scope,omitempty"` // the most that it allows

	Created   time.Time `json:"created,omitzero"`
	CreatedBy string    `json:"created_by,omitempty"` // who made it, if that was not its owner
	NotBefore time.Time `json:"not_before,omitzero"`  // not good before; zero: at once
	Expires   time.Time `json:"expires,omitzero"`     // zero: see NoExpiry
	NoExpiry  bool      `json:"no_expiry,omitempty"`  // good until it is revoked
	Imported  bool      `json:"imported,omitempty"`   // another system has made it
	TokenType string    `json:"token_type,omitempty"` // as which it can be exchanged; empty: any

	// From where, and how often, it and the access tokens that come of it may be used. Each node
	// counts for itself.
	verify.Addresses
	Rate verify.Rate `json:"rate,omitzero"`

	// Quota is how often it may be exchanged, at all nodes together. The period begins with the
	// first exchange of it.
	Quota      verify.Rate `json:"quota,omitzero"`
	QuotaUsed  int         `json:"quota_used,omitempty"` // in the period that began last
	QuotaSince time.Time   `json:"quota_since,omitzero"` // when that was

	LastUsed    time.Time      `json:"last_used,omitzero"` // to the minute; zero: never
	LastAddress netip.Addr     `json:"last_address,omitzero"`
	Uses        int64          `json:"uses,omitempty"`       // exchanges, a minute late
	UsedFrom    []netip.Prefix `json:"used_from,omitempty"`  // where it was used lately
	Rolled      time.Time      `json:"rolled,omitzero"`      // its secret is from then on
	Generation  int            `json:"generation,omitempty"` // rolls without overlap
	OldUntil    time.Time      `json:"old_until,omitzero"`   // until when an earlier secret is good
	Revoked     time.Time      `json:"revoked,omitzero"`     // zero: not
	Reason      string         `json:"reason,omitempty"`     // why it was revoked
}

// GrantID is the grant_id of the access tokens that come of it: its id, with a number behind it
// when access tokens of earlier secrets were ended by a roll.
func (t *APIToken) GrantID() string { return grantOf(t.ID, t.Generation) }

// IsAPITokenGrant reports whether a grant_id is of an API token.
func IsAPITokenGrant(grantID string) bool {
	id, _, _ := strings.Cut(grantID, ".")
	return isBase62(id, idLength)
}

func grantOf(id string, generation int) string {
	if generation == 0 {
		return id
	}
	return id + "." + strconv.Itoa(generation)
}

// Expired reports whether the life of the token is over.
func (t *APIToken) Expired(now time.Time) bool { return !t.NoExpiry && !now.Before(t.Expires) }

// live reports whether the token is good at this time.
func (t *APIToken) live(now time.Time) error {
	switch {
	case !t.Revoked.IsZero():
		return ErrRevokedAPIToken
	case t.Expired(now):
		return ErrExpiredAPIToken
	case now.Before(t.NotBefore):
		return ErrEarlyAPIToken
	}
	return nil
}

// APITokens makes and checks API tokens. All fields are required, except those that say otherwise.
//
// A token is one record, which alone says whether the token is good. A second record, one for each
// owner, counts that owner's tokens (see apitoken_owner.go). An access token made from an API token
// has a grant_id that names the API token, by which Revoke ends it too.
type APITokens struct {
	Store       store.Store
	Revocations *Revocations
	Prefix      string               // of new tokens: [a-z][a-z0-9]{0,15}; others stay good
	MaxPerUser  int                  // live tokens of one owner; 0: MaxOwned, the maximum
	MaxAge      time.Duration        // the longest life of a new token
	AllowNever  bool                 // new tokens may have no end
	EndReused   bool                 // who uses an old secret that has ended ends the token
	TokenLife   func() time.Duration // the longest life of an access token
	Now         func() time.Time     // the clock

	// Rates counts the exchanges of tokens with a rate; nil: no token may have one.
	Rates *verify.Rates

	// Uses counts the uses between two writes of a record; nil: they are not counted.
	Uses *APITokenUses

	// Imports knows whether tokens of other systems were imported; nil: there are none. Patterns
	// say what their names are, where they have salted hashes, and Compare compares one with such a
	// hash, for a request from an address.
	Imports  *APITokenImports
	Patterns []TokenPattern
	Compare  func(ctx context.Context, from netip.Addr, hash, token []byte) (bool, error)

	// Event is told of what happens to tokens, after it has; nil: nobody is. It must return at
	// once.
	Event func(ctx context.Context, e APITokenEvent)

	// OwnerScope returns the scope that an owner may have at a service now: what is made has no
	// more, and what was made before is good for no more. Its error Is ErrNotAllowed when the owner
	// may have no token there; any other means that the answer is not known. nil: any scope, at any
	// service.
	OwnerScope func(ctx context.Context, owner, service string) (verify.Scope, error)
}

// DefaultAPITokenLife is the life of a token that is made without an expiry, if it may live so
// long.
const DefaultAPITokenLife = 90 * 24 * time.Hour

// Create makes a token for t.Owner at t.Service. It uses Name, Note, Owner, Service, Scope,
// CreatedBy, NotBefore, Expires (zero: DefaultAPITokenLife, unless NoExpiry is set), AllowFrom,
// DenyFrom, Rate and Quota of t. The text is returned here and nowhere else. The error Is
// ErrInvalid when one of them is outside its limits (a FieldError says which), ErrNotAllowed when
// the owner may not have such a token, and ErrTooMany when the owner has too many live tokens.
func (s APITokens) Create(ctx context.Context, t APIToken) (token string, made APIToken, err error) {
	made = s.complete(t)
	if err := s.validate(&made); err != nil {
		return "", APIToken{}, err
	}
	if err := s.allowed(ctx, &made); err != nil {
		return "", APIToken{}, err
	}
	// First the token is counted, then it is made: a crash in between leaves an id that is counted
	// and names no token, which reserve gives up after a while.
	made.ID = randomBase62(idLength)
	if err := s.reserve(ctx, &made); err != nil {
		return "", APIToken{}, err
	}
	token = formatAPIToken(s.Prefix, made.ID, GenerateSecret())
	stored := storedAPIToken{APIToken: made, Hash: record.Hash(token)}
	if !made.NoExpiry {
		stored.Told = reminder(made.Expires.Sub(made.Created)) // no reminder of what was asked for
	}
	if err := record.Insert(ctx, s.Store, kindAPIToken, made.ID, stored, stored.kept()); err != nil {
		return "", APIToken{}, err
	}
	s.tell(ctx, APITokenEvent{What: APITokenCreated, Token: made})
	return token, made, nil
}

// Validate returns what is wrong with the fields of a token that is to be made, without making it.
// What the owner may have it does not look at.
func (s APITokens) Validate(t APIToken) error {
	made := s.complete(t)
	return s.validate(&made)
}

// complete returns the token that t asks for.
func (s APITokens) complete(t APIToken) APIToken {
	now := s.second()
	made := APIToken{
		Name: t.Name, Note: t.Note, Owner: t.Owner, Service: t.Service, Scope: t.Scope, Created: now, CreatedBy: t.CreatedBy,
		NoExpiry: t.NoExpiry, Addresses: t.Addresses, Rate: t.Rate, Quota: t.Quota,
	}
	if !t.NotBefore.IsZero() {
		made.NotBefore = t.NotBefore.UTC().Truncate(time.Second)
	}
	switch {
	case !t.Expires.IsZero():
		made.Expires = t.Expires.UTC().Truncate(time.Second)
	case !t.NoExpiry:
		made.Expires = now.Add(min(DefaultAPITokenLife, s.MaxAge))
	}
	return made
}

// Load returns a token by its id, or an error that Is store.ErrNotFound. Expired and revoked ones
// are returned as well.
func (s APITokens) Load(ctx context.Context, id string) (APIToken, error) {
	t, err := s.load(ctx, id)
	if err == nil && t.Value.abandoned() {
		err = noAPIToken(id, store.ErrNotFound)
	}
	if err != nil {
		return APIToken{}, err
	}
	return t.Value.APIToken, nil
}

// List returns up to limit (1 to store.MaxPage) tokens of an owner, or of everybody if owner is
// empty, whose ids are greater than after, ordered by id. To go on, pass the last id as after; an
// empty page is the end. Revoked and expired tokens are listed for as long as they are kept: an
// owner's list forgets a revoked one when there is no more room.
func (s APITokens) List(ctx context.Context, owner, after string, limit int) ([]APIToken, error) {
	if err := store.CheckList(kindAPIToken, "", after, limit); err != nil {
		return nil, err
	}
	if owner != "" {
		return s.listOwned(ctx, owner, after, limit)
	}
	for {
		records, err := s.Store.List(ctx, kindAPIToken, "", after, limit)
		if err != nil || len(records) == 0 {
			return nil, err
		}
		var page []APIToken
		for _, r := range records {
			t, err := record.Decode[storedAPIToken](r)
			if err != nil {
				return nil, noAPIToken(r.ID, err)
			}
			if !t.abandoned() {
				page = append(page, t.APIToken)
			}
		}
		if len(page) > 0 {
			return page, nil
		}
		after = records[len(records)-1].ID
	}
}

// allowed holds a token that is to be made to what its owner may have.
func (s APITokens) allowed(ctx context.Context, t *APIToken) error {
	scope, err := s.ownerScope(ctx, t)
	switch {
	case errors.Is(err, ErrNotAllowed):
		return invalidAs(ErrNotAllowed, "%q may have no API token for %q", t.Owner, t.Service)
	case err != nil:
		return err
	case !scope.Includes(t.Scope):
		return invalidAs(ErrNotAllowed, "%q may have an API token for %q with the scope %q at most", t.Owner, t.Service, scope)
	}
	return nil
}

// ownerScope returns what of t.Scope its owner may have now.
func (s APITokens) ownerScope(ctx context.Context, t *APIToken) (verify.Scope, error) {
	if s.OwnerScope == nil {
		return t.Scope, nil
	}
	return s.OwnerScope(ctx, t.Owner, t.Service)
}

// second is the time in whole seconds, as the records of API tokens have it.
func (s APITokens) second() time.Time { return s.Now().UTC().Truncate(time.Second) }
