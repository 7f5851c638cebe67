package tokenep

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// maxURI is the longest URI of a page, in bytes.
const maxURI = 1024

// validateURIs holds the URIs of pages to what a page can show.
func (c *Client) validateURIs() error {
	for _, o := range []struct{ member, uri string }{
		{"client_uri", c.URI}, {"logo_uri", c.LogoURI}, {"policy_uri", c.PolicyURI}, {"tos_uri", c.TOSURI},
	} {
		if o.uri != "" && !IsShowable(o.uri) {
			return fmt.Errorf("%s must be an https URL without a user name, of %d visible ASCII characters at most", o.member, maxURI)
		}
	}
	return nil
}

// host matches a host and port as browsers know them. A policy of a page can name such a one.
var host = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)

// IsShowable reports whether a page can show a URI of a client, and link to it.
func IsShowable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "https" && host.MatchString(u.Host) && u.User == nil && len(uri) <= maxURI &&
		!strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' })
}
