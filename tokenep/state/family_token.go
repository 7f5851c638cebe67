package state

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
)

// The text of a refresh token is rt_ and, in base64url, the id of its family, its generation, the
// family's secret, and a MAC over all three; and then a checksum, by which a secret scanner that
// has no key tells it from other texts. Those of earlier versions have none, and are good. The id
// finds the record, and the generation says which of the family's tokens it is. Thanks to the MAC,
// junk is refused without a look-up. All tokens of a family differ in the generation alone, so that
// the server can write the successor of any of them again, and never stores one.
//
// With the MAC alone, whoever can read the store, and with it the key, could make tokens. So there
// is a secret, of which the record has only the hash.
const (
	refreshPrefix   = "rt_"
	familyIDBytes   = 18 // 24 characters; 144 bits, so that ids do not collide
	familySecret    = 32
	refreshMACBytes = sha256.Size

	// A multiple of three, so that base64 has no spare bits.
	refreshBytes  = familyIDBytes + 8 + familySecret + refreshMACBytes
	refreshLength = len(refreshPrefix) + refreshBytes/3*4
)

// RefreshTokenPattern is a regular expression, for secret scanners, of refresh tokens.
var RefreshTokenPattern = fmt.Sprintf(`\b%s[0-9A-Za-z_-]{%d}[0-9A-Za-z]{%d}\b`, refreshPrefix, refreshLength-len(refreshPrefix), crcLength)

// refreshToken is what a refresh token says.
type refreshToken struct {
	family     [familyIDBytes]byte
	generation uint64 // from 1
	secret     [familySecret]byte
	unchecked  bool // it was written without a checksum
}

// newRefreshToken returns the first token of a family that is yet to be named.
func newRefreshToken() (t refreshToken) {
	t.generation = 1
	rand.Read(t.secret[:]) // never fails
	return t
}

// format writes the token.
func (t refreshToken) format(mac *RefreshMAC) string {
	b := t.appendBody(make([]byte, 0, refreshBytes))
	b = mac.appendTo(b, b)
	text := string(base64.RawURLEncoding.AppendEncode([]byte(refreshPrefix), b))
	if t.unchecked {
		return text
	}
	return Checked(text)
}

func (t refreshToken) appendBody(b []byte) []byte {
	b = append(b, t.family[:]...)
	b = binary.BigEndian.AppendUint64(b, t.generation)
	return append(b, t.secret[:]...)
}

// parseRefreshToken is the inverse of format, and refuses everything that format would not have
// written with this key.
func parseRefreshToken(mac *RefreshMAC, token string) (t refreshToken, ok bool) {
	if t.unchecked = len(token) == refreshLength; !t.unchecked {
		if len(token) != refreshLength+crcLength {
			return t, false
		}
		body, ok := Unchecked(token)
		if !ok {
			return t, false
		}
		token = body
	}
	text, found := strings.CutPrefix(token, refreshPrefix)
	if !found {
		return t, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != refreshBytes { // fewer: the decoder skips line ends
		return t, false
	}
	body, sum := b[:refreshBytes-refreshMACBytes], b[refreshBytes-refreshMACBytes:]
	if !hmac.Equal(sum, mac.appendTo(nil, body)) {
		return t, false
	}
	copy(t.family[:], body)
	t.generation = binary.BigEndian.Uint64(body[familyIDBytes:])
	copy(t.secret[:], body[familyIDBytes+8:])
	return t, true
}

// RefreshMAC computes the MACs of refresh tokens (HMAC-SHA-256, RFC 2104). It is safe for
// concurrent use, once it has a key.
type RefreshMAC struct {
	keyed atomic.Pointer[sync.Pool] // of hash.Hash: keying one costs more than the MAC
}

// NewRefreshMAC returns the MAC with a key of at least 32 bytes; see RefreshKey.
func NewRefreshMAC(key []byte) (*RefreshMAC, error) {
	m := new(RefreshMAC)
	return m, m.SetKey(key)
}

// SetKey gives the key to a MAC that was made before its key was known, or another one.
func (m *RefreshMAC) SetKey(key []byte) error {
	if len(key) < minRefreshKey {
		return invalidf("the key of refresh tokens has %d bytes, expected at least %d", len(key), minRefreshKey)
	}
	m.setKey(key)
	return nil
}

func (m *RefreshMAC) setKey(key []byte) {
	key = slices.Clone(key)
	m.keyed.Store(&sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
}

var refreshMACLabel = []byte("tokenep refresh token 1\x00") // so that the key may have other uses

// appendTo appends the MAC of body to b.
func (m *RefreshMAC) appendTo(b, body []byte) []byte {
	pool := m.keyed.Load()
	mac := pool.Get().(hash.Hash)
	defer pool.Put(mac)
	mac.Reset()
	mac.Write(refreshMACLabel)
	mac.Write(body)
	return mac.Sum(b)
}

func (t refreshToken) familyID() string { return base64.RawURLEncoding.EncodeToString(t.family[:]) }

// successor is the token that this one is rotated to.
func (t refreshToken) successor() refreshToken {
	t.generation++
	t.unchecked = false
	return t
}

// secretHash is what the record of the family has in place of the secret.
func (t refreshToken) secretHash() []byte { return record.Hash(string(t.secret[:])) }

// IsRefreshToken reports whether text has the shape of a refresh token, of any server, good or not.
func IsRefreshToken(text string) bool {
	if len(text) == refreshLength+crcLength {
		var ok bool
		if text, ok = Unchecked(text); !ok {
			return false
		}
	}
	return len(text) == refreshLength && strings.HasPrefix(text, refreshPrefix)
}

// NewFamilyID returns the id of a family that is to be started.
func NewFamilyID() string {
	var id [familyIDBytes]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// parseFamilyID is the inverse of NewFamilyID.
func parseFamilyID(id string) (family [familyIDBytes]byte, err error) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) != familyIDBytes || len(id) != familyIDBytes/3*4 {
		return family, invalidf("%.40q is not the id of a family", id)
	}
	copy(family[:], b)
	return family, nil
}
