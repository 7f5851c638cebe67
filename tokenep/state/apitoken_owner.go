package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// kindAPITokenOwner has the hash of an owner's name as id, and expires with the last of the owner's
// tokens. The record holds their ids, and each new token begins with a Swap of it: so the maximum
// is exact, although others make tokens at the same time. The record may be out of date, as a token
// expires, or is revoked, without a write here; so when there is no more room, the tokens
// themselves are looked at.
const kindAPITokenOwner = "api_token_owner"

// MaxOwned is the maximum of live tokens of one owner, unless a lower one is configured.
const MaxOwned = 500

// maxEntries is how many entries a record has at most: MaxOwned, and some that are dead.
const maxEntries = MaxOwned + 100

// reservationLife is how long making a token may take. If the token of an id does not exist after
// that, making it has failed.
const reservationLife = time.Minute

// keptAbandoned is how long it is remembered that making a token without an end has failed.
const keptAbandoned = 365 * 24 * time.Hour

// apiTokenOwner is the record of an owner.
type apiTokenOwner struct {
	Owner  string     `json:"owner"`
	Tokens []apiOwned `json:"tokens"`
}

type apiOwned struct {
	ID      string `json:"id"`
	Made    int64  `json:"made"`           // Unix time
	Expires int64  `json:"expires"`        // Unix time; 0: never
	Dead    bool   `json:"dead,omitempty"` // known to be revoked; kept to be listed
}

// counted is how many tokens count: those that are not known to be dead.
func (o *apiTokenOwner) counted() int {
	n := 0
	for _, e := range o.Tokens {
		if !e.Dead {
			n++
		}
	}
	return n
}

// expires is when the last of the tokens does; zero: never.
func (o *apiTokenOwner) expires() time.Time {
	last := int64(0)
	for _, e := range o.Tokens {
		if e.Expires == 0 {
			return time.Time{}
		}
		last = max(last, e.Expires)
	}
	return time.Unix(last, 0)
}

// over reports whether the token has expired.
func (e apiOwned) over(now time.Time) bool { return e.Expires != 0 && e.Expires <= now.Unix() }

// reserve counts a token that is about to be made, or returns ErrTooMany.
func (s APITokens) reserve(ctx context.Context, t *APIToken) error {
	limit := MaxOwned
	if s.MaxPerUser > 0 {
		limit = min(s.MaxPerUser, MaxOwned)
	}
	now := t.Created
	entry := apiOwned{ID: t.ID, Made: now.Unix()}
	if !t.NoExpiry {
		entry.Expires = t.Expires.Unix()
	}
	_, err := record.Upsert(ctx, s.Store, kindAPITokenOwner, record.HashID(t.Owner), func(owner *apiTokenOwner, expires *time.Time) (bool, error) {
		owner.Owner = t.Owner
		owner.Tokens = slices.DeleteFunc(owner.Tokens, func(e apiOwned) bool { return e.over(now) || e.ID == t.ID })
		owner.Tokens = append(owner.Tokens, entry)
		if err := s.makeRoom(ctx, owner, limit, now); err != nil {
			return false, err
		}
		*expires = owner.expires()
		return true, nil
	})
	return err
}

// makeRoom returns ErrTooMany if too many tokens count. The new one is the last of the record.
func (s APITokens) makeRoom(ctx context.Context, owner *apiTokenOwner, limit int, now time.Time) error {
	if owner.counted() <= limit && len(owner.Tokens) <= maxEntries {
		return nil
	}
	for i := range owner.Tokens[:len(owner.Tokens)-1] {
		if err := s.look(ctx, &owner.Tokens[i], now); err != nil {
			return err
		}
	}
	if owner.counted() > limit {
		return fmt.Errorf("%w: %q has %d, the most that one may have; revoke one first", ErrTooMany, owner.Owner, limit)
	}
	if len(owner.Tokens) > maxEntries {
		// The oldest, and several at once, so that the next call need not look again.
		drop := (maxEntries - MaxOwned) / 2
		owner.Tokens = slices.DeleteFunc(owner.Tokens, func(e apiOwned) bool {
			if !e.Dead || drop == 0 {
				return false
			}
			drop--
			return true
		})
	}
	return nil
}

// look loads the token of an entry, and marks the entry if the token is dead.
func (s APITokens) look(ctx context.Context, e *apiOwned, now time.Time) error {
	if e.Dead {
		return nil
	}
	t, err := s.load(ctx, e.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		e.Dead, err = s.giveUp(ctx, *e, now)
	case err != nil:
	case !t.Value.Revoked.IsZero():
		e.Dead = true
	}
	return err
}

// late reports whether making the token must have failed, as it took too long.
func (e apiOwned) late(now time.Time) bool {
	return now.Unix()-e.Made >= int64(reservationLife/time.Second)
}

// giveUp inserts an abandoned record for a token that was counted, but not made in time, and
// reports whether the token is abandoned now. Whoever was making it may only be slow: with the
// record their Insert fails, so that a token that no longer counts is never made.
func (s APITokens) giveUp(ctx context.Context, e apiOwned, now time.Time) (bool, error) {
	if !e.late(now) {
		return false, nil
	}
	abandoned := storedAPIToken{APIToken: APIToken{ID: e.ID, Created: time.Unix(e.Made, 0).UTC(), Revoked: now}}
	abandoned.Expires = now.Add(keptAbandoned)
	if e.Expires != 0 {
		abandoned.Expires = time.Unix(e.Expires, 0).UTC()
	}
	err := record.Insert(ctx, s.Store, kindAPIToken, e.ID, abandoned, abandoned.Expires)
	if !errors.Is(err, store.ErrExists) {
		return err == nil, err
	}
	t, err := s.load(ctx, e.ID) // made after all, or given up by somebody else
	return err == nil && t.Value.abandoned(), err
}

func (s APITokens) listOwned(ctx context.Context, name, after string, limit int) ([]APIToken, error) {
	owner, err := record.Load[apiTokenOwner](ctx, s.Store, kindAPITokenOwner, record.HashID(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the API tokens of %q: %w", name, err)
	}
	owned := owner.Value.Tokens
	slices.SortFunc(owned, func(a, b apiOwned) int { return cmp.Compare(a.ID, b.ID) })
	var page []APIToken
	for _, e := range owned {
		if e.ID <= after {
			continue
		}
		if len(page) == limit {
			break
		}
		t, err := s.Load(ctx, e.ID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if t.Owner != name {
			continue // it was imported for somebody else after all
		}
		page = append(page, t)
	}
	return page, nil
}
