package tokenep

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Minter makes signed tokens: access tokens as RFC 9068 describes them, and ID tokens.
type Minter struct {
	Issuer string           // iss
	Keys   *keys.Ring       // the active key signs access tokens
	Cache  *verify.Cache    // gets the access tokens that are issued, already proven; may be nil
	Now    func() time.Time // the clock of the endpoints

	// IDTokenKeys are the rings that sign ID tokens, by their algorithm. Where there is none, Keys
	// do.
	IDTokenKeys map[string]*keys.Ring
}

// Claims is what an access token says (RFC 9068 §2.2).
type Claims struct {
	ID       string // jti; empty: a new one
	Subject  string
	ClientID string
	Audience []string
	Scope    verify.Scope
	IssuedAt time.Time // whole seconds
	Expires  time.Time // whole seconds

	// GrantID is the private claim grant_id: the authorization under which the token was issued, so
	// that all that came of it can be revoked at once.
	GrantID string

	// Ancestors is the private claim ancestors: what else the token came of.
	Ancestors []verify.Ancestor

	// Limits are the private claim use_limits.
	Limits []verify.Limit

	// ChainIssuedAt and ChainExpires are the private claims chain_iat and chain_exp: when the first
	// token of a chain of exchanges was issued, and when what it came of expires. Zero: there is no
	// such claim.
	ChainIssuedAt, ChainExpires time.Time

	Act          map[string]any
	MayAct       map[string]any
	Confirmation map[string]any
	SignIn       SignIn
	Extra        map[string]any
}

// Minted is a new access token.
type Minted struct {
	Token string
	ID    string // its jti

	key      crypto.PublicKey
	clientID string
	expires  time.Time
}

// maxToken is the length that verify.Config accepts by default: a longer token is good nowhere.
const maxToken = 8 << 10

// The values of typ that are signed here.
const (
	accessTokenTyp = "at+jwt" // RFC 9068 §2.1
	idTokenTyp     = "JWT"
)

// Mint signs an access token. The JSON is written by hand, and the key has its header ready, so
// that nearly all of the cost is that of the signature.
//
// Whoever issues the token calls Remember; one that is dropped instead leaves no trace.
func (m *Minter) Mint(c *Claims) (Minted, error) {
	id := cmp.Or(c.ID, newID())
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	payload, err := c.appendJSON((*buffer)[:0], m.Issuer, id)
	if err != nil {
		return Minted{}, err
	}
	*buffer = payload
	key, err := active(m.Keys)
	if err != nil {
		return Minted{}, err
	}
	token, err := sign(key, accessTokenTyp, payload)
	if err != nil {
		return Minted{}, err
	}
	if len(token) > maxToken {
		return Minted{}, InvalidRequest.Describe("the token would be longer than verifiers accept; " +
			"ask for less scope or fewer audiences")
	}
	return Minted{Token: token, ID: id, key: key.Public(), clientID: c.ClientID, expires: c.Expires}, nil
}

// Remember puts an access token that is being issued into the cache, so that a verifier of this
// process need not prove it again.
func (m *Minter) Remember(t Minted) {
	if m.Cache != nil && t.Token != "" {
		m.Cache.Insert(t.Token, t.key, m.Issuer, t.clientID, t.expires)
	}
}

// active returns the key of a ring that signs.
func active(ring *keys.Ring) (*keys.Key, error) {
	key, err := ring.Active()
	if err != nil {
		return nil, TemporarilyUnavailable.Describe("the server has no signing key yet").Because(err)
	}
	return key, nil
}

// buffers are where tokens are put together.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// sign returns a JWS in compact form (RFC 7515 §7.1).
func sign(key *keys.Key, typ string, payload []byte) (string, error) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	token := append((*buffer)[:0], key.Header(typ)...)
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signed := len(token)
	token = append(token, '.')
	token, err := key.AppendSignature(token, token[:signed])
	if err != nil {
		return "", err
	}
	*buffer = token
	return string(token), nil
}

// newID returns a jti: 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// appendJSON appends the claims set.
func (c *Claims) appendJSON(b []byte, issuer, id string) ([]byte, error) {
	b = append(b, `{"iss":`...)
	b = appendString(b, issuer)
	b = append(b, `,"sub":`...)
	b = appendString(b, c.Subject)
	b = append(b, `,"aud":`...)
	b = appendAudience(b, c.Audience)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt.Unix(), 10)
	b = append(b, `,"jti":`...)
	b = appendString(b, id)
	b = append(b, `,"client_id":`...)
	b = appendString(b, c.ClientID)
	if len(c.Scope) > 0 {
		b = append(b, `,"scope":`...)
		b = appendString(b, c.Scope.String())
	}
	if c.GrantID != "" {
		b = append(b, `,"grant_id":`...)
		b = appendString(b, c.GrantID)
	}
	return c.appendRare(b)
}

// appendRare appends the claims that most tokens lack, and ends the object.
func (c *Claims) appendRare(b []byte) ([]byte, error) {
	b = appendDate(b, "auth_time", c.SignIn.Time)
	if c.SignIn.Class != "" {
		b = append(b, `,"acr":`...)
		b = appendString(b, c.SignIn.Class)
	}
	b = appendDate(b, ChainIssuedAtClaim, c.ChainIssuedAt)
	b = appendDate(b, ChainExpiresClaim, c.ChainExpires)
	var err error
	if len(c.Ancestors) > 0 {
		if b, err = appendMember(b, "ancestors", c.Ancestors); err != nil {
			return nil, err
		}
	}
	if len(c.Limits) > 0 {
		if b, err = appendMember(b, "use_limits", c.Limits); err != nil {
			return nil, err
		}
	}
	if len(c.SignIn.Methods) > 0 {
		if b, err = appendMember(b, "amr", c.SignIn.Methods); err != nil {
			return nil, err
		}
	}
	for _, object := range []struct {
		name  string
		value map[string]any
	}{{"act", c.Act}, {"may_act", c.MayAct}, {"cnf", c.Confirmation}} {
		if object.value == nil {
			continue
		}
		if b, err = appendMember(b, object.name, object.value); err != nil {
			return nil, err
		}
	}
	if len(c.Extra) > 0 {
		for _, name := range slices.Sorted(maps.Keys(c.Extra)) {
			if b, err = appendMember(b, name, c.Extra[name]); err != nil {
				return nil, err
			}
		}
	}
	return append(b, '}'), nil
}

// appendDate appends one more member of an object, a NumericDate (RFC 7519 §2), unless it is zero.
func appendDate(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, t.Unix(), 10)
}

// appendMember appends one more member of an object.
func appendMember(b []byte, name string, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("claim %q: %w", name, err)
	}
	b = append(b, ',')
	b = appendString(b, name)
	b = append(b, ':')
	return append(b, text...), nil
}

// The claims that bound a chain of exchanges. They are private ones (RFC 7519 §4.3).
const (
	ChainIssuedAtClaim = "chain_iat"
	ChainExpiresClaim  = "chain_exp"
)

// ownClaims are the claims that access tokens have here, but for extra ones.
var ownClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "jti", // RFC 7519 §4.1
	"client_id", "scope", "act", "may_act", // RFC 8693 §4
	"auth_time", "acr", "amr", "cnf", // RFC 9068 §2.2.1, RFC 7800 §3.1
	"grant_id", "ancestors", "use_limits", ChainIssuedAtClaim, ChainExpiresClaim,
}

// OwnClaims returns the names of the claims that an access token can have whatever the grant.
func OwnClaims() []string { return slices.Clone(ownClaims) }

// reservedClaims have a meaning here, or to a verifier: a grant cannot set them as extra claims.
var reservedClaims = append(OwnClaims(), "nbf",
	"events", "at_hash", "c_hash") // they mark tokens that are no access tokens

var errReservedClaim = errors.New("a further claim must not have a reserved name")

// IsReservedClaim reports whether a claim has a meaning to this server, in any case, so that no
// grant can set it.
func IsReservedClaim(name string) bool {
	return slices.ContainsFunc(reservedClaims, func(r string) bool { return strings.EqualFold(r, name) })
}

// CheckExtra refuses an extra claim that would pass for one of the server's own.
func CheckExtra(extra map[string]any) error {
	for name := range extra {
		if name == "" || IsReservedClaim(name) || !utf8.ValidString(name) {
			return fmt.Errorf("%w: %q", errReservedClaim, name)
		}
	}
	return nil
}

// appendAudience appends one audience as a string and several as an array (RFC 7519 §4.1.3).
func appendAudience(b []byte, audience []string) []byte {
	if len(audience) == 1 {
		return appendString(b, audience[0])
	}
	b = append(b, '[')
	for i, a := range audience {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, a)
	}
	return append(b, ']')
}

// plain has the characters that need no escape in a JSON string, for texts as long as a token.
var plain = func() (is [256]bool) {
	for c := ' '; c <= '~'; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// appendString appends s as a JSON string. A string that needs no escape is copied: nearly all are.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			text, _ := json.Marshal(s) // a string always has a JSON form
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
