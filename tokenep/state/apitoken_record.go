package state

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindAPIToken = "api_token" // id: the token's; expires with it

// ClientSubjectPrefix begins the sub of a token that a client got for itself (RFC 6749 §4.4), so
// that no client can be mistaken for a user of the same name (RFC 9068 §5). No user's name may
// begin with it.
const ClientSubjectPrefix = "client:"

// storedAPIToken is the record of a token. The hashes never leave this package.
type storedAPIToken struct {
	APIToken
	Kind string      `json:"kind,omitempty"` // of Hash, if it was imported
	Hash []byte      `json:"hash,omitempty"` // SHA-256 of the whole token; empty: abandoned
	Old  []oldSecret `json:"old,omitempty"`  // the newest first
	Told int         `json:"told,omitempty"` // how many of the reminders were

	secretUntil time.Time // when the secret that was presented ends; zero: with the token
}

// keptExpired is how long the record of a token is kept after its end.
const keptExpired = time.Hour

// kept is when the record becomes garbage; zero: never. That of an imported token stays: importing
// it again would make it good again.
func (t *storedAPIToken) kept() time.Time {
	if t.NoExpiry || t.Imported {
		return time.Time{}
	}
	return t.Expires.Add(keptExpired)
}

// abandoned reports whether the token was given up before it was made.
func (t *storedAPIToken) abandoned() bool { return len(t.Hash) == 0 }

// load returns the record of a token. The error Is store.ErrNotFound for an id that nobody has.
func (s APITokens) load(ctx context.Context, id string) (*record.Stored[storedAPIToken], error) {
	if !isBase62(id, idLength) {
		return nil, fmt.Errorf("%.40q is not the id of an API token: %w", id, store.ErrNotFound)
	}
	t, err := record.Load[storedAPIToken](ctx, s.Store, kindAPIToken, id)
	return t, noAPIToken(id, err)
}

// noAPIToken names the token in an error.
func noAPIToken(id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("no API token %s: %w", id, store.ErrNotFound)
	}
	return fmt.Errorf("API token %s: %w", id, err)
}

// What an API token has at most.
const (
	maxNote      = 1024
	maxAddresses = 32 // blocks of allow_from and deny_from together
	maxRatePer   = 24 * time.Hour
)

// FieldError says which field of an API token is outside its limits. It Is ErrInvalid.
type FieldError struct {
	Field string // its JSON member
	Err   error
}

// Error returns the text of Err.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

func inField(name, format string, args ...any) error {
	return &FieldError{name, invalidf(format, args...)}
}

// validate reports what is wrong with a token that is to be made.
func (s APITokens) validate(t *APIToken) error {
	switch {
	case !validPrefix(s.Prefix):
		return invalidf("prefix %.20q: must be a letter a to z, then up to 15 letters a to z and digits", s.Prefix)
	case s.MaxAge <= 0:
		return invalidf("the longest life of an API token must be above 0, got %v", s.MaxAge)
	case t.Owner == "" || t.Service == "":
		return invalidf("an API token must have an owner and a service")
	case strings.HasPrefix(t.Owner, ClientSubjectPrefix):
		return invalidf("the owner's name must not begin with %s, which is for clients", ClientSubjectPrefix)
	}
	for _, text := range []struct {
		field, what, text string
		limit             int
	}{
		{"name", "the name", t.Name, record.MaxName}, {"note", "the note", t.Note, maxNote}, {"owner", "the owner", t.Owner, record.MaxSubject},
		{"service", "the service", t.Service, record.MaxTarget}, {"created_by", "the name of who makes it", t.CreatedBy, record.MaxSubject},
	} {
		if err := record.CheckText(text.what, text.text, text.limit); err != nil {
			return &FieldError{text.field, err}
		}
	}
	if err := s.validateLife(t); err != nil {
		return err
	}
	if err := s.validateLimits(t); err != nil {
		return err
	}
	return record.CheckScope(t.Scope)
}

// validateLife checks from when until when the token is good.
func (s APITokens) validateLife(t *APIToken) error {
	switch {
	case t.NoExpiry && !t.Expires.IsZero():
		return inField("expires", "an API token that never expires has no expiry")
	case t.NoExpiry && !s.AllowNever:
		return inField("expires", "an API token must expire here, after %s at most", printAge(s.MaxAge))
	case t.NoExpiry:
		return nil
	case !t.Expires.After(t.Created):
		return inField("expires", "the API token would have expired already")
	case t.Expires.After(t.Created.Add(s.MaxAge)):
		return inField("expires", "an API token lives for at most %s", printAge(s.MaxAge))
	case !t.NotBefore.IsZero() && !t.NotBefore.Before(t.Expires):
		return inField("not_before", "the API token would expire before it is good")
	}
	return nil
}

// validateLimits checks from where and how often the token may be used, and writes blocks of
// addresses in their shortest form.
func (s APITokens) validateLimits(t *APIToken) error {
	if len(t.AllowFrom)+len(t.DenyFrom) > maxAddresses {
		return inField("allow_from", "an API token has at most %d blocks of addresses", maxAddresses)
	}
	for field, list := range map[string]*[]netip.Prefix{"allow_from": &t.AllowFrom, "deny_from": &t.DenyFrom} {
		*list = slices.Clone(*list)
		for i, block := range *list {
			if !block.IsValid() || block.Addr().Is4In6() {
				return inField(field, "%q is not a block of addresses, such as 192.0.2.0/24 or 2001:db8::/32", block)
			}
			(*list)[i] = block.Masked()
		}
	}
	for field, rate := range map[string]verify.Rate{"rate": t.Rate, "quota": t.Quota} {
		if err := rate.Validate(); err != nil && !rate.IsZero() {
			return inField(field, "%v", err)
		}
	}
	switch {
	case t.Rate.Per > maxRatePer:
		return inField("rate", "a rate is for a day at most, since it is counted in memory; take a quota")
	case !t.Rate.IsZero() && s.Rates == nil:
		return inField("rate", "the server counts no rates")
	}
	return nil
}

// printAge writes a duration in days, if that is what it is.
func printAge(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return d.String()
}
