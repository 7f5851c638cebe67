package state

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// APIToken is what is known of a long-lived credential that a user made for a program, to be
// exchanged for access tokens (RFC 8693 §2.1). It does not have the token's text, which is shown
// once, when it is made. All times are whole seconds, in UTC.
type APIToken struct {
	ID       string       `json:"id"`
	Name     string       `json:"name,omitempty"`  // for people
	Owner    string       `json:"owner"`           // a user: sub of the access tokens
	Service  string       `json:"service"`         // aud of the access tokens
	Scope    verify.Scope `json:"scope,omitempty"` // the most that it allows
	Created  time.Time    `json:"created,omitzero"`
	Expires  time.Time    `json:"expires,omitzero"`
	LastUsed time.Time    `json:"last_used,omitzero"` // to the minute; zero: never
	Revoked  time.Time    `json:"revoked,omitzero"`   // zero: not
}

// live reports whether the token is good at this time.
func (t *APIToken) live(now time.Time) error {
	switch {
	case !t.Revoked.IsZero():
		return ErrRevokedAPIToken
	case !now.Before(t.Expires):
		return ErrExpiredAPIToken
	}
	return nil
}

// APITokens makes and checks API tokens. All fields are required, except MaxPerUser.
//
// A token is one record, which alone says whether the token is good. A second record, one for each
// owner, counts that owner's tokens (see apitoken_owner.go). An access token made from an API token
// has the API token's id as grant_id, by which Revoke ends it too.
type APITokens struct {
	Store       store.Store
	Revocations *Revocations
	Prefix      string               // of new tokens: [a-z][a-z0-9]{0,15}; others stay good
	MaxPerUser  int                  // live tokens of one owner; 0: MaxOwned, the maximum
	MaxAge      time.Duration        // the longest life of a new token
	TokenLife   func() time.Duration // the longest life of an access token
	Now         func() time.Time     // the clock
}

// lastUsedEvery is how often Use writes, at most.
const lastUsedEvery = time.Minute

// Create makes a token for t.Owner at t.Service. It uses Name, Owner, Service, Scope and Expires of
// t (zero: as late as possible). The text is returned here and nowhere else. The error Is
// ErrInvalid when one of them is outside its limits, and ErrTooMany when the owner has too many
// live tokens.
func (s APITokens) Create(ctx context.Context, t APIToken) (token string, made APIToken, err error) {
	now := s.second()
	made = APIToken{Name: t.Name, Owner: t.Owner, Service: t.Service, Scope: t.Scope, Created: now}
	made.Expires = t.Expires.UTC().Truncate(time.Second)
	if t.Expires.IsZero() {
		made.Expires = now.Add(s.MaxAge)
	}
	if err := s.validate(&made); err != nil {
		return "", APIToken{}, err
	}
	return s.write(ctx, made, "")
}

// write makes a token, which replaces another one if replaces is set. First the token is counted,
// then it is made: a crash in between leaves an id that is counted and names no token, which
// reserve gives up after a while.
func (s APITokens) write(ctx context.Context, t APIToken, replaces string) (string, APIToken, error) {
	t.ID = randomBase62(idLength)
	if err := s.reserve(ctx, t, replaces); err != nil {
		return "", APIToken{}, err
	}
	token := formatAPIToken(s.Prefix, t.ID, GenerateSecret())
	made := storedAPIToken{APIToken: t, Hash: record.Hash(token)}
	if err := record.Insert(ctx, s.Store, kindAPIToken, t.ID, made, t.Expires); err != nil {
		return "", APIToken{}, err
	}
	return token, t, nil
}

// Check says what a token is good for, and changes nothing. An error that Is ErrBadAPIToken says
// why it is not good; any other means that the answer is not known. A typo costs no look-up.
func (s APITokens) Check(ctx context.Context, token string) (APIToken, Version, error) {
	_, id, _, ok := parseAPIToken(token)
	if !ok {
		return APIToken{}, Version{}, ErrMalformedAPIToken
	}
	t, err := s.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return APIToken{}, Version{}, ErrUnknownAPIToken
	}
	if err != nil {
		return APIToken{}, Version{}, err
	}
	// The hash is of the whole token, so that a token is good with its own prefix only, although
	// any prefix parses.
	if subtle.ConstantTimeCompare(record.Hash(token), t.Value.Hash) != 1 {
		return APIToken{}, Version{}, ErrUnknownAPIToken
	}
	if err := t.Value.live(s.second()); err != nil {
		return APIToken{}, Version{}, err
	}
	if s.Revocations.endsGrant(t.Value.ID) { // Revoke was interrupted
		return APIToken{}, Version{}, ErrRevokedAPIToken
	}
	return t.Value.APIToken, Version{t}, nil
}

// Use notes that a token that Check has allowed was used, at most once a minute: a write for each
// use would make every exchange wait for a disk. It is for people to look at, and so there is no
// error: a conflict is another use, or a revocation that came after the Check.
func (s APITokens) Use(ctx context.Context, v Version) {
	t, ok := v.of.(*record.Stored[storedAPIToken])
	now := s.second()
	if !ok || now.Sub(t.Value.LastUsed) < lastUsedEvery {
		return
	}
	used := t.Value
	used.LastUsed = now
	_ = record.Swap(ctx, s.Store, t.Record, used, t.Expires)
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

// Revoke ends a token and the access tokens made from it. A call that failed can be repeated:
// revoking a token that was revoked before does it all again. The error Is store.ErrNotFound for an
// unknown id.
//
// The access tokens end first, so that nothing of a token that is listed as revoked is good. Access
// tokens that are made between the two writes carry the same grant_id, and end as well. The token
// of a call that was interrupted is listed as good, but is not, and Finish revokes it.
func (s APITokens) Revoke(ctx context.Context, id string) error {
	if _, err := s.Load(ctx, id); err != nil {
		return err
	}
	if err := s.revokeAccessTokens(ctx, id, time.Time{}); err != nil {
		return err
	}
	_, err := s.markRevoked(ctx, id, nil)
	return err
}

// Finish revokes the tokens whose revocation was interrupted: see Families.Finish.
func (s APITokens) Finish(ctx context.Context) error {
	return s.Revocations.finishEnds(func(id string) error {
		if !isBase62(id, idLength) {
			return nil // of a family
		}
		_, err := s.markRevoked(ctx, id, nil)
		return err
	})
}

// revokeAccessTokens ends the access tokens made from a token; with before, only those that are
// issued until then.
func (s APITokens) revokeAccessTokens(ctx context.Context, id string, before time.Time) error {
	return s.Revocations.endGrant(ctx, id, before, s.TokenLife)
}

// markRevoked reports whether it was this call that revoked the token. The check runs on exactly
// the version that is replaced.
func (s APITokens) markRevoked(ctx context.Context, id string, check func() error) (changed bool, err error) {
	return s.change(ctx, id, func(t *storedAPIToken) error {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		t.Revoked = s.second()
		return nil
	})
}

// change edits the record of a token, unless the token is revoked, and reports whether it did.
func (s APITokens) change(ctx context.Context, id string, edit func(*storedAPIToken) error) (bool, error) {
	changed := false
	_, err := record.Change(ctx, s.Store, kindAPIToken, id, func(t *storedAPIToken, _ *time.Time) (write bool, err error) {
		changed = false
		if !t.Revoked.IsZero() {
			return false, nil
		}
		if err := edit(t); err != nil {
			return false, err
		}
		changed = true
		return true, nil
	})
	if err != nil {
		return false, noAPIToken(id, err)
	}
	return changed, nil
}

// second is the time in whole seconds, as the records of API tokens have it.
func (s APITokens) second() time.Time { return s.Now().UTC().Truncate(time.Second) }
