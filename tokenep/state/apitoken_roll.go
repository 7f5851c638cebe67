package state

import (
	"context"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
)

// MaxRollOverlap is how long an old secret may stay good after a roll.
const MaxRollOverlap = 7 * 24 * time.Hour

// maxOldSecrets is how many old secrets a record has at most: those that are good, and some that
// are over, by which their use is known.
const maxOldSecrets = 5

// oldSecret is a secret that was replaced.
type oldSecret struct {
	Kind  string    `json:"kind,omitempty"` // of Hash, if it was imported
	Hash  []byte    `json:"hash"`
	Of    int       `json:"of,omitempty"`   // the generation of its access tokens
	Since time.Time `json:"since"`          // when it was replaced
	Until time.Time `json:"until,omitzero"` // it is good until then; zero: it is not
}

// Roll gives a token a new secret. Its id stays, and all that is known of it; nothing is prolonged.
// The old secret, and what was good of older ones, stays good for overlap, which is at most
// MaxRollOverlap; with 0 it ends at once, together with the access tokens that came of it.
//
// There is one write, which has the new secret and the old one. Whoever dies before it has changed
// nothing; whoever dies after it, and before the text was shown, rolls again: within the overlap
// the secret that was shown last is still good, and without one the second roll ends the access
// tokens that the first one has not.
//
// The error Is ErrBadAPIToken when the token is expired or revoked, ErrInvalid for an overlap that
// is too long, ErrRolledOften when so many secrets are good at once that there can be no more, and
// store.ErrNotFound for an unknown id.
func (s APITokens) Roll(ctx context.Context, id string, overlap time.Duration) (token string, rolled APIToken, err error) {
	if overlap < 0 || overlap > MaxRollOverlap {
		return "", APIToken{}, invalidf("the old secret of an API token may stay good for 0 s to %v", MaxRollOverlap)
	}
	if _, err := s.Load(ctx, id); err != nil {
		return "", APIToken{}, err
	}
	token = formatAPIToken(s.Prefix, id, GenerateSecret())
	now := s.second()
	stored, err := record.Change(ctx, s.Store, kindAPIToken, id, func(t *storedAPIToken, _ *time.Time) (bool, error) {
		if t.Revoked.IsZero() && t.Expired(now) {
			return false, ErrExpiredAPIToken
		}
		if !t.Revoked.IsZero() || s.Revocations.endsGrant(t.GrantID()) {
			return false, ErrRevokedAPIToken
		}
		var until time.Time // zero: a clock that is set back makes no secret good again
		if overlap > 0 {
			until = now.Add(max(overlap.Truncate(time.Second), time.Second))
		}
		return true, t.roll(record.Hash(token), now, until)
	})
	if err != nil {
		return "", APIToken{}, noAPIToken(id, err)
	}
	if err := s.endOld(ctx, &stored.Value); err != nil {
		return "", APIToken{}, err
	}
	s.tell(ctx, APITokenEvent{What: APITokenRolled, Token: stored.Value.APIToken})
	return token, stored.Value.APIToken, nil
}

// roll replaces the secret. No old one is good after until.
func (t *storedAPIToken) roll(hash []byte, now, until time.Time) error {
	old := append([]oldSecret{{t.Kind, t.Hash, t.Generation, now, until}}, t.Old...)
	if until.IsZero() {
		t.Generation++
	}
	for i := range old {
		if old[i].Until.After(until) {
			old[i].Until = until
		}
	}
	if len(old) > maxOldSecrets {
		// The oldest of those that are over is forgotten.
		last := len(old) - 1
		for last >= 0 && now.Before(old[last].Until) {
			last--
		}
		if last < 0 {
			return ErrRolledOften
		}
		old = slices.Delete(old, last, last+1)
	}
	t.Kind, t.Hash, t.Old, t.Rolled, t.OldUntil = "", hash, old, now, until
	return nil
}

// endOld ends the access tokens of generations before this one, as far as they may still live.
func (s APITokens) endOld(ctx context.Context, t *storedAPIToken) error {
	for i := range t.Old {
		old := &t.Old[i]
		grant := grantOf(t.ID, old.Of)
		over := s.TokenLife != nil && s.second().Sub(old.Since) > s.TokenLife()+RevocationSlack
		if old.Of == t.Generation || over || s.Revocations.endsGrant(grant) {
			continue
		}
		if err := s.endAccessTokens(ctx, grant); err != nil {
			return err
		}
	}
	return nil
}
