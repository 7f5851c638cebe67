package state

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Tokens that another system has handed out have whatever form they have. One of them is found by
// its own digest, if that is what the other system has kept: the id of its record is derived from
// it. Where it has kept a salted hash, the id is derived from the name that the other system has
// for the token, which must be a part of it: a TokenPattern says where.

// The ways in which other systems keep tokens.
const (
	hashSHA256   = "sha256" // of the whole token, without salt
	hashSHA512   = "sha512"
	hashBcrypt   = "bcrypt"
	hashArgon2id = "argon2id"
)

// maxImported is the longest token of another system, in bytes.
const maxImported = 4096

// unsalted are the digests by which a token is found.
var unsalted = map[string]func(token string) []byte{
	hashSHA256: record.Hash,
	hashSHA512: func(token string) []byte { sum := sha512.Sum512([]byte(token)); return sum[:] },
}

// What a salted hash may cost at most: whoever knows the name of a token makes the server pay it.
const (
	maxBcryptCost = 14
	maxArgon2KiB  = 64 << 10 // of each of those that are computed at once
	maxArgon2Time = 10
	maxArgon2Par  = 16
)

var (
	bcryptText   = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)
	argon2idText = regexp.MustCompile(`^\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]{0,2}),p=([1-9][0-9]{0,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$`)
)

// parseHash reads a hash: sha256: or sha512: and the digest in hexadecimal or base64, or a hash of
// bcrypt or argon2id as these are written everywhere.
func parseHash(text string) (kind string, hash []byte, err error) {
	if name, digest, ok := strings.Cut(text, ":"); ok && unsalted[name] != nil {
		want := len(unsalted[name](""))
		for _, decode := range []func(string) ([]byte, error){
			hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
			base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
		} {
			if hash, err := decode(digest); err == nil && len(hash) == want {
				return name, hash, nil
			}
		}
		return "", nil, invalidf("hash: %s of %d bytes, in hexadecimal or base64, expected", name, want)
	}
	if m := bcryptText.FindStringSubmatch(text); m != nil {
		if cost, _ := strconv.Atoi(m[1]); cost < 4 || cost > maxBcryptCost {
			return "", nil, invalidf("hash: the cost of bcrypt must be 4 to %d", maxBcryptCost)
		}
		return hashBcrypt, []byte(text), nil
	}
	if m := argon2idText.FindStringSubmatch(text); m != nil {
		return hashArgon2id, []byte(text), checkArgon2id(m)
	}
	return "", nil, invalidf("hash: sha256:… or sha512:… in hexadecimal or base64, or a hash of bcrypt or argon2id, expected")
}

// checkArgon2id checks the parameters of a hash, its salt and its digest: what other programs write
// otherwise is compared by none of ours.
func checkArgon2id(found []string) error {
	number := func(i int) int { n, _ := strconv.Atoi(found[i]); return n } // up to seven digits
	if kib, par := number(1), number(3); kib > maxArgon2KiB || number(2) > maxArgon2Time || par > maxArgon2Par || kib < 8*par {
		return invalidf("hash: argon2id must take 8 KiB for each thread to %d KiB, up to %d passes, and up to %d threads",
			maxArgon2KiB, maxArgon2Time, maxArgon2Par)
	}
	for _, part := range found[4:6] {
		if _, err := base64.RawStdEncoding.Strict().DecodeString(part); err != nil {
			return invalidf("hash: the salt or digest of argon2id is no base64 (RFC 4648 §4, without padding)")
		}
	}
	return nil
}

// importedID derives the id of a record from what the token is found by.
func importedID(kind string, key []byte) string {
	sum := sha256.Sum256(append([]byte("tokenep imported token\x00"+kind+"\x00"), key...))
	id := make([]byte, idLength)
	for i := range id {
		// 12 of 32 bytes; that some letters are a little more frequent does no harm.
		id[i] = base62[int(sum[i])%len(base62)]
	}
	return string(id)
}

// saltedKind stands in importedID for tokens that are found by their name.
const saltedKind = "name"

// TokenPattern says where in the tokens of another system their name stands: it is a regular
// expression for the whole token, with a group id. The prefix of the tokens, or something like it,
// should be in it.
type TokenPattern struct{ *regexp.Regexp }

// ParseTokenPattern reads a pattern.
func ParseTokenPattern(text string) (TokenPattern, error) {
	p, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return TokenPattern{}, fmt.Errorf("the pattern of tokens is no regular expression: %w", err)
	}
	if p.SubexpIndex("id") < 0 {
		return TokenPattern{}, errors.New("the pattern of tokens has no group for their name, which is written (?P<id>…)")
	}
	return TokenPattern{p}, nil
}

// name returns the name of a token, or "".
func (p TokenPattern) name(token string) string {
	m := p.FindStringSubmatch(token)
	if m == nil {
		return ""
	}
	return m[p.SubexpIndex("id")]
}

// findImported returns the record of a token of another system, whose secret is right. It reads one
// record for each digest that is in use, and one for each pattern that fits. If nothing was
// imported it reads nothing.
func (s APITokens) findImported(ctx context.Context, token string, from netip.Addr) (*record.Stored[storedAPIToken], error) {
	kinds := s.Imports.kinds()
	if len(kinds) == 0 || len(token) > maxImported {
		return nil, ErrMalformedAPIToken
	}
	for _, kind := range kinds {
		if unsalted[kind] == nil {
			continue
		}
		if t, err := s.findDigest(ctx, kind, unsalted[kind](token)); t != nil || err != nil {
			return t, err
		}
	}
	if slices.Contains(kinds, hashBcrypt) || slices.Contains(kinds, hashArgon2id) {
		return s.findName(ctx, token, from)
	}
	return nil, ErrMalformedAPIToken
}

// findDigest returns the record of a token with this digest, or nil.
func (s APITokens) findDigest(ctx context.Context, kind string, hash []byte) (*record.Stored[storedAPIToken], error) {
	t, err := s.loadImported(ctx, importedID(kind, hash))
	if t == nil || err != nil {
		return nil, err
	}
	if err := t.Value.presented(kind, hash, s.second()); !errors.Is(err, ErrUnknownAPIToken) {
		return t, err
	}
	return nil, nil
}

// findName returns the record of a token that has a name, and a salted hash.
func (s APITokens) findName(ctx context.Context, token string, from netip.Addr) (*record.Stored[storedAPIToken], error) {
	for _, p := range s.Patterns {
		name := p.name(token)
		if name == "" {
			continue
		}
		t, err := s.loadImported(ctx, importedID(saltedKind, []byte(name)))
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		right, err := s.compareSalted(ctx, &t.Value, token, from)
		switch {
		case err != nil:
			return nil, err
		case right == nil:
			return nil, ErrUnknownAPIToken
		}
		return t, t.Value.until(right, s.second())
	}
	return nil, ErrMalformedAPIToken
}

// loadImported returns a record, or nil if there is none that was imported.
func (s APITokens) loadImported(ctx context.Context, id string) (*record.Stored[storedAPIToken], error) {
	t, err := s.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil || !t.Value.Imported {
		return nil, err
	}
	return t, nil
}

// compareSalted returns the secret of a record that the token has: that of the other system, which
// may be an old one by now.
func (s APITokens) compareSalted(ctx context.Context, t *storedAPIToken, token string, from netip.Addr) (*oldSecret, error) {
	secrets := append([]oldSecret{{Kind: t.Kind, Hash: t.Hash}}, t.Old...)
	for i := range secrets {
		if kind := secrets[i].Kind; kind != hashBcrypt && kind != hashArgon2id {
			continue
		}
		if s.Compare == nil {
			return nil, errors.New("the server cannot compare salted hashes of API tokens")
		}
		right, err := s.Compare(ctx, from, secrets[i].Hash, []byte(token))
		if err != nil {
			return nil, err
		}
		if right && i == 0 {
			return &oldSecret{}, nil
		}
		if right {
			return &secrets[i], nil
		}
	}
	return nil, nil
}
