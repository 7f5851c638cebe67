package subject

import (
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Refresh holds what a refresh token allows, which came of an exchange by the policy of this name
// then (RFC 8693 §2.2.1), to what the policy is now. The error says why nothing is allowed any
// more.
func (p *Policy) Refresh(c *tokenep.Client, a *tokenep.Authorization, now time.Time) error {
	if len(p.Audience) > 0 {
		a.Audience = slices.DeleteFunc(slices.Clone(a.Audience), func(name string) bool { return !slices.Contains(p.Audience, name) })
		if len(a.Audience) == 0 {
			return errNoRefresh
		}
	}
	a.Scope = a.Scope.Intersect(p.Scope)
	return p.RefreshActor(c, a, now)
}

// RefreshActor is Refresh for the policy by which an actor came in: its ttl alone is a bound.
func (p *Policy) RefreshActor(c *tokenep.Client, a *tokenep.Authorization, now time.Time) error {
	if !p.RefreshToken || p.DryRun || !c.May(tokenep.TokenExchangeType) {
		return errNoRefresh
	}
	p.bound(a, now)
	return p.admits(c)
}
