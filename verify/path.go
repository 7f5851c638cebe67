package verify

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Refusals with invalid_request (RFC 6750 §3.1).
var (
	errPath = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the path has a dot segment, a backslash or a NUL, plain or in disguise",
		Cause:       errAnotherRoute, Option: "insecure_any_path"}
	errTarget = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the target of the request is no path that begins with one slash",
		Cause:       errAnotherRoute, Option: "insecure_any_path"}

	errAnotherRoute = errors.New("the upstream could take it for the path of another route")
)

// maxEscapes is how many times a path may be escaped, the first time included.
const maxEscapes = 4

// checkPath refuses what an upstream could take for the path of another route.
func (g *Guard) checkPath(r *http.Request) error {
	switch {
	case g.InsecureAnyPath:
	case !g.targetsPath(r):
		return errTarget
	case ambiguousPath(r.URL):
		return errPath
	}
	return nil
}

// targetsPath reports whether the target of a request is a path, with or without scheme and host in
// front of it (RFC 9112 §3.2). Without a path it is "/" to the upstream, and to no matcher of
// routes. Of one that is opaque, such as x:orders, the upstream gets what follows the scheme. What
// begins with two slashes is a host and its path to those who resolve it as a reference (RFC 3986
// §4.2).
//
// A path may be empty where something in front has taken off all of it, and is where a client asks
// for a tunnel (RFC 9110 §9.3.6).
func (g *Guard) targetsPath(r *http.Request) bool {
	switch u := r.URL; {
	case u.Opaque != "":
		return false
	case u.Path != "":
		return u.Path[0] == '/' && !(strings.HasPrefix(u.Path, "//") && strings.HasPrefix(u.EscapedPath(), "//"))
	case r.Method == http.MethodConnect:
		return true
	case g.Received != nil:
		_, sent := g.Received(r)
		return sent.Path != ""
	}
	return r.RequestURI == "" || r.RequestURI[0] == '/'
}

// ambiguousPath reports whether an upstream could read another path in that of u than whoever chose
// the route: because of a dot segment (RFC 3986 §5.2.4), of a backslash, which some servers take
// for a slash, or of a NUL, at which some stop. Servers differ in how often they unescape a path,
// in whether they drop the parameters of a segment ("..;") first, and all of one that is nothing
// else (";"), and in what other bytes they take for a dot. An escaped slash alone is lawful, and
// common.
func ambiguousPath(u *url.URL) bool {
	path := u.Path // unescaped once
	for range maxEscapes {
		if !suspicious(path) {
			return false
		}
		plain := lookalikes.Replace(overlong(path))
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
		case c == '%', c == '\\', c == 0, c >= 0x80, (c == '.' || c == ';') && start:
			return true
		default:
			start = c == '/' || start && (c <= ' ' || c == 0x7f)
		}
	}
	return false
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		segment, _, parameters := strings.Cut(segment, ";")
		switch strings.Map(visible, segment) {
		case ".", "..":
			return true
		case "":
			if parameters {
				return true
			}
		}
	}
	return false
}

// visible drops what some server drops from a segment: white space, which Windows does at the
// end, control and format characters, and bytes that are no UTF-8.
func visible(c rune) rune {
	if unicode.IsSpace(c) || unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == utf8.RuneError {
		return -1
	}
	return c
}

// lookalikes are characters of which some servers make a dot, a slash or a backslash, by
// compatibility normalization or a code page.
var lookalikes = strings.NewReplacer(
	"\uff0e", ".", "\ufe52", ".", "\u2024", ".", "\u2025", "..",
	"\uff0f", "/", "\u2044", "/", "\u2215", "/", "\uff3c", "/", "\ufe68", "/", "\u2216", "/",
)

// overlong replaces what is like UTF-8 but longer than need be by the ASCII character that some
// servers read there (RFC 3629 §10). Those look at no bit but the last six of each byte that
// follows, so that it need not be one that may follow.
func overlong(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	var plain strings.Builder
	plain.Grow(len(path))
	for i := 0; i < len(path); i++ {
		c, length := rune(path[i]), 1
		switch rest := path[i+1:]; {
		case (c == 0xc0 || c == 0xc1) && len(rest) >= 1:
			c, length = c&1<<6|rune(rest[0])&0x3f, 2
		case c == 0xe0 && len(rest) >= 2 && rest[0]&0x3e == 0:
			c, length = rune(rest[0])&1<<6|rune(rest[1])&0x3f, 3
		case c == 0xf0 && len(rest) >= 3 && rest[0]&0x3f == 0 && rest[1]&0x3e == 0:
			c, length = rune(rest[1])&1<<6|rune(rest[2])&0x3f, 4
		}
		plain.WriteByte(byte(c))
		i += length - 1
	}
	return plain.String()
}

// unescape replaces each percent-encoded byte, and each %uXXXX of IIS by its character. It leaves
// what only looks like one.
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
		if strings.HasPrefix(path[i:], "%u") || strings.HasPrefix(path[i:], "%U") {
			if c, err := strconv.ParseUint(path[i+2:min(i+6, len(path))], 16, 16); err == nil && i+6 <= len(path) {
				plain.WriteRune(rune(c))
				i += 5
				continue
			}
		}
		plain.WriteByte(path[i])
	}
	return plain.String()
}
