package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const kindUser = "user" // id: the SHA-256 of the subject

// maxUserClaims bounds what is kept of one user, in bytes of JSON. Of more, the longest claims are
// left out.
const maxUserClaims = 16 << 10

// Users keeps what is known of people beside their names: the claims that the userinfo endpoint
// tells (OpenID Connect Core §5.3), as they were when the user last allowed a client something. It
// is written when that has changed, and now and then for the time that it is kept.
//
// Store, Life and Now are required.
type Users struct {
	Store store.Store
	Life  func() time.Duration // how long after the last sign-in anybody may still ask
	Now   func() time.Time     // the clock
}

// storedUser is the record of a user. Claims are kept as they were written, so that two versions
// can be compared.
type storedUser struct {
	Subject string          `json:"sub"`
	Claims  json.RawMessage `json:"claims"`
}

// Save keeps the claims of a user, in the place of what was kept before.
func (s Users) Save(ctx context.Context, subject string, claims map[string]any) error {
	text, err := encodeClaims(claims)
	if err != nil {
		return fmt.Errorf("the claims of a user: %w", err)
	}
	now, life := moment(s.Now), s.Life()
	_, err = record.Upsert(ctx, s.Store, kindUser, record.HashID(subject), func(u *storedUser, expires *time.Time) (write bool, err error) {
		if u.Subject == subject && bytes.Equal(u.Claims, text) && expires.After(now.Add(life)) {
			return false, nil
		}
		*u, *expires = storedUser{subject, text}, now.Add(life+life/10)
		return true, nil
	})
	return err
}

// encodeClaims returns as many of the claims as fit, as JSON.
func encodeClaims(claims map[string]any) ([]byte, error) {
	texts := make(map[string]json.RawMessage, len(claims))
	for name, value := range claims {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	for {
		text, err := json.Marshal(texts)
		if err != nil || len(text) <= maxUserClaims {
			return text, err
		}
		delete(texts, slices.MaxFunc(slices.Sorted(maps.Keys(texts)), func(a, b string) int { return len(texts[a]) - len(texts[b]) }))
	}
}

// Claims returns what is kept of a user; nil: nothing.
func (s Users) Claims(ctx context.Context, subject string) (claims map[string]any, err error) {
	stored, err := record.Load[storedUser](ctx, s.Store, kindUser, record.HashID(subject))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !s.Now().Before(stored.Expires):
		return nil, nil
	}
	return claims, json.Unmarshal(stored.Value.Claims, &claims)
}
