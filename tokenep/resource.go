package tokenep

import (
	"slices"
	"strings"
)

// SameResource reports whether two URIs are one by what the libraries of clients change in a URL
// without being asked: the case of scheme and host (RFC 3986 §6.2.2.1), the default port, and an
// empty path in place of / (§6.2.3). Userinfo, path, query and percent-encoding (§6.2.2.2) are
// compared byte by byte: no such library touches %7E, and a configuration can have it as clients
// do.
func SameResource(a, b string) bool { return a == b || canonicalResource(a) == canonicalResource(b) }

// defaultPorts are those of RFC 9110 §4.2.
var defaultPorts = map[string]string{"http": ":80", "https": ":443"}

// canonicalResource returns the form in which equal resources are the same text. A URI without an
// authority stays as it is.
func canonicalResource(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return uri
	}
	scheme = strings.ToLower(scheme)
	authority, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, path = rest[:end], rest[end:]
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	at := strings.LastIndexByte(authority, '@') + 1
	host := strings.ToLower(authority[at:])
	host = strings.TrimSuffix(strings.TrimSuffix(host, defaultPorts[scheme]), ":")
	return scheme + "://" + authority[:at] + host + path
}

// Within returns what was asked for as it is written in allowed, and whether all of it is there. An
// audience is a name that both sides know (RFC 8693 §2.1), and is compared byte by byte; a resource
// is a URI (RFC 8707 §2). What is allowed is what the token will say, since verifiers compare aud
// byte by byte (RFC 7519 §2).
func (r *Request) Within(allowed []string) (targets []string, ok bool) {
	for _, asked := range r.Audience {
		i := slices.Index(allowed, asked)
		if i < 0 && slices.Contains(r.resources, asked) {
			form := canonicalResource(asked)
			i = slices.IndexFunc(allowed, func(target string) bool { return canonicalResource(target) == form })
		}
		if i < 0 {
			return nil, false
		}
		if !slices.Contains(targets, allowed[i]) {
			targets = append(targets, allowed[i])
		}
	}
	return targets, true
}

// within reports whether all that was asked for is allowed.
func (r *Request) within(allowed []string) bool {
	_, ok := r.Within(allowed)
	return ok
}
