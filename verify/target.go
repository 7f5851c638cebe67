package verify

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The URL of a request, as a DPoP proof names it in htu (RFC 9449 §4.3, point 9): compared without
// query and fragment, after the normalization of RFC 3986 §6.2.2 and §6.2.3.

var errOrigin = errors.New("it must be the http or https URL of a host, without path, such as https://api.example.com")

// CheckOrigin returns what is wrong with one of DPoPOptions.Origins.
func CheckOrigin(origin string) error {
	if _, err := canonicalOrigin(origin); err != nil {
		return fmt.Errorf("origin %q: %w", origin, err)
	}
	return nil
}

// CheckPrefix returns what is wrong with DPoPOptions.Prefix.
func CheckPrefix(prefix string) error {
	canonical, ok := canonicalPath(prefix)
	if prefix != "" && (!ok || canonical != prefix || prefix[0] != '/' || strings.HasSuffix(prefix, "/") || strings.ContainsAny(prefix, "?#\\ ")) {
		return fmt.Errorf("prefix %q: it must be the beginning of a path, without the slash that ends it, such as /v1", prefix)
	}
	return nil
}

// canonicalOrigin returns scheme, host and port in lower case, without the default port.
func canonicalOrigin(text string) (string, error) {
	scheme, rest, ok := cutScheme(text)
	if !ok || !isHTTPURL(scheme) {
		return "", errOrigin
	}
	rest = strings.TrimSuffix(rest, "/")
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(rest, "/?#@") {
		return "", errOrigin
	}
	return scheme + "://" + canonicalAuthority(scheme, rest), nil
}

// cutScheme splits a URL after "://". The scheme is returned in lower case.
func cutScheme(text string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(text, "://")
	return strings.ToLower(scheme), rest, ok
}

func isHTTPURL(scheme string) bool { return scheme == "https" || scheme == "http" }

// canonicalAuthority returns host and port in lower case, without the default port (§6.2.2.1,
// §6.2.3).
func canonicalAuthority(scheme, authority string) string {
	port := ":443"
	if scheme == "http" {
		port = ":80"
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(authority), port), ":")
}

// isTarget reports whether htu is the URL of the request with this target, at one of the origins
// and behind the prefix.
func (d *DPoP) isTarget(htu string, target *url.URL) bool {
	if strings.ContainsFunc(htu, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) {
		return false
	}
	if end := strings.IndexAny(htu, "?#"); end >= 0 {
		htu = htu[:end]
	}
	path := pathOf(target)
	for _, origin := range d.origins { // as nearly every client writes it
		if rest, ok := strings.CutPrefix(htu, origin); ok && rest == d.prefix+path {
			return true
		}
	}
	scheme, rest, ok := cutScheme(htu)
	if !ok || !isHTTPURL(scheme) {
		return false
	}
	authority, claimed := rest, ""
	if end := strings.IndexByte(rest, '/'); end >= 0 {
		authority, claimed = rest[:end], rest[end:]
	}
	claimed, ok = canonicalPath(claimed)
	if !ok {
		return false
	}
	actual, ok := canonicalPath(path)
	// A proxy makes / of what is left where the prefix was all.
	if !ok || claimed != d.prefix+actual && (actual != "/" || claimed != cmp.Or(d.prefix, actual)) {
		return false
	}
	htu = scheme + "://" + canonicalAuthority(scheme, authority)
	for _, origin := range d.origins {
		if htu == origin {
			return true
		}
	}
	return false
}

// pathOf returns the path of a target as it was sent.
func pathOf(target *url.URL) string {
	if target == nil {
		return ""
	}
	if path := target.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

// canonicalPath returns a path with unreserved characters decoded and other octets in upper-case
// hexadecimal (§6.2.2.1, §6.2.2.2), without dot segments (§6.2.2.3). An empty one is "/" (§6.2.3).
func canonicalPath(path string) (string, bool) {
	if path == "" {
		return "/", true
	}
	path, ok := canonicalEscapes(path)
	if !ok {
		return "", false
	}
	if !strings.Contains(path, "/.") {
		return path, true
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return "", false
	}
	// Merging with a base removes dot segments (RFC 3986 §5.2.4), and nothing else.
	merged := (&url.URL{Scheme: "https", Host: "x", Path: "/"}).ResolveReference(&url.URL{Path: plain, RawPath: path})
	return merged.EscapedPath(), true
}

// canonicalEscapes is that of percent-encoding alone.
func canonicalEscapes(path string) (string, bool) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(path, "%")
		b.WriteString(plain)
		if !found {
			return b.String(), true
		}
		if len(rest) < 2 {
			return "", false
		}
		octet, err := url.PathUnescape("%" + rest[:2])
		if err != nil {
			return "", false
		}
		if isUnreserved(octet[0]) {
			b.WriteByte(octet[0])
		} else {
			b.WriteString("%" + strings.ToUpper(rest[:2]))
		}
		path = rest[2:]
	}
}

// isUnreserved: RFC 3986 §2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
