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

// maxEntries is how many entries a record has at most: MaxOwned, and some that are dead or being
// rotated.
const maxEntries = MaxOwned + 100

// reservationLife is how long making a token may take. If the token of an id does not exist after
// that, making it has failed.
const reservationLife = time.Minute

// apiTokenOwner is the record of an owner.
type apiTokenOwner struct {
	Owner  string     `json:"owner"`
	Tokens []apiOwned `json:"tokens"`
}

type apiOwned struct {
	ID       string `json:"id"`
	Made     int64  `json:"made"`               // Unix time
	Expires  int64  `json:"expires"`            // Unix time
	Replaces string `json:"replaces,omitempty"` // rotated from it: both count as one
	Dead     bool   `json:"dead,omitempty"`     // known to be revoked; kept to be listed
}

// counted is how many tokens count: those that are not dead, and that no other is about to replace.
func (o *apiTokenOwner) counted() int {
	replaced := make(map[string]bool)
	for _, e := range o.Tokens {
		if !e.Dead && e.Replaces != "" {
			replaced[e.Replaces] = true
		}
	}
	n := 0
	for _, e := range o.Tokens {
		if !e.Dead && !replaced[e.ID] {
			n++
		}
	}
	return n
}

// successor is the index of the living token that replaces id, or -1.
func (o *apiTokenOwner) successor(id string) int {
	return slices.IndexFunc(o.Tokens, func(e apiOwned) bool { return e.Replaces == id && !e.Dead })
}

// expires is when the last of the tokens does.
func (o *apiTokenOwner) expires() time.Time {
	last := slices.MaxFunc(o.Tokens, func(a, b apiOwned) int { return cmp.Compare(a.Expires, b.Expires) })
	return time.Unix(last.Expires, 0)
}

// reserve counts a token that is about to be made, or returns ErrTooMany.
func (s APITokens) reserve(ctx context.Context, t APIToken, replaces string) error {
	limit := MaxOwned
	if s.MaxPerUser > 0 && replaces == "" { // a rotation needs no room, if the maximum was lowered
		limit = min(s.MaxPerUser, MaxOwned)
	}
	now := t.Created
	_, err := record.Upsert(ctx, s.Store, kindAPITokenOwner, record.HashID(t.Owner), func(owner *apiTokenOwner, expires *time.Time) (bool, error) {
		owner.Owner = t.Owner
		owner.Tokens = slices.DeleteFunc(owner.Tokens, func(e apiOwned) bool { return e.Expires <= now.Unix() })
		if replaces != "" {
			if err := s.makeWay(ctx, owner, replaces, now); err != nil {
				return false, err
			}
		}
		owner.Tokens = append(owner.Tokens, apiOwned{ID: t.ID, Made: now.Unix(), Expires: t.Expires.Unix(), Replaces: replaces})
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
	// A pair that is being rotated counts as one, but is two entries.
	if len(owner.Tokens) > maxEntries {
		return fmt.Errorf("%w: %q has %d, with those that are being rotated; try again in a minute", ErrTooMany, owner.Owner, maxEntries)
	}
	return nil
}

// look loads the token of an entry, and marks the entry if the token is dead. It undoes a rotation
// that was interrupted.
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
	case e.Replaces != "" && e.late(now):
		err = s.undo(ctx, e, now)
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
	abandoned := storedAPIToken{APIToken: APIToken{
		ID: e.ID, Created: time.Unix(e.Made, 0).UTC(), Expires: time.Unix(e.Expires, 0).UTC(), Revoked: now,
	}}
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
		page = append(page, t)
	}
	return page, nil
}
