package state

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// The reasons for a revocation that this package or the server gives. Others are texts of whoever
// revokes.
const (
	ReasonLeaked = "leaked" // it was found where it should not be
	ReasonHolder = "holder" // whoever holds it has revoked it (RFC 7009)
	ReasonReused = "reused" // an old secret of it was used: see APITokens.EndReused
)

// Revoke ends a token and the access tokens made from it. The reason is for people, and may be
// empty. A call that failed can be repeated: revoking a token that was revoked before does it all
// again, and leaves its reason. The error Is store.ErrNotFound for an unknown id.
//
// The access tokens end first, so that nothing of a token that is listed as revoked is good. Access
// tokens that are made between the two writes carry the same grant_id, and end as well. The token
// of a call that was interrupted is listed as good, but is not, and Finish revokes it.
func (s APITokens) Revoke(ctx context.Context, id, reason string) error {
	if err := record.CheckText("the reason", reason, record.MaxName); err != nil {
		return err
	}
	t, err := s.load(ctx, id)
	if err == nil && t.Value.abandoned() {
		err = noAPIToken(id, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	if err := s.endOld(ctx, &t.Value); err != nil {
		return err
	}
	grant := t.Value.GrantID()
	if err := s.endAccessTokens(ctx, grant); err != nil {
		return err
	}
	ended, err := s.markRevoked(ctx, id, reason, nil)
	if err == nil && ended.GrantID() != grant { // it was rolled meanwhile
		err = s.endAccessTokens(ctx, ended.GrantID())
	}
	return err
}

// RevokeHeld revokes a token for whoever holds it at an address, and returns it. One that is not
// good yet is revoked as well: it would be. The errors are those of Check and Revoke.
func (s APITokens) RevokeHeld(ctx context.Context, token string, from netip.Addr, reason string) (APIToken, error) {
	t, err := s.find(ctx, token, from)
	if err != nil && !errors.Is(err, ErrEarlyAPIToken) {
		return APIToken{}, err
	}
	return t.Value.APIToken, s.Revoke(ctx, t.Value.ID, reason)
}

// RevokeAll revokes the tokens of an owner, MaxOwned and a few at most, and returns how many it has
// revoked. A call that was interrupted is repeated: it goes on where it ended.
func (s APITokens) RevokeAll(ctx context.Context, owner, reason string) (revoked int, err error) {
	for after := ""; ; {
		page, err := s.listOwned(ctx, owner, after, store.MaxPage)
		if err != nil || len(page) == 0 {
			return revoked, err
		}
		for i := range page {
			after = page[i].ID
			if !page[i].Revoked.IsZero() {
				continue
			}
			if err := s.Revoke(ctx, after, reason); err != nil {
				return revoked, err
			}
			revoked++
		}
	}
}

// Finish revokes the tokens whose revocation was interrupted: see Families.Finish.
func (s APITokens) Finish(ctx context.Context) error {
	return s.Revocations.finishEnds(func(grant string) error {
		id, _, _ := strings.Cut(grant, ".")
		if !isBase62(id, idLength) {
			return nil // of a family
		}
		_, err := s.markRevoked(ctx, id, "", func(t *APIToken) bool { return t.GrantID() == grant })
		return err
	})
}

// endAccessTokens ends the access tokens of a grant.
func (s APITokens) endAccessTokens(ctx context.Context, grant string) error {
	return s.Revocations.endGrant(ctx, grant, s.TokenLife)
}

// keptRevoked is how long a token that has no end is listed after it was revoked.
const keptRevoked = 90 * 24 * time.Hour

// markRevoked writes that the token is revoked, unless it says so already, or is not meant; nil: it
// is.
func (s APITokens) markRevoked(ctx context.Context, id, reason string, meant func(*APIToken) bool) (APIToken, error) {
	changed := false
	t, err := record.Change(ctx, s.Store, kindAPIToken, id, func(t *storedAPIToken, expires *time.Time) (write bool, err error) {
		changed = t.Revoked.IsZero() && (meant == nil || meant(&t.APIToken))
		if !changed {
			return false, nil
		}
		t.Revoked, t.Reason = s.second(), reason
		if t.NoExpiry && !t.Imported {
			*expires = t.Revoked.Add(max(keptRevoked, s.TokenLife()))
		}
		return true, nil
	})
	if err != nil {
		return APIToken{}, noAPIToken(id, err)
	}
	if changed {
		s.tell(ctx, APITokenEvent{What: APITokenRevoked, Token: t.Value.APIToken, Reason: t.Value.Reason})
	}
	return t.Value.APIToken, nil
}
