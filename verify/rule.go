package verify

import (
	"net/http"
	"slices"
)

// Rule decides whether t permits r. It returns nil, or why not: an *[Error], which is answered with
// its status and challenges. Any other error is answered with 500.
//
// A Guard runs its rules on every request with a token, cached or not, once the token is verified
// and the protected headers are removed. A rule must be safe for concurrent use. It must change
// neither r nor t, and must not read the body.
type Rule func(r *http.Request, t *Token) error

var errScopeMissing = &Error{Status: http.StatusForbidden, Code: InsufficientScope,
	Description: "the access token lacks a scope that is needed here"}

// requireAll permits tokens that have each scope-token of required.
func requireAll(required Scope) Rule {
	return func(_ *http.Request, t *Token) error {
		if !t.Scope.Includes(required) {
			return errScopeMissing
		}
		return nil
	}
}

// requireAny permits tokens that have one scope-token of required, or more.
func requireAny(required Scope) Rule {
	return func(_ *http.Request, t *Token) error {
		if !slices.ContainsFunc(required, t.Scope.Has) {
			return errScopeMissing
		}
		return nil
	}
}
