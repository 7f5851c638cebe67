package clientauth

import (
	"encoding/base64"
	"net/url"
	"slices"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// One of the readings of accepted credentials is what was sent, byte for byte. Credentials that are
// encoded as RFC 6749 §2.3.1 says are read as that first.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"billing:secret", "a%3Ab:c+d", "%zz:%", "\xe9:\xff", "é:ü", ":", "a:", ":b", "a:b:c", "%FF:%00", "none", ""} {
		f.Add([]byte(seed), "id "+seed, seed+"%+&=")
	}
	f.Fuzz(func(t *testing.T, userPass []byte, id, secret string) {
		readings, err := parseBasic(userPass)
		if err == nil && !slices.ContainsFunc(readings, func(r tokenep.Reading) bool {
			text := r.ID + ":" + r.Secret
			return text == string(userPass) || isLatin1(text, userPass)
		}) {
			t.Errorf("%q is read as %q", userPass, readings)
		}
		for i, r := range readings {
			if slices.Contains(readings[:i], r) {
				t.Errorf("%q is read as %q twice", userPass, r)
			}
		}
		encoded := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		readings, err = parseBasic([]byte(encoded))
		if err != nil || readings[0] != (tokenep.Reading{ID: id, Secret: secret}) {
			t.Errorf("%q and %q are read as %q, %v", id, secret, readings, err)
		}
	})
}

// isLatin1 reports whether raw is text in ISO 8859-1.
func isLatin1(text string, raw []byte) bool {
	var bytes []byte
	for _, r := range text {
		if r > 0xff {
			return false
		}
		bytes = append(bytes, byte(r))
	}
	return string(bytes) == string(raw)
}

// parseBasic returns the readings of user-pass (RFC 7617 §2), as a header has it.
func parseBasic(userPass []byte) ([]tokenep.Reading, error) {
	raw, err := decodeBasic(base64.StdEncoding.EncodeToString(userPass), nil)
	if err != nil {
		return nil, err
	}
	return readingsOf(string(raw)), nil
}
