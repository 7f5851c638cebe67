package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindAPIToken = "api_token" // id: the token's; expires with it

// Limits of what people write, in bytes. Together they keep a record far below store.MaxData.
const (
	maxName    = 128
	maxOwner   = 255 // OpenID Connect Core §2: sub
	maxService = 1024
	maxScope   = 4096
)

// storedAPIToken is the record of a token. The hash never leaves this package.
type storedAPIToken struct {
	APIToken
	Hash []byte `json:"hash,omitempty"` // SHA-256 of the whole token; empty: the token was given up before it was made
}

func (t *storedAPIToken) abandoned() bool { return len(t.Hash) == 0 }

func encodeAPIToken(t storedAPIToken) (store.Record, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return store.Record{}, fmt.Errorf("API token %s: %w", t.ID, err)
	}
	return store.Record{Kind: kindAPIToken, ID: t.ID, Data: data, Expires: t.Expires}, nil
}

func decodeAPIToken(record store.Record) (storedAPIToken, error) {
	var t storedAPIToken
	if err := json.Unmarshal(record.Data, &t); err != nil {
		return t, fmt.Errorf("the record of API token %s is damaged: %w", record.ID, err)
	}
	return t, nil
}

func (s APITokens) load(ctx context.Context, id string) (storedAPIToken, store.Record, error) {
	if !isBase62(id, idLength) {
		return storedAPIToken{}, store.Record{}, fmt.Errorf("%.40q is no id of an API token: %w", id, store.ErrNotFound)
	}
	record, err := s.Store.Load(ctx, kindAPIToken, id)
	if errors.Is(err, store.ErrNotFound) {
		return storedAPIToken{}, store.Record{}, fmt.Errorf("no API token %s: %w", id, err)
	}
	if err != nil {
		return storedAPIToken{}, store.Record{}, fmt.Errorf("loading API token %s: %w", id, err)
	}
	t, err := decodeAPIToken(record)
	return t, record, err
}

// check holds a new token to the limits.
func (s APITokens) check(t *APIToken) error {
	switch {
	case !validPrefix(s.Prefix):
		return invalidf("prefix %.20q: a letter a to z, then up to 15 letters and digits", s.Prefix)
	case s.MaxAge <= 0:
		return invalidf("a token that lives for %v", s.MaxAge)
	case t.Owner == "" || t.Service == "":
		return invalidf("an API token has an owner and a service")
	case strings.HasPrefix(t.Owner, tokenep.ClientSubjectPrefix):
		return invalidf("an owner's name that begins with %s is a client's", tokenep.ClientSubjectPrefix)
	case !t.Expires.After(t.Created):
		return invalidf("it would be expired already")
	case t.Expires.After(t.Created.Add(s.MaxAge)):
		return invalidf("an API token lives for %v at most", s.MaxAge)
	}
	if err := checkText("the name", t.Name, maxName); err != nil {
		return err
	}
	if err := checkText("the owner", t.Owner, maxOwner); err != nil {
		return err
	}
	if err := checkText("the service", t.Service, maxService); err != nil {
		return err
	}
	return checkScope(t.Scope)
}

// checkText holds a text that is shown to people to its length, and to characters that cannot move a cursor or end a line.
func checkText(what, text string, limit int) error {
	switch {
	case len(text) > limit:
		return invalidf("%s has %d bytes, at most %d are allowed", what, len(text), limit)
	case !utf8.ValidString(text):
		return invalidf("%s is not UTF-8", what)
	case strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }):
		return invalidf("%s has a control character", what)
	}
	return nil
}

// checkScope holds a scope to the syntax of RFC 6749 §3.3: one that was put together from parts is no scope until it
// reads back as the same.
func checkScope(scope verify.Scope) error {
	text := scope.String()
	if len(text) > maxScope {
		return invalidf("the scope has %d bytes, at most %d are allowed", len(text), maxScope)
	}
	parsed, err := verify.ParseScope(text)
	if err != nil {
		return invalidf("the scope %.80q: %v", text, err)
	}
	if len(parsed) != len(scope) {
		return invalidf("the scope %.80q repeats a token, or one has a space", text)
	}
	return nil
}
