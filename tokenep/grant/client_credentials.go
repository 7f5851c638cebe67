package grant

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// ClientCredentials is the grant of RFC 6749 §4.4: a confidential client gets a token for itself.
//
//	grant_type          REQUIRED  client_credentials
//	scope               OPTIONAL  default: the client's default scope
//	audience, resource  OPTIONAL  (RFC 8707) default: the client's audience
//
// No refresh token comes with it (§4.4.3): the client can always ask again.
type ClientCredentials struct {
	// Use is told of a client whose registration would end if nobody used it, before it gets a
	// token; nil: there are none.
	Use func(ctx context.Context, c *tokenep.Client) error
}

// ClientCredentialsType is the grant_type.
const ClientCredentialsType = tokenep.ClientCredentialsType

// Type returns client_credentials.
func (ClientCredentials) Type() string { return ClientCredentialsType }

// Parameters returns none.
func (ClientCredentials) Parameters() []string { return nil }

// Anonymous returns false: the client is whom the token is about.
func (ClientCredentials) Anonymous(*tokenep.Request) bool { return false }

// RefusalWrites returns 0.
func (ClientCredentials) RefusalWrites() tokenep.Effects { return 0 }

// Authorize allows what the client was registered for. The subject is the client, under a prefix
// that no user's name has (RFC 9068 §5).
func (g ClientCredentials) Authorize(_ context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	if r.Client.Public() {
		return nil, errPublic()
	}
	scope := r.Scope
	if scope == nil {
		scope = r.Client.ImpliedScope()
		if len(r.Dialect.DefaultScope) > 0 {
			scope = r.Dialect.DefaultScope.Intersect(r.Client.Scope)
		}
	}
	a := &tokenep.Authorization{
		Subject:  tokenep.ClientSubjectPrefix + r.Client.ID,
		Scope:    scope,
		Audience: r.Client.Audience,
	}
	if g.Use != nil && r.Client.UnusedUntil > 0 {
		a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) { return none, g.Use(ctx, r.Client) }
	}
	return a, nil
}

// errPublic is for grants that are worth as much as the client's authentication.
func errPublic() error {
	return tokenep.UnauthorizedClient.Describe("a public client cannot use this grant_type")
}
