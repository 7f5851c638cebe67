package outbound

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"

	"github.com/tokenep/caddy-tokenep/verify"
)

var method = regexp.MustCompile(`^[A-Z]{1,20}$`)

// CheckMethod returns what is wrong with the method of a request.
func CheckMethod(text string) error {
	if !method.MatchString(text) {
		return fmt.Errorf("method %q: it must be in capital letters, such as POST", text)
	}
	return nil
}

// CheckURL returns what is wrong with a URL, whether or not http is allowed. The error does not
// show it, since what is wrong may be a password.
func CheckURL(option, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%s: it must be an https URL without user name and fragment", option)
	}
	return nil
}

// CheckScheme holds a URL to https, unless nobody can listen. secrets is what would be heard.
func CheckScheme(option, text, secrets string) error {
	u, err := url.Parse(text)
	if err == nil && u.Scheme == "http" && !verify.IsLoopback(u.Hostname()) {
		return fmt.Errorf("%s %q: %s would cross the network in clear; write https, or insecure_http where nobody can listen",
			option, verify.ShownURL(text), secrets)
	}
	return nil
}

// Loopback reports whether the host of a URL is this machine.
func Loopback(text string) bool {
	u, err := url.Parse(text)
	return err == nil && verify.IsLoopback(u.Hostname())
}

// Named returns the address that the host of a URL is, if it is one: whoever has written it there
// has named it.
func Named(text string) (named []netip.Prefix) {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		address = address.Unmap().WithZone("")
		named = append(named, netip.PrefixFrom(address, address.BitLen()))
	}
	return named
}
