package state

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const kindAPIToken = "api_token" // id: the token's; expires with it

// ClientSubjectPrefix begins the sub of a token that a client got for itself (RFC 6749 §4.4), so
// that no client can be mistaken for a user of the same name (RFC 9068 §5). No user's name may
// begin with it.
const ClientSubjectPrefix = "client:"

// storedAPIToken is the record of a token. The hash never leaves this package.
type storedAPIToken struct {
	APIToken
	Hash []byte `json:"hash,omitempty"` // SHA-256 of the whole token; empty: abandoned
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
	case !t.Expires.After(t.Created):
		return invalidf("the API token would have expired already")
	case t.Expires.After(t.Created.Add(s.MaxAge)):
		return invalidf("an API token lives for at most %v", s.MaxAge)
	}
	if err := record.CheckText("the name", t.Name, record.MaxName); err != nil {
		return err
	}
	if err := record.CheckText("the owner", t.Owner, record.MaxSubject); err != nil {
		return err
	}
	if err := record.CheckText("the service", t.Service, record.MaxTarget); err != nil {
		return err
	}
	return record.CheckScope(t.Scope)
}
