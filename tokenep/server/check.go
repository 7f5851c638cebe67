package server

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	pathpkg "path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// New and Mount check all of this. It is exported for adapters, which can say at which place of a
// configuration file a value is wrong.

// CheckIssuer returns what is wrong with an issuer identifier (RFC 8414 §2).
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("issuer %q: it is no URL", verify.ShownURL(issuer))
	case u.Hostname() == "" || strings.ContainsAny(issuer, "?#") || u.User != nil:
		return fmt.Errorf("issuer %q: it must be an absolute URL without query and fragment (RFC 8414 §2), such as https://auth.example.com", verify.ShownURL(issuer))
	case u.Scheme != "https" && (u.Scheme != "http" || !verify.IsLoopback(u.Hostname())):
		return fmt.Errorf("issuer %q: the scheme must be https; http is for loopback hosts only", verify.ShownURL(issuer))
	}
	return nil
}

// CheckAudience returns what is wrong with the audience of a server.
func CheckAudience(audience []string) error {
	if !tokenep.FitsToken(nil, audience) {
		return errors.New("audience: so many do not fit into one token; give each client its own")
	}
	return nil
}

// CheckRevocationInterval returns what is wrong with Config.RevocationInterval: a revocation must
// be in force on every node within a second.
func CheckRevocationInterval(d time.Duration) error {
	if d < 10*time.Millisecond || d > time.Second {
		return fmt.Errorf("the interval must be 10ms to 1s; it is %s", d)
	}
	return nil
}

// CheckRevocationMaxAge returns what is wrong with Config.RevocationMaxAge: it must leave time for
// a few tries to read revocations.
func CheckRevocationMaxAge(d time.Duration) error {
	if d < 5*time.Second {
		return fmt.Errorf("the age must be 5s or more; it is %s", d)
	}
	return nil
}

// CheckMaxChain returns what is wrong with Exchange.MaxChain.
func CheckMaxChain(d time.Duration) error {
	if d < time.Minute {
		return fmt.Errorf("a chain of exchanges of %s is too short; it must be a minute at least", d)
	}
	return nil
}

// Validate returns what is wrong with the rules that are set.
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
		return errors.New("API token types: access_token and jwt of RFC 8693 §3 must not be among them, since they mean access tokens; use a URN of your own")
	case slices.ContainsFunc(t.Types, func(name string) bool { return !isTokenType(name) }):
		return fmt.Errorf("API token types %q: each must be a URI in ASCII (RFC 8693 §3), such as %s", t.Types, APITokenType)
	case !apiTokenPrefix.MatchString(t.Prefix):
		return fmt.Errorf("API token prefix %q: it must be a lower-case letter and up to 15 lower-case letters and digits", t.Prefix)
	case t.MaxPerUser < 0 || t.MaxPerUser > state.MaxOwned:
		return fmt.Errorf("API tokens of one user: the maximum must be between 1 and %d; it is %d", state.MaxOwned, t.MaxPerUser)
	}
	return t.checkServices()
}

// isTokenType reports whether clients can be told a token type identifier: it is an absolute URI
// (RFC 8693 §3).
func isTokenType(name string) bool {
	u, err := url.Parse(name)
	return err == nil && u.IsAbs() && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}

// FindGrant returns the grant_type of a grant among these types, by its grant_type or its short
// name.
func FindGrant(name string, types []string) (grantType string, err error) {
	names := make([]string, len(types))
	for i, grantType := range types {
		if tokenep.NamesGrant(name, grantType) {
			return grantType, nil
		}
		names[i] = tokenep.GrantName(grantType)
	}
	return "", fmt.Errorf("unknown grant %q; expected %s", name, oneOf(names))
}

// oneOf writes a list of choices.
func oneOf(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// CheckPath returns what is wrong with the path of an endpoint.
func CheckPath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#*") {
		return fmt.Errorf("endpoint path %q must begin with a slash, and have no query, fragment or wildcard", path)
	}
	if strings.Contains(path, "%") {
		return fmt.Errorf("endpoint path %q must be written without percent-encoding: requests are compared decoded", path)
	}
	if slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "." || segment == ".." }) {
		return fmt.Errorf("endpoint path %q is none that a client sends (RFC 3986 §5.2.4); write %s", path, pathpkg.Clean(path))
	}
	return nil
}

// Validate returns what is wrong with the paths that are set.
func (p Paths) Validate() error {
	var all []string
	for _, t := range p.Token {
		if t.Dialect.RenewExpired < 0 || t.Dialect.RenewExpired > 0 && !t.Dialect.Renew {
			return fmt.Errorf("token endpoint %s: only a path that renews tokens renews expired ones", t.Path)
		}
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
