package verify

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// errPath is invalid_request (RFC 6750 §3.1).
var errPath = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
	Description: "the path has a dot segment, a backslash or a NUL, plain or in disguise",
	Cause:       errors.New("the upstream could take it for the path of another route"),
	Option:      "insecure_any_path"}

// maxEscapes is how many times a path may be escaped, the first time included.
const maxEscapes = 4

// ambiguousPath reports whether an upstream could read another path in that of u than whoever chose
// the route: because of a dot segment (RFC 3986 §5.2.4), of a backslash, which some servers take
// for a slash, or of a NUL, at which some stop. Servers differ in how often they unescape a path,
// in whether they drop the parameters of a segment ("..;") first, and in what other bytes they take
// for a dot. An escaped slash alone is lawful, and common.
func ambiguousPath(u *url.URL) bool {
	path := u.Path // unescaped once
	for range maxEscapes {
		if !suspicious(path) {
			return false
		}
		plain := lookalikes.Replace(path)
		if strings.ContainsAny(plain, "\\\x00") || hasDotSegment(plain) {
			return true
		}
		if plain = unescape(path); plain == path {
			return false
		}
		path = plain
	}
	return true
}

// suspicious is false for nearly all paths, at once.
func suspicious(path string) bool {
	start := true
	for i := range len(path) {
		switch c := path[i]; {
		case c == '%', c == '\\', c == 0, c >= 0x80, c == '.' && start:
			return true
		default:
			start = c == '/'
		}
	}
	return false
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		switch strings.TrimRight(segment, " \t") { // as Windows does
		case ".", "..":
			return true
		}
	}
	return false
}

// lookalikes are what some servers make a dot, a slash, a backslash or a NUL of: UTF-8 that is
// longer than need be, and characters that compatibility normalization or a code page maps to them.
var lookalikes = strings.NewReplacer(
	"\xc0\x80", "\x00", "\xe0\x80\x80", "\x00",
	"\xc0\xae", ".", "\xe0\x80\xae", ".", "\xf0\x80\x80\xae", ".",
	"\xc0\xaf", "/", "\xe0\x80\xaf", "/", "\xf0\x80\x80\xaf", "/",
	"\xc1\x9c", "\\", "\xe0\x81\x9c", "\\", "\xf0\x80\x81\x9c", "\\",
	"\uff0e", ".", "\u2024", ".", "\u2025", "..",
	"\uff0f", "/", "\u2044", "/", "\u2215", "/", "\uff3c", "/", "\u2216", "/",
)

// unescape replaces each percent-encoded byte, and leaves what only looks like one.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var plain strings.Builder
	plain.Grow(len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if b, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				plain.WriteByte(byte(b))
				i += 2
				continue
			}
		}
		plain.WriteByte(path[i])
	}
	return plain.String()
}
