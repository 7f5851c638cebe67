package server

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// New and Mount check all of this. It is exported for whoever reads a configuration, and knows more than they do about where in it a value stands.

// CheckIssuer says what is wrong with an issuer identifier (RFC 8414 §2).
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("issuer: %w", err)
	case u.Hostname() == "" || strings.ContainsAny(issuer, "?#") || u.User != nil:
		return fmt.Errorf("issuer %q: it is an absolute URL without query and fragment (RFC 8414 §2), such as https://auth.example.com", issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return fmt.Errorf("issuer %q: the scheme is https; http is for loopback hosts alone", issuer)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckAudience says what is wrong with the audience of a server.
func CheckAudience(audience []string) error {
	if !tokenep.FitsToken(nil, audience) {
		return errors.New("audience: a token cannot be for so many at once; give each client its own")
	}
	return nil
}

// CheckRevocationInterval says what is wrong with how often revocations are looked for. Within a second each is to be in force everywhere.
func CheckRevocationInterval(d time.Duration) error {
	if d < 10*time.Millisecond || d > time.Second {
		return fmt.Errorf("looking for revocations each %s: want 10ms to 1s", d)
	}
	return nil
}

// CheckRevocationMaxAge says what is wrong with a bound on the age of revocations: it leaves room for a few tries to read them.
func CheckRevocationMaxAge(d time.Duration) error {
	if d < 5*time.Second {
		return fmt.Errorf("refusing tokens when revocations are %s old: want 5s or more", d)
	}
	return nil
}

// Validate says what is wrong with the rules. What is left out is not wrong.
func (t APITokenRules) Validate() error { return t.complete() }

var apiTokenPrefix = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)

func (t *APITokenRules) complete() error {
	if t == nil {
		return nil
	}
	if len(t.Types) == 0 {
		t.Types = []string{APITokenType}
	}
	if t.Prefix == "" {
		t.Prefix = "api"
	}
	if t.MaxAge == 0 {
		t.MaxAge = 2 * 365 * 24 * time.Hour
	}
	if err := tokenep.CheckLife(t.MaxAge); err != nil {
		return fmt.Errorf("the age of API tokens: %w", err)
	}
	switch {
	case slices.Contains(t.Types, grant.AccessTokenType), slices.Contains(t.Types, grant.JWTType):
		return errors.New("API token types: access_token and jwt of RFC 8693 §3 are access tokens, never API tokens; use a URN of your own")
	case !apiTokenPrefix.MatchString(t.Prefix):
		return fmt.Errorf("API token prefix %q: it is a lower-case letter and up to 15 lower-case letters and digits", t.Prefix)
	case t.MaxPerUser < 0 || t.MaxPerUser > state.MaxOwned:
		return fmt.Errorf("API tokens of one user: %d is not between 1 and %d", t.MaxPerUser, state.MaxOwned)
	}
	return nil
}

// FindGrant returns the grant_type of a grant among these types, by its grant_type or its short name.
func FindGrant(name string, types []string) (grantType string, err error) {
	names := make([]string, len(types))
	for i, grantType := range types {
		if tokenep.NamesGrant(name, grantType) {
			return grantType, nil
		}
		names[i] = tokenep.GrantName(grantType)
	}
	return "", fmt.Errorf("unknown grant %q; expected %s", name, strings.Join(names, " or "))
}

// CheckPath returns what is wrong with the path of an endpoint.
func CheckPath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#*") {
		return fmt.Errorf("endpoint path %q must begin with a slash, and have no query, fragment or wildcard", path)
	}
	return nil
}

// Validate returns what is wrong with the paths that are set.
func (p Paths) Validate() error {
	var all []string
	for _, t := range p.Token {
		all = append(all, t.Path)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Moved)) {
		all = append(all, p.Moved[name]...)
	}
	return checkPaths(all)
}

func checkPaths(all []string) error {
	for i, path := range all {
		if err := CheckPath(path); err != nil {
			return err
		}
		if slices.Contains(all[:i], path) {
			return fmt.Errorf("two endpoints share the path %q; each must have its own", path)
		}
	}
	return nil
}
