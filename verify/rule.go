package verify

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
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

// lacksScope is the refusal of t, whose scope is not enough; lacks says of what.
func lacksScope(t *Token, lacks string) *Error {
	refusal := *errScopeMissing
	refusal.Cause = fmt.Errorf("its scope is %s, without %s", quoteSome(t.Scope), lacks)
	return &refusal
}

// requireAll permits tokens that have all of Scope.
func (g *Guard) requireAll(_ *http.Request, t *Token) error {
	for _, token := range g.Scope {
		if !g.Grants(t, token) {
			return lacksScope(t, strconv.Quote(token))
		}
	}
	return nil
}

// requireAny permits tokens that have one of AnyScope, or more.
func (g *Guard) requireAny(_ *http.Request, t *Token) error {
	for _, token := range g.AnyScope {
		if g.Grants(t, token) {
			return nil
		}
	}
	return lacksScope(t, "any of "+quoteSome(g.AnyScope))
}

// Grants reports whether t has a scope-token, or one that includes it by ScopeImplies. The guard
// must be valid.
func (g *Guard) Grants(t *Token, scopeToken string) bool {
	return t.Scope.Has(scopeToken) || slices.ContainsFunc(g.implied[scopeToken], t.Scope.Has)
}

// implied returns, for each scope-token that others include, all of those. A circle is a mistake:
// its scope-tokens would all mean the same.
func implied(implies map[string]Scope) (map[string]Scope, error) {
	by := make(map[string]Scope)
	for _, top := range slices.Sorted(maps.Keys(implies)) {
		var within Scope
		for next := slices.Concat(Scope{top}, implies[top]); len(next) > 0; next = next[1:] {
			token := next[0]
			if !isScopeToken(token) {
				return nil, notScopeToken(token)
			}
			if within.Has(token) {
				continue
			}
			within = append(within, token)
			if implies[token].Has(top) {
				return nil, fmt.Errorf("the scope-token %q implies itself, by %q", top, token)
			}
			next = slices.Concat(next, implies[token])
		}
		for _, token := range within[1:] {
			by[token] = append(by[token], top)
		}
	}
	return by, nil
}

// offlineAccess asks for a refresh token (OpenID Connect Core §11).
const offlineAccess = "offline_access"

var errOfflineAccess = errors.New("offline_access asks for a refresh token, and is no right at a resource")

// checkRequired returns what is wrong with a scope-token that is required, or nil.
func checkRequired(token string) error {
	switch {
	case !isScopeToken(token):
		return notScopeToken(token)
	case token == offlineAccess:
		return errOfflineAccess
	}
	return nil
}

func notScopeToken(token string) error {
	return fmt.Errorf("%q is not a scope-token: printable ASCII without space, quote and backslash", token)
}

// errNoVerdict keeps a request without an identity from passing as one that needs none.
var errNoVerdict = errors.New("the verifier returned neither a token nor an error")

// permit asks each rule what the verified token t is good for.
func (g *Guard) permit(r *http.Request, t *Token) error {
	if t == nil {
		return errNoVerdict
	}
	for _, rule := range g.rules {
		if err := rule(r, t); err != nil {
			return err
		}
	}
	if len(t.Limits) > 0 {
		return g.limit(r, t)
	}
	return nil
}
