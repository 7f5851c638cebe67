package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// kindAPITokenImports is one record, which names the kinds of hash that tokens were imported with.
// It is written before the first of a kind, so that whoever has read it knows what to look for.
const (
	kindAPITokenImports = "api_token_imports"
	importsID           = "kinds"
)

// imports is that record.
type imports struct {
	Kinds []string `json:"kinds"`
}

// APITokenImports is what this process knows of that record. The zero value knows of nothing.
type APITokenImports struct{ known atomic.Pointer[imports] }

// kinds returns the kinds of hash; a nil one has none.
func (i *APITokenImports) kinds() []string {
	if i == nil {
		return nil
	}
	if known := i.known.Load(); known != nil {
		return known.Kinds
	}
	return nil
}

// learn notes kinds of hash. None is forgotten: what was read last may have been written first.
func (i *APITokenImports) learn(kinds []string) {
	for {
		before := i.known.Load()
		next := &imports{Kinds: slices.Clone(kinds)}
		if before != nil {
			for _, kind := range before.Kinds {
				if !slices.Contains(next.Kinds, kind) {
					next.Kinds = append(next.Kinds, kind)
				}
			}
		}
		if i.known.CompareAndSwap(before, next) {
			return
		}
	}
}

// FollowImports learns what was imported at other nodes. It reads one record. It is called at the
// start, and then in the background: so an exchange need not ask.
func (s APITokens) FollowImports(ctx context.Context) error {
	known, err := record.Load[imports](ctx, s.Store, kindAPITokenImports, importsID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		s.Imports.learn(known.Value.Kinds)
	}
	return err
}

// addKind notes that there are tokens with such a hash.
func (s APITokens) addKind(ctx context.Context, kind string) error {
	if slices.Contains(s.Imports.kinds(), kind) {
		return nil
	}
	known, err := record.Upsert(ctx, s.Store, kindAPITokenImports, importsID, func(i *imports, _ *time.Time) (bool, error) {
		if slices.Contains(i.Kinds, kind) {
			return false, nil
		}
		i.Kinds = append(i.Kinds, kind)
		return true, nil
	})
	if err == nil {
		s.Imports.learn(known.Value.Kinds)
	}
	return err
}

// ImportedAPIToken is a token that another system has handed out, and what becomes of it here.
type ImportedAPIToken struct {
	Name  string // by which a salted hash is found: what a TokenPattern finds in the token
	Hash  string // see parseHash; empty: that of Token
	Token string // the token itself, which is not kept

	APIToken // as for Create, and TokenType
}

// ErrConflicting says that another token was imported under the same name.
var ErrConflicting = errors.New("another token was imported under this name, with another hash")

// Import makes a token of another system an API token here: its holder goes on using it, until it
// is rolled, revoked or expires. It keeps to the rules of Create, but for its expiry: without one
// it never expires, or as late as the server allows. A token that was imported before is left as it
// is, whatever has happened to it since: then made is false. The errors are those of Create, and
// ErrConflicting.
func (s APITokens) Import(ctx context.Context, i ImportedAPIToken) (t APIToken, made bool, err error) {
	if s.Imports == nil {
		return t, false, invalidf("the server takes no tokens of other systems")
	}
	kind, hash, id, err := s.identify(&i)
	if err != nil {
		return t, false, err
	}
	if i.Expires.IsZero() && !i.NoExpiry {
		if i.NoExpiry = s.AllowNever; !i.NoExpiry {
			i.Expires = s.second().Add(s.MaxAge)
		}
	}
	t = s.complete(i.APIToken)
	t.ID, t.Imported, t.TokenType = id, true, i.TokenType
	if err := s.validate(&t); err != nil {
		return t, false, err
	}
	known, err := s.importedBefore(ctx, id, kind, hash)
	if err != nil || known != nil && !known.Value.abandoned() {
		if known != nil {
			t = known.Value.APIToken
		}
		return t, false, err
	}
	if err := s.allowed(ctx, &t); err != nil {
		return t, false, err
	}
	// As in Create; the kind goes first, so that every node finds what is there.
	if err := s.addKind(ctx, kind); err != nil {
		return t, false, err
	}
	if err := s.reserve(ctx, &t); err != nil {
		return t, false, err
	}
	stored := storedAPIToken{APIToken: t, Kind: kind, Hash: hash}
	if !t.NoExpiry {
		stored.Told = reminder(t.Expires.Sub(t.Created))
	}
	if known != nil { // making it failed once
		err = record.Swap(ctx, s.Store, known.Record, stored, stored.kept())
	} else {
		err = record.Insert(ctx, s.Store, kindAPIToken, t.ID, stored, stored.kept())
	}
	if err != nil {
		return t, false, err
	}
	s.tell(ctx, APITokenEvent{What: APITokenCreated, Token: t, Reason: ReasonImported})
	return t, true, nil
}

// ReasonImported is why a token was created that another system has handed out.
const ReasonImported = "imported"

// identify returns the hash of a token, and the id of its record.
func (s APITokens) identify(i *ImportedAPIToken) (kind string, hash []byte, id string, err error) {
	switch {
	case (i.Hash == "") == (i.Token == ""):
		return "", nil, "", invalidf("either hash or token is needed")
	case len(i.Token) > maxImported:
		return "", nil, "", invalidf("token: at most %d bytes are allowed", maxImported)
	case i.Token != "":
		kind, hash = hashSHA256, record.Hash(i.Token)
	default:
		if kind, hash, err = parseHash(i.Hash); err != nil {
			return "", nil, "", err
		}
	}
	if unsalted[kind] != nil {
		return kind, hash, importedID(kind, hash), nil
	}
	switch {
	case s.Compare == nil:
		return "", nil, "", invalidf("the server cannot compare salted hashes")
	case i.Name == "":
		return "", nil, "", invalidf("a salted hash is found by the id of the token: id is missing")
	case len(s.Patterns) == 0:
		return "", nil, "", invalidf("a salted hash is found by the id of the token: the configuration has no token_pattern that says where it stands")
	}
	return kind, hash, importedID(saltedKind, []byte(i.Name)), nil
}

// importedBefore returns the record of a token that was imported already; nil: it was not.
func (s APITokens) importedBefore(ctx context.Context, id, kind string, hash []byte) (*record.Stored[storedAPIToken], error) {
	t, err := s.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil || t.Value.abandoned() {
		return t, err
	}
	same := func(k string, h []byte) bool { return k == kind && string(h) == string(hash) }
	if !same(t.Value.Kind, t.Value.Hash) && !slices.ContainsFunc(t.Value.Old, func(o oldSecret) bool { return same(o.Kind, o.Hash) }) {
		// A roll forgets the oldest secrets in the end.
		if t.Value.Rolled.IsZero() {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, ErrConflicting)
		}
	}
	return t, nil
}
