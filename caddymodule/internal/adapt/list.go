package adapt

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Written shows how a list of names is written, so that an error can say what would be right.
type Written func(names []string) string

// Line is how a list is written in a Caddyfile: after its option, with spaces.
func Line(option string) Written {
	return func(names []string) string { return option + " " + strings.Join(names, " ") }
}

// CheckScope refuses a comma in a scope-token. RFC 6749 §3.3 allows it, and so do requests and
// tokens; but who writes a,b in a configuration or behind a flag means two, and would get one that
// no token has.
func CheckScope(tokens []string, right Written) error {
	return CheckNames(tokens, "scope-tokens", right)
}

// CheckNames refuses a comma in a list of names, likewise. what says of what they are.
func CheckNames(names []string, what string, right Written) error {
	return refuseCommas(names, what, right, hasComma)
}

func hasComma(name string) bool { return strings.Contains(name, ",") }

// CheckClaims refuses several claims with commas between them, each of which is a name, or a name,
// "=" and a value. A value may have commas if it is a distinguished name (RFC 4514), such as that
// of a group in LDAP.
func CheckClaims(claims []string, right Written) error {
	return refuseCommas(claims, "claims", right, func(claim string) bool {
		name, value, _ := strings.Cut(claim, "=")
		return hasComma(name) || hasComma(value) && slices.ContainsFunc(strings.Split(value, ","), func(part string) bool {
			return !strings.Contains(part, "=")
		})
	})
}

// CheckPaths refuses several paths with commas between them. A single one may have a comma.
func CheckPaths(paths []string, right Written) error {
	return refuseCommas(paths, "paths", right, func(path string) bool {
		return strings.HasSuffix(path, ",") || strings.Contains(path, ",/")
	})
}

// CheckURNs refuses several URNs, or other URIs, with commas between them.
func CheckURNs(urns []string, right Written) error { return refuseCommas(urns, "URNs", right, isList) }

// CheckAudience refuses several audiences with commas between them. A single one may have a comma,
// if it is a URI. It has no white space: in a list that could not be told from two.
func CheckAudience(audience []string, right Written) error {
	if err := refuseCommas(audience, "audiences", right, isList); err != nil {
		return err
	}
	i := slices.IndexFunc(audience, func(name string) bool { return strings.ContainsFunc(name, unicode.IsSpace) })
	if i < 0 {
		return nil
	}
	var names []string
	for _, name := range audience {
		names = append(names, strings.Fields(name)...)
	}
	if len(names) == 0 {
		return fmt.Errorf("%.200q: an audience is more than white space", audience[i])
	}
	return fmt.Errorf("%.200q: an audience has no white space; write %.400s", audience[i], right(names))
}

// CheckRedirectURIs refuses several redirect URIs with commas between them, likewise.
func CheckRedirectURIs(uris []string, right Written) error {
	return refuseCommas(uris, "redirect URIs", right, isList)
}

// isList reports whether a value is several audiences. A comma may be in the path or the query of a
// URI, and in a URN (RFC 3986 §2.2, §3.3). It is in no name of a host, and what is behind it is
// another URI if it begins like one.
func isList(value string) bool {
	parts := strings.Split(value, ",")
	if len(parts) == 1 {
		return false
	}
	scheme, _, absolute := strings.Cut(parts[0], ":")
	u, err := url.Parse(value)
	return !absolute || parts[len(parts)-1] == "" || err != nil || strings.Contains(u.Host, ",") ||
		slices.ContainsFunc(parts[1:], func(part string) bool {
			return strings.Contains(part, "://") || strings.HasPrefix(strings.TrimSpace(part), scheme+":")
		})
}

func refuseCommas(values []string, what string, right Written, isList func(string) bool) error {
	i := slices.IndexFunc(values, isList)
	if i < 0 {
		return nil
	}
	var names []string
	for _, value := range values {
		parts := []string{value}
		if isList(value) {
			parts = strings.Split(value, ",")
		}
		for _, part := range parts {
			if part = strings.TrimSpace(part); part != "" {
				names = append(names, part)
			}
		}
	}
	return fmt.Errorf("%.200q: a comma does not separate %s; write %.400s", values[i], what, right(names))
}

// Audience reads an option whose arguments are audiences, and runs the checks on the literals among
// them.
func Audience(d *caddyfile.Dispenser, into *[]string, checks ...func([]string) error) error {
	option := d.Val()
	return Some(d, into, append(checks, func(audience []string) error { return CheckAudience(audience, Line(option)) })...)
}

// ResolveAudience is ResolveAll for an option whose values are audiences.
func ResolveAudience(values []string) ([]string, error) {
	resolved, err := ResolveAll("audience", values)
	if err != nil {
		return nil, err
	}
	return resolved, CheckAudience(resolved, Line("audience"))
}

// Addresses reads an option whose arguments are addresses or blocks of them.
func Addresses(d *caddyfile.Dispenser, into *[]string) error {
	option := d.Val()
	return Some(d, into, func(texts []string) error {
		if _, err := verify.ParseAddresses(texts); err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
		return RefusePlaceholders(option, *into)
	})
}
