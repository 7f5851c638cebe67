package state

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// LimitedError says that an API token was used too often. It is not spent by that.
type LimitedError struct {
	RetryAfter time.Duration // there will be room then
	What       string        // rate or quota
}

func (e *LimitedError) Error() string {
	return fmt.Sprintf("the %s of the API token is used up, for another %s", e.What, e.RetryAfter)
}

// Check says what a token is good for, to whoever asks from an address, and changes nothing. An
// error that Is ErrBadAPIToken says why it is not good; any other means that the answer is not
// known. A typo costs no look-up.
func (s APITokens) Check(ctx context.Context, token string, from netip.Addr) (APIToken, Version, error) {
	t, err := s.find(ctx, token, from)
	if err != nil {
		return APIToken{}, Version{}, err
	}
	return t.Value.APIToken, Version{t}, nil
}

// Inspect is Check for whoever asks what a token is good for. The Scope of the token that it
// returns is what its owner may have now; ErrOwnerAPIToken means that this is nothing.
func (s APITokens) Inspect(ctx context.Context, token string, from netip.Addr) (APIToken, error) {
	t, _, err := s.Check(ctx, token, from)
	if err != nil {
		return APIToken{}, err
	}
	scope, err := s.ownerScope(ctx, &t)
	if errors.Is(err, ErrNotAllowed) {
		return APIToken{}, ErrOwnerAPIToken
	}
	t.Scope = t.Scope.Intersect(scope)
	return t, err
}

// CheckUse is Check for an exchange that is asked for from an address. The Scope of the token that
// it returns is what its owner may have now, and the Expires of one that was rolled is when the
// secret that was presented ends. The error is a *LimitedError when the token is used too often. It
// writes nothing, but for EndReused.
func (s APITokens) CheckUse(ctx context.Context, token string, from netip.Addr) (APIToken, Version, error) {
	stored, err := s.find(ctx, token, from)
	if stored == nil {
		return APIToken{}, Version{}, err
	}
	t := stored.Value.APIToken
	if err == nil {
		err = s.permit(ctx, &t, from)
	}
	if s.EndReused && errors.Is(err, ErrRolledAPIToken) && t.Revoked.IsZero() {
		if failed := s.Revoke(ctx, t.ID, ReasonReused); failed != nil {
			return APIToken{}, Version{}, failed
		}
	}
	if err != nil {
		return APIToken{}, Version{}, s.deny(ctx, &t, from, err)
	}
	if until := stored.Value.secretUntil; !until.IsZero() {
		t.Expires = until
	}
	return t, Version{stored}, nil
}

// permit returns an error unless a token that is good may be used from an address now. It narrows
// the scope.
func (s APITokens) permit(ctx context.Context, t *APIToken, from netip.Addr) error {
	if !t.Permit(from) {
		return ErrAddressAPIToken
	}
	scope, err := s.ownerScope(ctx, t)
	if errors.Is(err, ErrNotAllowed) {
		return ErrOwnerAPIToken
	}
	if err != nil {
		return err
	}
	t.Scope = t.Scope.Intersect(scope)
	if wait := s.Rates.Wait(exchanges, t.ID, t.Rate); wait > 0 {
		return &LimitedError{wait, "rate"}
	}
	return t.quota(s.second())
}

// exchanges stands for the issuer in Rates: exchanges of a token are counted apart from the
// requests with what it was exchanged for.
const exchanges = ""

// find returns the record of a token that is good. With an error, it is that of one whose secret
// was right, or nil. from is where it was presented.
func (s APITokens) find(ctx context.Context, token string, from netip.Addr) (*record.Stored[storedAPIToken], error) {
	t, err := s.findSecret(ctx, token, from)
	if err != nil {
		return t, err
	}
	if s.Revocations.endsGrant(t.Value.GrantID()) { // Revoke was interrupted
		return t, ErrRevokedAPIToken
	}
	return t, t.Value.live(s.second())
}

// findSecret returns the record of a token whose secret is right, with an error if it has ended.
func (s APITokens) findSecret(ctx context.Context, token string, from netip.Addr) (*record.Stored[storedAPIToken], error) {
	_, id, _, ok := parseAPIToken(token)
	if !ok {
		return s.findImported(ctx, token, from)
	}
	t, err := s.load(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		// The hash is of the whole token, so that a token is good with its own prefix only,
		// although any prefix parses.
		if err := t.Value.presented("", record.Hash(token), s.second()); !errors.Is(err, ErrUnknownAPIToken) {
			return t, err
		}
	}
	// It may have been made by such a server elsewhere.
	if t, err = s.findImported(ctx, token, from); errors.Is(err, ErrMalformedAPIToken) {
		err = ErrUnknownAPIToken
	}
	return t, err
}

// presented finds the secret with this hash. The token expires with it.
func (t *storedAPIToken) presented(kind string, hash []byte, now time.Time) error {
	if t.Kind == kind && subtle.ConstantTimeCompare(hash, t.Hash) == 1 {
		return nil
	}
	for i := range t.Old {
		if t.Old[i].Kind == kind && subtle.ConstantTimeCompare(hash, t.Old[i].Hash) == 1 {
			return t.until(&t.Old[i], now)
		}
	}
	return ErrUnknownAPIToken
}

// until notes when a secret ends that was replaced, or returns an error if it has ended. That of
// the zero value is the one that the token has now.
func (t *storedAPIToken) until(old *oldSecret, now time.Time) error {
	switch {
	case old.Since.IsZero():
		return nil
	case !now.Before(old.Until):
		return ErrRolledAPIToken
	}
	if t.NoExpiry || old.Until.Before(t.Expires) {
		t.secretUntil = old.Until
	}
	return nil
}

// quota returns an error if there have been too many exchanges in the period.
func (t *APIToken) quota(now time.Time) error {
	end := t.QuotaSince.Add(t.Quota.Per)
	if t.Quota.IsZero() || t.QuotaUsed < t.Quota.N || !now.Before(end) || now.Before(t.QuotaSince) {
		return nil
	}
	return &LimitedError{end.Sub(now), "quota"}
}

// lastUsedEvery is how often Use writes, at most, for a token without a quota.
const lastUsedEvery = time.Minute

// Use spends one exchange, from an address, of a token that CheckUse has allowed. The error is a
// *LimitedError when others have spent what was left since then, and Is ErrBadAPIToken when the
// token is not good any more.
//
// What is there for people to look at, such as the time of the last use, is written at most once a
// minute: a write for each use would make every exchange wait for a disk. It may fail: a conflict
// is another use, or a revocation that came after the check. The quota is written each time.
func (s APITokens) Use(ctx context.Context, v Version, from netip.Addr) error {
	t, ok := v.of.(*record.Stored[storedAPIToken])
	if !ok {
		return errOtherVersion
	}
	if wait := s.Rates.Take(exchanges, t.Value.ID, t.Value.Rate); wait > 0 {
		return s.deny(ctx, &t.Value.APIToken, from, &LimitedError{wait, "rate"})
	}
	err := s.spend(ctx, t, from)
	if err != nil {
		s.Rates.Return(exchanges, t.Value.ID, t.Value.Rate)
		return s.deny(ctx, &t.Value.APIToken, from, err)
	}
	return nil
}

func (s APITokens) spend(ctx context.Context, t *record.Stored[storedAPIToken], from netip.Addr) error {
	now := s.second()
	quota := !t.Value.Quota.IsZero()
	uses, due := s.Uses.note(t.Value.ID, from, now.Sub(t.Value.LastUsed) >= lastUsedEvery || quota)
	if !due {
		return nil
	}
	used := t.Value
	if err := used.used(now, from, uses); err != nil {
		return err
	}
	moved := uses.moved(t.Value.UsedFrom)
	err := record.Swap(ctx, s.Store, t.Record, used, t.Expires)
	if errors.Is(err, store.ErrConflict) && quota {
		_, err = record.Change(ctx, s.Store, kindAPIToken, t.ID, func(t *storedAPIToken, _ *time.Time) (bool, error) {
			if err := t.live(now); err != nil {
				return false, err
			}
			err := t.used(now, from, uses)
			return err == nil, err
		})
	}
	if err == nil && moved {
		s.tell(ctx, APITokenEvent{What: APITokenMoved, Token: t.Value.APIToken, Address: from})
	}
	if err != nil {
		s.Uses.putBack(t.Value.ID, uses)
		if !quota {
			err = nil
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		err = ErrUnknownAPIToken
	}
	return err
}

// maxUsedFrom is how many addresses a record remembers.
const maxUsedFrom = 8

// used notes uses of the token, the last of them from an address, and spends one of the quota.
func (t *storedAPIToken) used(now time.Time, from netip.Addr, uses useCount) error {
	if !t.Quota.IsZero() {
		if err := t.quota(now); err != nil {
			return err
		}
		if t.QuotaSince.IsZero() || now.Before(t.QuotaSince) || !now.Before(t.QuotaSince.Add(t.Quota.Per)) {
			t.QuotaSince, t.QuotaUsed = now, 0
		}
		t.QuotaUsed++
	}
	t.LastUsed, t.LastAddress = now, from
	if t.Uses < math.MaxInt64-uses.n {
		t.Uses += uses.n
	}
	t.UsedFrom = slices.Clone(t.UsedFrom)
	for _, block := range uses.from {
		if !slices.Contains(t.UsedFrom, block) {
			t.UsedFrom = append(t.UsedFrom, block)
		}
	}
	if more := len(t.UsedFrom) - maxUsedFrom; more > 0 {
		t.UsedFrom = t.UsedFrom[more:]
	}
	return nil
}
