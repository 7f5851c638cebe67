package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Scope is a set of scope-tokens (RFC 6749 §3.3) in the order in which they were first written.
// Scope-tokens are case-sensitive.
//
// In JSON it is one string with the scope-tokens separated by spaces, as in RFC 7591 §2 and RFC
// 7662 §2.2. The tags omitempty and omitzero leave an empty scope out.
type Scope []string

var (
	errScope    = errors.New("a scope is scope-tokens of printable ASCII without quote or backslash, one space between them")
	errScopeBig = errors.New("a scope must not have more than 256 scope-tokens")
)

// maxScopeTokens bounds the cost of comparing scopes, which are lists.
const maxScopeTokens = 256

// maxLooseSpaces bounds the spaces between scope-tokens where runs of them are read.
const maxLooseSpaces = 1024

// ParseScope reads a scope as RFC 6749 §3.3 writes it, and drops repeated scope-tokens. The empty
// string is the empty scope.
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

// readLoosely returns the scope-tokens in a claim: a list of them, or a string with any number of
// spaces between them. What is no scope-token is left out. A claim of any other form, or with too
// many of them, is an empty scope.
func readLoosely(claim any) Scope {
	var scope Scope
	add := func(token string) {
		if isScopeToken(token) && !scope.Has(token) {
			scope = append(scope, token)
		}
	}
	switch claim := claim.(type) {
	case string:
		if strings.Count(claim, " ") >= maxLooseSpaces {
			return nil
		}
		for token := range strings.SplitSeq(claim, " ") {
			add(token)
		}
	case []any:
		if len(claim) > maxScopeTokens {
			return nil
		}
		for _, element := range claim {
			token, ok := element.(string)
			if !ok {
				return nil
			}
			add(token)
		}
	}
	if len(scope) > maxScopeTokens {
		return nil
	}
	return scope
}

// isScopeToken reports whether s is 1*( %x21 / %x23-5B / %x5D-7E ).
func isScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// String returns the scope as RFC 6749 §3.3 writes it.
func (s Scope) String() string { return strings.Join(s, " ") }

// MarshalText returns what String does. A scope that UnmarshalText would not read back as the same
// scope-tokens is an error.
func (s Scope) MarshalText() ([]byte, error) {
	if len(s) > maxScopeTokens {
		return nil, errScopeBig
	}
	if i := slices.IndexFunc(s, func(token string) bool { return !isScopeToken(token) }); i >= 0 {
		return nil, fmt.Errorf("%q is not a scope-token: %w", s[i], errScope)
	}
	return []byte(s.String()), nil
}

// UnmarshalText sets the scope to what ParseScope reads from text.
func (s *Scope) UnmarshalText(text []byte) (err error) {
	*s, err = ParseScope(string(text))
	return err
}

// IsZero reports whether s is empty.
func (s Scope) IsZero() bool { return len(s) == 0 }

// Has reports whether token is one of s.
func (s Scope) Has(token string) bool { return slices.Contains(s, token) }

// Includes reports whether s has every scope-token of other.
func (s Scope) Includes(other Scope) bool {
	for _, token := range other {
		if !s.Has(token) {
			return false
		}
	}
	return true
}

// Intersect returns the scope-tokens that s and other share, in the order of s.
func (s Scope) Intersect(other Scope) Scope {
	var both Scope
	for _, token := range s {
		if other.Has(token) {
			both = append(both, token)
		}
	}
	return both
}

// with returns the scope-tokens of s and those that other has beside them.
func (s Scope) with(other Scope) Scope {
	both := slices.Clip(s)
	for _, token := range other {
		if !both.Has(token) {
			both = append(both, token)
		}
	}
	return both
}
