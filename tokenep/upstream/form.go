package upstream

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Form is how a credential is written where it goes. nil: as it is.
type Form func(credential string) (string, error)

var errBasic = errors.New("it must be a user name, a colon and a password, without control characters (RFC 7617)")

// Basic writes a user name, a colon and a password as the value of Authorization (RFC 7617 §2).
func Basic(credential string) (string, error) {
	name, _, found := strings.Cut(credential, ":")
	if !found || name == "" || strings.ContainsFunc(credential, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", errBasic
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credential)), nil
}

// Scheme writes an authentication scheme and a space before the credential (RFC 9110 §11.4).
func Scheme(scheme string) Form {
	return func(credential string) (string, error) { return scheme + " " + credential, nil }
}

func (f Form) write(credential string) (string, error) {
	if f == nil {
		return credential, nil
	}
	return f(credential)
}
