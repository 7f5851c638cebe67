package verify

import (
	"errors"
	"slices"
	"strings"
)

// Scope is a set of scope-tokens (RFC 6749 §3.3) in the order in which they
// were first written. Scope-tokens are case-sensitive.
type Scope []string

var (
	errScope    = errors.New("a scope is scope-tokens of printable ASCII without quote or backslash, one space between them")
	errScopeBig = errors.New("a scope has at most 256 scope-tokens")
)

// maxScopeTokens bounds the work of comparing sets that are kept as lists.
const maxScopeTokens = 256

// ParseScope reads a scope as RFC 6749 §3.3 writes it and drops repeated
// scope-tokens. The empty string is the empty scope.
func ParseScope(s string) (Scope, error) {
	if s == "" {
		return nil, nil
	}
	n := strings.Count(s, " ") + 1
	if n > maxScopeTokens {
		return nil, errScopeBig
	}
	scope := make(Scope, 0, n)
	for token := range strings.SplitSeq(s, " ") {
		if !isScopeToken(token) {
			return nil, errScope
		}
		if !scope.Has(token) {
			scope = append(scope, token)
		}
	}
	return scope, nil
}

// isScopeToken holds a token to 1*( %x21 / %x23-5B / %x5D-7E ).
func isScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// String writes the scope as RFC 6749 §3.3 does.
func (s Scope) String() string { return strings.Join(s, " ") }

// Has reports whether token is one of s.
func (s Scope) Has(token string) bool { return slices.Contains(s, token) }

// Includes reports whether s has every token of other.
func (s Scope) Includes(other Scope) bool {
	for _, token := range other {
		if !s.Has(token) {
			return false
		}
	}
	return true
}

// Intersect gives the tokens of s that other has too, in the order of s.
func (s Scope) Intersect(other Scope) Scope {
	var both Scope
	for _, token := range s {
		if other.Has(token) {
			both = append(both, token)
		}
	}
	return both
}
