package clientauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Basic is client_secret_basic (RFC 6749 §2.3.1): id and secret in the Authorization header, each
// form-urlencoded and then put together as HTTP Basic credentials (RFC 7617).
//
// Most clients leave out the form-urlencoding, and some write Latin-1, so there are three readings
// of what arrives; the RFC's comes first. Ids and secrets that this server makes read the same in
// all three.
type Basic struct{ Secrets *Secrets }

// Method returns client_secret_basic.
func (Basic) Method() string { return tokenep.AuthBasic }

// RefusalWrites returns 0.
func (Basic) RefusalWrites() tokenep.Effects { return 0 }

var errBasic = errors.New("malformed Basic credentials")

// Credentials reads the Authorization header. An empty password is how some libraries say that the
// client is public: that is method none.
func (b Basic) Credentials(r *tokenep.Request) (*tokenep.Credentials, error) {
	var onStack [rawBasic]byte
	raw, ok, err := readHeader(r.Header, onStack[:0])
	if err != nil || !ok {
		return nil, err
	}
	readings, err := sameClient(r, readingsOf(string(raw)))
	if err != nil {
		return nil, err
	}
	credentials := &tokenep.Credentials{Method: tokenep.AuthBasic, Readings: readings}
	switch first := readings[0]; {
	case first.Secret == "" && first.ID == "":
		return nil, nil
	case first.Secret == "":
		credentials.Method = tokenep.AuthNone
	}
	return credentials, nil
}

// CheckHeader returns what is wrong with the Authorization header whatever the body has. It is
// asked before the body is read.
func (b Basic) CheckHeader(h http.Header) error {
	var onStack [rawBasic]byte
	_, _, err := readHeader(h, onStack[:0])
	return err
}

// rawBasic is how many bytes an id and a secret have together, in most requests.
const rawBasic = 128

// readHeader appends what the Authorization header has to buffer, decoded; ok is false where it is
// of another scheme.
func readHeader(h http.Header, buffer []byte) (raw []byte, ok bool, err error) {
	encoded, ok := basicCredentials(h)
	if !ok {
		return nil, false, nil
	}
	if raw, err = decodeBasic(encoded, buffer); err != nil {
		return nil, true, tokenep.InvalidClient.Describe("client authentication failed").Because(err)
	}
	return raw, true, nil
}

// Verify compares the secret.
func (b Basic) Verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	if cr.Method == tokenep.AuthNone {
		return None{}.Verify(ctx, c, cr)
	}
	return b.Secrets.verify(ctx, c, cr)
}

// basicCredentials returns the token68 of an Authorization header of scheme Basic, in any case (RFC
// 9110 §11.1).
func basicCredentials(h http.Header) (encoded string, ok bool) {
	scheme, encoded, _ := strings.Cut(h.Get("Authorization"), " ")
	return strings.TrimLeft(encoded, " "), strings.EqualFold(scheme, "Basic")
}

// decodeBasic appends the text of a token68, which must have a colon, to buffer.
func decodeBasic(encoded string, buffer []byte) ([]byte, error) {
	raw, err := base64.StdEncoding.AppendDecode(buffer, []byte(encoded))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBasic, err)
	}
	if bytes.IndexByte(raw, ':') < 0 {
		return nil, errBasic
	}
	return raw, nil
}

// readingsOf returns the readings of what decodeBasic has returned, at least one.
func readingsOf(raw string) []tokenep.Reading {
	id, secret, _ := strings.Cut(raw, ":")
	readings := make([]tokenep.Reading, 0, 1)
	add := func(reading tokenep.Reading) {
		if len(readings) == 0 || readings[0] != reading {
			readings = append(readings, reading)
		}
	}
	decodedID, err1 := url.QueryUnescape(id)
	decodedSecret, err2 := url.QueryUnescape(secret)
	if err1 == nil && err2 == nil {
		add(tokenep.Reading{ID: decodedID, Secret: decodedSecret})
	}
	if utf8.ValidString(raw) {
		add(tokenep.Reading{ID: id, Secret: secret})
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c >= utf8.RuneSelf }) {
		add(tokenep.Reading{ID: latin1(id), Secret: latin1(secret)}) // ASCII reads the same in both
	}
	return readings
}

// latin1 reads each byte as the character of that number.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// sameClient holds a client_id in the body against the header's (RFC 6749 §3.2.1 lets a client send
// both), and keeps the readings that agree with it.
func sameClient(r *tokenep.Request, readings []tokenep.Reading) ([]tokenep.Reading, error) {
	id := r.Form.Get("client_id")
	if id == "" {
		return readings, nil
	}
	readings = slices.DeleteFunc(readings, func(reading tokenep.Reading) bool { return reading.ID != id })
	if len(readings) == 0 {
		return nil, tokenep.InvalidRequest.Describe("client_id differs from the client of the Authorization header")
	}
	return readings, nil
}
