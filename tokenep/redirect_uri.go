package tokenep

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// HasRedirectURI reports whether an authorization may be answered to this URI. It is compared with
// those of the registration byte by byte (RFC 9700 §2.1), but for the port of a loopback host: a
// native application listens on whichever is free (RFC 8252 §7.3).
func (c *Client) HasRedirectURI(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	host, rest, ok := loopbackRedirect(uri)
	return ok && slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		h, r, ok := loopbackRedirect(registered)
		return ok && h == host && r == rest
	})
}

// loopbackHosts are those that native clients register. localhost is there although RFC 8252 §8.3
// advises against it.
var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// loopbackRedirect takes the port out of a redirect URI to a loopback host.
func loopbackRedirect(uri string) (host, rest string, ok bool) {
	authority, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	if end := strings.IndexAny(authority, "/?"); end >= 0 {
		authority, rest = authority[:end], authority[end:]
	}
	for _, host := range loopbackHosts {
		after, ok := strings.CutPrefix(authority, host)
		if !ok {
			continue
		}
		port, ok := strings.CutPrefix(after, ":")
		return host, rest, after == "" || ok && isPort(port)
	}
	return "", "", false
}

// isPort reports whether text is a port as programs write one.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0 && strconv.FormatUint(port, 10) == text
}

// maxRedirectURI is the longest redirect URI, in bytes.
const maxRedirectURI = 2048

// authorizationCode is the grant_type of the grant that needs a redirect URI (RFC 6749 §4.1).
const authorizationCode = "authorization_code"

// validateRedirectURIs holds them to RFC 6749 §3.1.2, and a client that needs one to having it.
func (c *Client) validateRedirectURIs() error {
	if len(c.RedirectURIs) == 0 && c.May(authorizationCode) {
		return fmt.Errorf("grant %s needs at least one of redirect_uris", authorizationCode)
	}
	for _, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return fmt.Errorf("redirect_uris: %w", err)
		}
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return fmt.Errorf("post_logout_redirect_uris: %w", err)
		}
	}
	return nil
}

func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case len(uri) > maxRedirectURI:
		return fmt.Errorf("%.40q… must not be longer than %d bytes", uri, maxRedirectURI)
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }):
		return fmt.Errorf("%q must be in visible ASCII characters that a URI may have: other ones are percent-encoded, and a host is in punycode", uri)
	case err == nil && slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about"}, u.Scheme):
		return fmt.Errorf("%q is a script or a file, and not a place", uri)
	case err != nil || !u.IsAbs() || u.Opaque != "" || strings.Contains(uri, "#"):
		return fmt.Errorf("%q must be an absolute URI without a fragment (RFC 6749 §3.1.2)", uri)
	case answers(u.RawQuery):
		return fmt.Errorf("%q must not have a query with code, state, iss or error, which the answer has (RFC 6749 §4.1.2)", uri)
	}
	return checkAuthority(uri, u)
}

// checkAuthority checks the host of a redirect URI, and what stands around it.
func checkAuthority(uri string, u *url.URL) error {
	_, _, loopback := loopbackRedirect(uri)
	switch {
	case u.User != nil:
		return fmt.Errorf("%q must not have a user name or a password", uri)
	case strings.Contains(u.Host, "*"):
		return fmt.Errorf("%q must not have a wildcard: redirect URIs are compared exactly", uri)
	case (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() == "":
		return fmt.Errorf("%q must have a host", uri)
	case u.Scheme == "http" && !loopback:
		return fmt.Errorf("%q must be https; http is for %s (RFC 8252 §7.3)", uri, strings.Join(loopbackHosts, ", "))
	case u.Port() != "" && !isPort(u.Port()):
		return fmt.Errorf("%q must have a port between 1 and 65535, or none", uri)
	}
	return nil
}

// answers reports whether a query has a parameter that answers have (RFC 6749 §4.1.2, RFC 9207 §2),
// or is none.
func answers(query string) bool {
	values, err := url.ParseQuery(query)
	return err != nil || slices.ContainsFunc([]string{"code", "state", "iss", "error", "error_description", "error_uri"}, values.Has)
}
