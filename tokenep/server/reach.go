package server

import (
	"cmp"
	"slices"
	"time"

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
	Life     time.Duration // of each of its tokens; 0: it may be that of what was exchanged
}

// Reaches returns what access tokens the configuration can lead to, without the clients that are
// added at run time. bounded is false where nothing is known of them: the configuration has no
// client, and nothing else that leads to tokens; or API tokens of any scope need no client; or
// there are grants from outside. The configuration is that of a Server.
func (c *Config) Reaches() (reaches []Reach, bounded bool) {
	add := func(scope verify.Scope, audience []string, life time.Duration) {
		if len(audience) == 0 {
			audience = c.Audience
		}
		reaches = append(reaches, Reach{scope, audience, life})
	}
	for i := range c.Clients {
		client := &c.Clients[i]
		if !slices.ContainsFunc(client.GrantTypes, begins) {
			continue
		}
		add(client.Scope, client.Audience, c.lifeOf(client))
		if client.May(grant.TokenExchangeType) && len(client.ExchangeTo) > 0 {
			add(client.Scope, client.ExchangeTo, 0)
		}
	}
	for _, source := range c.Subjects {
		for i := range source.Policies {
			if p := &source.Policies[i]; slices.Contains(p.Clients, subject.NoClient) {
				add(p.Scope, p.Audience, 0)
			}
		}
	}
	if r := c.Registration; r != nil {
		add(r.Template.Scope, r.Template.Audience, 0)
	}
	open := len(c.Grants) > 0
	if t := c.Exchange.APITokens; t != nil && c.Exchange.Anonymous {
		for _, service := range t.Services {
			add(service.Scope, []string{service.Audience}, 0)
		}
		open = open || len(t.Services) == 0
	}
	return reaches, len(reaches) > 0 && !open
}

// lifeOf returns the life of all access tokens of a client; 0: one may end with what it came of.
func (c *Config) lifeOf(client *tokenep.Client) time.Duration {
	if client.May(grant.TokenExchangeType) || client.May(grant.JWTBearerType) {
		return 0
	}
	return cmp.Or(time.Duration(client.AccessTokenTTL), c.TokenTTL)
}

// TokenClaims returns the names of the claims that the access tokens of the configuration can have.
// bounded is false where there are grants from outside, which may add any.
func (c *Config) TokenClaims() (names []string, bounded bool) {
	said := c.SignIn
	if c.Users != nil { // also of those who sign in by the password grant
		said = append([]string{"auth_time", "amr"}, said...)
	}
	names = slices.DeleteFunc(tokenep.OwnClaims(), func(name string) bool {
		return slices.Contains(signInClaims, name) && len(c.Subjects) == 0 && !slices.Contains(said, name)
	})
	for _, source := range c.Subjects {
		for i := range source.Policies {
			for _, claim := range source.Policies[i].Claims {
				names = append(names, claim.Name)
			}
		}
	}
	return names, len(c.Grants) == 0
}

// signInClaims are the claims that say how a person has signed in.
var signInClaims = []string{"auth_time", "acr", "amr"}

// begins reports whether tokens come of a grant alone: a refresh token comes of another grant.
func begins(name string) bool { return !tokenep.NamesGrant(name, grant.RefreshTokenType) }
