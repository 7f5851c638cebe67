package server

import (
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Reach is the most that the access tokens of one client can be for, or those of one rule by which
// tokens are issued.
type Reach struct {
	Scope    verify.Scope
	Audience []string
}

// Reaches returns what access tokens the configuration can lead to, without the clients that are
// added at run time. bounded is false where nothing is known of them: the configuration has no
// client, and nothing else that leads to tokens; or API tokens of any scope need no client; or
// there are grants from outside. The configuration is that of a Server.
func (c *Config) Reaches() (reaches []Reach, bounded bool) {
	add := func(scope verify.Scope, audience []string) {
		if len(audience) == 0 {
			audience = c.Audience
		}
		reaches = append(reaches, Reach{scope, audience})
	}
	for i := range c.Clients {
		client := &c.Clients[i]
		if !slices.ContainsFunc(client.GrantTypes, begins) {
			continue
		}
		add(client.Scope, client.Audience)
		if client.May(grant.TokenExchangeType) && len(client.ExchangeTo) > 0 {
			add(client.Scope, client.ExchangeTo)
		}
	}
	for _, source := range c.Subjects {
		for i := range source.Policies {
			if p := &source.Policies[i]; slices.Contains(p.Clients, subject.NoClient) {
				add(p.Scope, p.Audience)
			}
		}
	}
	if r := c.Registration; r != nil {
		add(r.Template.Scope, r.Template.Audience)
	}
	open := len(c.Grants) > 0
	if t := c.Exchange.APITokens; t != nil && c.Exchange.Anonymous {
		for _, service := range t.Services {
			add(service.Scope, []string{service.Audience})
		}
		open = open || len(t.Services) == 0
	}
	return reaches, len(reaches) > 0 && !open
}

// TokenClaims returns the names of the claims that the access tokens of the configuration can have.
// bounded is false where there are grants from outside, which may add any.
func (c *Config) TokenClaims() (names []string, bounded bool) {
	names = tokenep.OwnClaims()
	for _, source := range c.Subjects {
		for i := range source.Policies {
			for _, claim := range source.Policies[i].Claims {
				names = append(names, claim.Name)
			}
		}
	}
	return names, len(c.Grants) == 0
}

// begins reports whether tokens come of a grant alone: a refresh token comes of another grant.
func begins(name string) bool { return !tokenep.NamesGrant(name, grant.RefreshTokenType) }
