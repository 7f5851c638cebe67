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
// tells (OpenID Connect Core §5.3), as they were when the user last signed in or allowed a client
// something, and who is disabled. It is written when that has changed, and now and then for the
// time that it is kept.
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
	Claims  json.RawMessage `json:"claims,omitempty"`
	UserStatus
}

// Save keeps the claims of a user, in the place of what was kept before.
func (s Users) Save(ctx context.Context, subject string, claims map[string]any) error {
	text, err := encodeClaims(claims)
	if err != nil {
		return fmt.Errorf("the claims of a user: %w", err)
	}
	now, life := moment(s.Now), s.Life()
	_, err = record.Upsert(ctx, s.Store, kindUser, record.HashID(subject), func(u *storedUser, expires *time.Time) (write bool, err error) {
		kept := expires.IsZero() || expires.After(now.Add(life))
		if u.Subject == subject && bytes.Equal(u.Claims, text) && kept {
			return false, nil
		}
		u.Subject, u.Claims = subject, text
		*expires = u.end(now.Add(life + life/10))
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
	case !stored.Expires.IsZero() && !s.Now().Before(stored.Expires), len(stored.Value.Claims) == 0:
		return nil, nil
	}
	return claims, json.Unmarshal(stored.Value.Claims, &claims)
}

// end is when the record is garbage: never, while the user is disabled.
func (u *storedUser) end(otherwise time.Time) time.Time {
	if u.Disabled.IsZero() {
		return otherwise
	}
	return time.Time{}
}

// UserStatus is what an administrator has decided about a user. The zero value is nothing.
type UserStatus struct {
	Disabled time.Time `json:"disabled,omitzero"` // since when; zero: not
	Revoked  time.Time `json:"revoked,omitzero"`  // all until then is void; zero: nothing
}

// Disable keeps a user from getting anything, and Enable lets it again; it does not matter whether
// anything is known of the user. What was issued before is ended by others, after it.
func (s Users) Disable(ctx context.Context, subject string) error {
	return s.decide(ctx, subject, func(u *UserStatus) {
		if u.Disabled.IsZero() {
			u.Disabled = moment(s.Now)
		}
	})
}

// Enable is the inverse of Disable.
func (s Users) Enable(ctx context.Context, subject string) error {
	return s.decide(ctx, subject, func(u *UserStatus) { u.Disabled = time.Time{} })
}

// Revoke voids what a user has allowed until now, wherever it is. A clock that was ahead and is set
// right makes none of that good again.
func (s Users) Revoke(ctx context.Context, subject string) error {
	return s.decide(ctx, subject, func(u *UserStatus) {
		if now := moment(s.Now); now.After(u.Revoked) {
			u.Revoked = now
		}
	})
}

func (s Users) decide(ctx context.Context, subject string, edit func(*UserStatus)) error {
	if subject == "" {
		return invalidf("the user has no name")
	}
	if err := CheckSubject(subject); err != nil {
		return err
	}
	_, err := record.Upsert(store.Urgent(ctx), s.Store, kindUser, record.HashID(subject), func(u *storedUser, expires *time.Time) (write bool, err error) {
		before := u.UserStatus
		u.Subject = subject
		edit(&u.UserStatus)
		*expires = u.end(moment(s.Now).Add(s.Life()))
		return u.UserStatus != before, nil
	})
	return err
}

// Status returns what was decided about a user.
func (s Users) Status(ctx context.Context, subject string) (UserStatus, error) {
	stored, err := record.Load[storedUser](ctx, s.Store, kindUser, record.HashID(subject))
	if errors.Is(err, store.ErrNotFound) {
		return UserStatus{}, nil
	}
	return stored.Value.UserStatus, err
}

// List returns up to limit (1 to store.MaxPage) of the users of whom anything is kept. after is
// where the last page ended; next is empty behind the last one. A page may have fewer, or none.
func (s Users) List(ctx context.Context, after string, limit int) (page []KnownUser, next string, err error) {
	records, err := s.Store.List(ctx, kindUser, "", after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("listing users: %w", err)
	}
	now := moment(s.Now)
	for _, r := range records {
		u, err := record.Decode[storedUser](r)
		if err != nil {
			return nil, "", fmt.Errorf("user %s: %w", r.ID, err)
		}
		if r.Expires.IsZero() || now.Before(r.Expires) {
			page = append(page, KnownUser{u.Subject, u.UserStatus})
		}
		next = r.ID
	}
	return page, next, nil
}

// KnownUser is a user of whom something is kept.
type KnownUser struct {
	Subject string `json:"sub"`
	UserStatus
}
