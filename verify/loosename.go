package verify

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// looseName is the name of a cookie or a parameter as applications read it that are not strict
// about it. A client must send nothing that one of them may take for what the guard has put there.
//
// They differ in what they make equal: letters of both cases; a dot, a space, a bracket and "_";
// what stands before or after such; a name and that of its elements, such as user[], user[0] and
// user.id; a name and what NUL ends in it. All of that is equal here. Names of headers are compared
// by protected, which is looser still.
type looseName string

// loosen returns the letters and digits of a name, in lower case, with "_" for what separates them.
// Letters that some take for ASCII, such as the Kelvin sign, are ASCII.
func loosen(name string) looseName {
	var text strings.Builder
	gap := false
	for _, c := range name {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			gap = true
			continue
		}
		if gap && text.Len() > 0 {
			text.WriteByte('_')
		}
		gap = false
		text.WriteRune(lower(c))
	}
	return looseName(text.String())
}

// lower returns a letter in lower case: that of ASCII, if it is equal to one but for its case.
func lower(c rune) rune {
	for other := unicode.SimpleFold(c); c >= utf8.RuneSelf && other != c; other = unicode.SimpleFold(other) {
		if other < utf8.RuneSelf {
			return unicode.ToLower(other)
		}
	}
	return unicode.ToLower(c)
}

// is reports whether a name may be read as n.
func (n looseName) is(name string) bool {
	for end, c := range name {
		if (c == '[' || c == '.' || c == 0) && loosen(name[:end]) == n {
			return true
		}
	}
	return loosen(name) == n
}

// isParameter is that of a name as it is encoded. One that cannot be decoded could be anything to
// an application.
func (n looseName) isParameter(encoded string) bool {
	name, err := url.QueryUnescape(encoded)
	return err != nil || n.is(name)
}

// isCookie is that of a cookie, which is a name, "=" and a value (RFC 6265 §4.2.1). Some decode
// names, and to some a comma is the end of a cookie (RFC 2965 §3.3.4).
func (n looseName) isCookie(pair string) bool {
	for i := 0; ; i++ {
		first, rest, more := strings.Cut(pair, ",")
		name, _, valued := strings.Cut(strings.TrimLeft(first, "= \t"), "=")
		if (i == 0 || valued) && (n.is(name) || n.isDecoded(name)) {
			return true
		}
		if pair = rest; !more {
			return false
		}
	}
}

func (n looseName) isDecoded(name string) bool {
	decoded, err := url.QueryUnescape(name)
	return err == nil && n.is(decoded)
}
