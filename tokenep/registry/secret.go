package registry

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"regexp"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// secretPrefix begins the secrets of clients. The text of one is cs_<client_id>_<secret><checksum>,
// so that whoever finds it can tell what it is, and whose. Older ones have no prefix, and neither
// have those of clients whose ids have other characters or are very long.
const secretPrefix = "cs_"

// SecretPattern is a regular expression for such secrets.
const SecretPattern = `\bcs_[0-9A-Za-z._-]{1,128}_[0-9A-Za-z]{49}\b`

var secretID = regexp.MustCompile(`^[0-9A-Za-z._-]{1,128}$`)

// newSecret returns a new secret for a client.
func newSecret(id string) string {
	if !secretID.MatchString(id) {
		return state.GenerateSecret()
	}
	return state.Checked(secretPrefix + id + "_" + state.GenerateSecret())
}

// Rotate gives a client a new secret, which is returned here and nowhere else. Its newest secret
// stays good for overlap, or until it ends by itself; all others end at once, and no token does.
// The error Is tokenep.InvalidClient for an unknown id, and state.ErrInvalid for a client without a
// secret.
func (s Registry) Rotate(ctx context.Context, id string, overlap time.Duration) (r Registered, err error) {
	secret := newSecret(id)
	v, err := s.change(ctx, id, func(v *registered) (bool, error) {
		live := slices.DeleteFunc(slices.Clone(v.Secrets), func(old tokenep.Secret) bool {
			return !old.Expires.IsZero() && !s.Now().Before(old.Expires)
		})
		if !v.NeedsSecret() {
			return false, record.Invalidf("client %q has no secret that could be rotated: it is public, or has keys of its own", id)
		}
		v.Secrets = nil
		if end := s.Now().Add(overlap).UTC().Truncate(time.Second); overlap > 0 && len(live) > 0 {
			old := live[0]
			if old.Expires.IsZero() || end.Before(old.Expires) {
				old.Expires = end
			}
			v.Secrets = []tokenep.Secret{old}
		}
		v.Secrets = slices.Insert(v.Secrets, 0, tokenep.Secret{Hash: tokenep.HashSecret(secret)})
		return true, nil
	})
	if err != nil {
		return Registered{}, err
	}
	return Registered{Client: v.Client, Secret: secret}, nil
}

// ParseSecret returns the client that a secret says it is of. A secret that was mistyped, or has no
// checksum, is not ok.
func ParseSecret(secret string) (id, checked string, ok bool) {
	const tail = 43 // of the secret itself
	body, ok := state.Unchecked(secret)
	if !ok || len(body) < len(secretPrefix)+1+1+tail || body[:len(secretPrefix)] != secretPrefix {
		return "", "", false
	}
	id = body[len(secretPrefix) : len(body)-tail-1]
	if body[len(body)-tail-1] != '_' || !secretID.MatchString(id) {
		return "", "", false
	}
	return id, secret, true
}

// EndSecret ends a secret that was leaked, and all tokens of its client: they may have been got
// with it. It reports whether the secret was live. The client is left, without that secret. The
// error Is tokenep.InvalidClient for an unknown id; after any other, it can be repeated.
func (s Registry) EndSecret(ctx context.Context, id, secret string) (ended bool, err error) {
	c, err := s.Load(ctx, id)
	if err != nil {
		return false, err
	}
	hash := []byte(tokenep.HashSecret(secret))
	live := func(c *tokenep.Client) int {
		for i, known := range c.Secrets {
			if subtle.ConstantTimeCompare([]byte(known.Hash), hash) == 1 && (known.Expires.IsZero() || s.Now().Before(known.Expires)) {
				return i
			}
		}
		return -1
	}
	if live(c) < 0 {
		return false, nil
	}
	// As in Remove. Refresh tokens are of the registration, and end with its name.
	if err := s.revokeTokens(ctx, c); err != nil {
		return false, err
	}
	_, err = s.change(ctx, id, func(v *registered) (bool, error) {
		i := live(&v.Client)
		if ended = i >= 0; ended {
			v.Secrets[i].Expires = s.Now().UTC()
			v.RegistrationID = rand.Text()
		}
		return ended, nil
	})
	if err != nil || !ended {
		return false, err
	}
	return true, s.revokeTokens(ctx, c) // for as long as one lives that is issued at this moment
}
