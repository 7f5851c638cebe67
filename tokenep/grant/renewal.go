package grant

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Renewal is an exchange of a token of this server for one with the same claims and a later expiry,
// by the client to which it was issued: in the place of a refresh token (RFC 8693 §2.2.1), for
// clients that have none. It is the same token, with the same jti, so that revoking it once revokes
// it in every form. A chain of renewals ends with MaxChain.

// renews reports whether an exchange without an actor is a renewal. All that the token came of, and
// itself, was issued to the client: nobody makes the token of somebody else last by exchanging it
// first. Nor is anything renewed that came of what a policy gave, as subject or actor, since its
// condition would not be asked again.
func (g TokenExchange) renews(r *tokenep.Request, subject *tokenep.Authorization) bool {
	return r.Dialect.Renew && g.MaxChain > 0 && subject.Exchanged != nil && subject.MayAct == nil &&
		subject.Exchanged.ID != "" && !slices.ContainsFunc(subject.Ancestors, func(a verify.Ancestor) bool {
		return a.ClientID != "" && a.ClientID != r.Client.ID || strings.HasPrefix(a.GrantID, tokenep.PolicyGrantPrefix)
	})
}

// renew lets a outlive the token that it is exchanged for, and say the same.
func (g TokenExchange) renew(a *tokenep.Authorization) {
	a.TokenID, a.NotAfter = a.Exchanged.ID, time.Time{}
	a.Extra = maps.Clone(a.Exchanged.Claims)
	maps.DeleteFunc(a.Extra, func(name string, _ any) bool { return tokenep.IsReservedClaim(name) })
}
