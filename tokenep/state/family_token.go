package state

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// The text of a refresh token is rt_ and, in base64url, the id of its family, its generation, the family's secret, and a MAC
// over all three. The id finds the record. The generation says which of the family's tokens it is. The MAC makes both
// believable without a look-up, so that junk costs none; and as all tokens of a family differ in the generation alone, any of
// them lets the server write its successor again, which therefore is never stored.
//
// The MAC alone would make whoever reads the store, and its key, a maker of tokens. So there is a secret, of which the
// record has the hash: a token cannot be made from what the store knows.
const (
	refreshPrefix   = "rt_"
	familyIDBytes   = 18 // 24 characters; 144 bits, so that ids do not collide
	familySecret    = 32
	refreshMACBytes = sha256.Size

	refreshBytes  = familyIDBytes + 8 + familySecret + refreshMACBytes // a multiple of three: base64 without spare bits
	refreshLength = len(refreshPrefix) + refreshBytes/3*4
)

// refreshToken is what a refresh token says.
type refreshToken struct {
	family     [familyIDBytes]byte
	generation uint64 // from 1
	secret     [familySecret]byte
}

// format writes the token.
func (t refreshToken) format(key []byte) string {
	b := t.appendBody(make([]byte, 0, refreshBytes))
	b = append(b, refreshMAC(key, b)...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func (t refreshToken) appendBody(b []byte) []byte {
	b = append(b, t.family[:]...)
	b = binary.BigEndian.AppendUint64(b, t.generation)
	return append(b, t.secret[:]...)
}

// parseRefreshToken is the inverse of format, and refuses everything that format would not have written with this key.
func parseRefreshToken(key []byte, token string) (t refreshToken, ok bool) {
	text, found := strings.CutPrefix(token, refreshPrefix)
	if !found || len(token) != refreshLength {
		return t, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != refreshBytes { // fewer: the decoder skips line ends
		return t, false
	}
	body, mac := b[:refreshBytes-refreshMACBytes], b[refreshBytes-refreshMACBytes:]
	if !hmac.Equal(mac, refreshMAC(key, body)) {
		return t, false
	}
	copy(t.family[:], body)
	t.generation = binary.BigEndian.Uint64(body[familyIDBytes:])
	copy(t.secret[:], body[familyIDBytes+8:])
	return t, true
}

func refreshMAC(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("tokenep refresh token 1\x00")) // so that a key with other uses is none the worse for it
	mac.Write(body)
	return mac.Sum(nil)
}

func (t refreshToken) familyID() string { return base64.RawURLEncoding.EncodeToString(t.family[:]) }

// secretHash is what the record of the family has of its secret.
func (t refreshToken) secretHash() []byte {
	sum := sha256.Sum256(t.secret[:])
	return sum[:]
}

// IsRefreshToken reports whether text has the shape of a refresh token, of whatever server, good or not.
func IsRefreshToken(text string) bool {
	return len(text) == refreshLength && strings.HasPrefix(text, refreshPrefix)
}

// newFamilyID returns the id of a family that is to be started.
func newFamilyID() string {
	var id [familyIDBytes]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// parseFamilyID is the inverse of newFamilyID.
func parseFamilyID(id string) (family [familyIDBytes]byte, err error) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) != familyIDBytes || len(id) != familyIDBytes/3*4 {
		return family, invalidf("%.40q is no id of a family", id)
	}
	copy(family[:], b)
	return family, nil
}

const (
	kindSecret       = "secret" // id: what for; never expires
	refreshKeyID     = "refresh_token_key"
	minRefreshKey    = 32 // bytes
	refreshKeyLength = 32 // bytes
)

type storedSecret struct {
	Secret []byte `json:"secret"`
}

// RefreshKey returns the key of the MACs of refresh tokens for a server to which none is given: made once, and kept in the
// store, so that all nodes have the same one. Of two that make one at the same time, one is refused and takes the other's.
func RefreshKey(ctx context.Context, s store.Store) ([]byte, error) {
	for range swapAttempts {
		kept, _, err := load[storedSecret](ctx, s, kindSecret, refreshKeyID)
		if err == nil && len(kept.Secret) < minRefreshKey {
			return nil, fmt.Errorf("the key of refresh tokens in the store has %d bytes", len(kept.Secret))
		}
		if !errors.Is(err, ErrUnknown) {
			return kept.Secret, err
		}
		made := storedSecret{make([]byte, refreshKeyLength)}
		rand.Read(made.Secret)
		err = insert(ctx, s, kindSecret, refreshKeyID, made, time.Time{})
		if !errors.Is(err, store.ErrExists) {
			return made.Secret, err
		}
	}
	return nil, fmt.Errorf("the key of refresh tokens: %w", store.ErrConflict)
}
