package tokenep

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Issuer mints access tokens: JWTs as RFC 9068 describes them.
type Issuer struct {
	URL   string           // iss
	Keys  *keys.Ring       // the active key signs
	Cache *verify.Cache    // gets what is minted, so that a verifier in this process need not prove it again; may be nil
	Now   func() time.Time // the clock of the endpoints
}

// Claims is what an access token says (RFC 9068 §2.2).
type Claims struct {
	Subject  string
	ClientID string
	Audience []string
	Scope    verify.Scope
	IssuedAt time.Time // whole seconds
	Expires  time.Time // whole seconds
	GrantID  string    // private claim grant_id: the authorization that the token was issued under, for revoking all that came of it
	Act      map[string]any
	MayAct   map[string]any
}

// Minted is a new token, and its jti for the log.
type Minted struct{ Token, ID string }

// maxToken is the length that verify.Config accepts by default: a longer token would be good nowhere.
const maxToken = 8 << 10

// Mint signs a token. The JSON is written by hand, and the header was encoded when the key was made, so that nearly all of the cost is the signature's.
func (i *Issuer) Mint(c *Claims) (Minted, error) {
	key, err := i.Keys.Active()
	if err != nil {
		return Minted{}, TemporarilyUnavailable.Describe("the server has no signing key yet").Because(err)
	}
	id := newID()
	payload, err := c.appendJSON(make([]byte, 0, 512), i.URL, id)
	if err != nil {
		return Minted{}, err
	}
	header := key.Header("at+jwt")
	token := make([]byte, 0, len(header)+base64.RawURLEncoding.EncodedLen(len(payload))+128) // room for an ES256 signature; another grows it
	token = append(token, header...)
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signed := len(token)
	token = append(token, '.')
	if token, err = key.AppendSignature(token, token[:signed]); err != nil {
		return Minted{}, err
	}
	if len(token) > maxToken {
		return Minted{}, InvalidRequest.Describe("the token would be longer than verifiers accept; ask for less scope or fewer audiences")
	}
	raw := string(token)
	if i.Cache != nil {
		i.Cache.Insert(raw, key.Public(), i.URL, c.ClientID, c.Expires)
	}
	return Minted{raw, id}, nil
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
	b = append(b, `,"jti":"`...)
	b = append(b, id...)
	b = append(b, `","client_id":`...)
	b = appendString(b, c.ClientID)
	if len(c.Scope) > 0 {
		b = append(b, `,"scope":`...)
		b = appendString(b, c.Scope.String())
	}
	if c.GrantID != "" {
		b = append(b, `,"grant_id":`...)
		b = appendString(b, c.GrantID)
	}
	for _, object := range []struct {
		name  string
		value map[string]any
	}{{`,"act":`, c.Act}, {`,"may_act":`, c.MayAct}} {
		if object.value == nil {
			continue
		}
		text, err := json.Marshal(object.value)
		if err != nil {
			return nil, err
		}
		b = append(append(b, object.name...), text...)
	}
	return append(b, '}'), nil
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

// appendString appends s as a JSON string. What needs no escape, which is nearly everything, is copied.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // a string always has a JSON form
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
