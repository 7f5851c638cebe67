package tokenep

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/verify"
)

// UserClaims are the claims of users that a server tells, and for each the scope-token with which a
// client is told it (OpenID Connect Core §5.4).
type UserClaims map[string]string

// standardClaims are those of OpenID Connect Core §5.1, by the scope-token of §5.4 that asks for
// them.
var standardClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender",
		"birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"address": {"address"},
	"phone":   {"phone_number", "phone_number_verified"},
}

// ClaimScope returns the scope-token that asks for a claim of OpenID Connect Core §5.1, or "" for
// another claim.
func ClaimScope(claim string) string {
	for scope, claims := range standardClaims {
		if slices.Contains(claims, claim) {
			return scope
		}
	}
	return ""
}

// reservedUserClaims say something about a token, and nothing about a user.
var reservedUserClaims = []string{"sub", "iss", "aud", "exp", "nbf", "iat", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "c_hash", "sid"}

// Validate returns what is wrong with the claims.
func (u UserClaims) Validate() error {
	for _, claim := range slices.Sorted(maps.Keys(u)) {
		scope := u[claim]
		switch parsed, err := verify.ParseScope(scope); {
		case claim == "" || strings.ContainsFunc(claim, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
			return fmt.Errorf("%q is not the name of a claim: it must be visible ASCII characters, without quotes", claim)
		case strings.HasPrefix(claim, "_claim"): // §5.6.2
			return fmt.Errorf("the claim %s says where other claims are", claim)
		case slices.Contains(reservedUserClaims, claim):
			return fmt.Errorf("the claim %s is about a token, and not about a user", claim)
		case err != nil || len(parsed) != 1:
			return fmt.Errorf("the claim %s must have one scope-token that asks for it, such as profile or email", claim)
		}
	}
	return nil
}

// Release reports whether a client with this scope is told any claim.
func (u UserClaims) Release(scope verify.Scope) bool {
	for _, asks := range u {
		if scope.Has(asks) {
			return true
		}
	}
	return false
}

// Of returns those of a user's claims that a client with this scope is told.
func (u UserClaims) Of(claims map[string]any, scope verify.Scope) map[string]any {
	told := make(map[string]any)
	for claim, asks := range u {
		if value, known := claims[claim]; known && scope.Has(asks) {
			told[claim] = value
		}
	}
	return told
}

// Names returns the names of the claims, in order.
func (u UserClaims) Names() []string { return slices.SortedFunc(maps.Keys(u), strings.Compare) }
