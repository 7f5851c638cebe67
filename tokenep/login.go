package tokenep

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// What a person may type, in bytes.
const (
	maxLoginName = 255
	maxPassword  = 1024
)

var errUnreadable = fmt.Errorf("%w: nobody can have such a name or password", ErrNoUser)

// ReadLogin returns name and password as sources are asked for them, and whether anybody can have
// them. Both are UTF-8 in the normalization form C, as in the profiles of RFC 8265, which is what
// keyboards send and what hashes were made of. Nothing else is changed in a password, not even a
// space. White space around a name, which telephones add, is no part of it. Upper and lower case
// are told apart or not by the source.
//
// A name has 1 to 255 bytes, and no control or invisible characters (RFC 8264 §9.13): a directory
// may pass over those (RFC 4518 §2.2), so that one person would have many names. A password has 1
// to 1024 bytes and no NUL.
func ReadLogin(name, password string) (readName, readPassword string, ok bool) {
	if len(name) > maxLoginName || len(password) > maxPassword || !utf8.ValidString(name) || !utf8.ValidString(password) {
		return "", "", false
	}
	name, password = strings.TrimSpace(norm.NFC.String(name)), norm.NFC.String(password)
	ok = name != "" && password != "" && len(name) <= maxLoginName && len(password) <= maxPassword &&
		!strings.ContainsFunc(name, unseen) && strings.IndexByte(password, 0) < 0
	return name, password, ok
}

// unseen reports whether a character of a name is a control, shows nothing, or is passed over when
// names are compared (RFC 4518 §2.2).
func unseen(r rune) bool {
	const todoSoftHyphen, replacement = 0x1806, 0xFFFC
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) ||
		r == todoSoftHyphen || r == replacement
}

// CheckLoginName returns what is wrong with a name that is configured: it must be one that somebody
// can type.
func CheckLoginName(name string) error {
	if read, _, ok := ReadLogin(name, "x"); !ok || read != name {
		return errors.New("a name must have 1 to 255 bytes of UTF-8 in the normalization form C, " +
			"without control or invisible characters, or spaces around it")
	}
	return nil
}

// foldName returns what names have in common that a directory may take for the same: they differ in
// case, accents, width or spaces. It serves only to count.
func foldName(name string) string {
	unmarked := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(name))
	return strings.Join(strings.Fields(cases.Fold().String(unmarked)), " ")
}
