package subject

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// APIToken is the kind of the API tokens that people make for themselves (RFC 8693 §2.1, under a
// token type identifier of our own, which §3 allows). The access token is about the owner of the
// API token, is good at its one service, and has at most its scope.
type APIToken struct {
	Tokens      state.APITokens
	Identifiers []string // token type identifiers
}

// Types returns the configured identifiers.
func (a APIToken) Types() []string { return a.Identifiers }

// Validate looks the token up. The access token carries its id as grant_id, so that revoking the
// API token revokes what came of it. What is spent is nothing but the time of its last use.
func (a APIToken) Validate(ctx context.Context, _ *tokenep.Request, token string) (*tokenep.Authorization, error) {
	t, version, err := a.Tokens.Check(ctx, token)
	switch {
	case errors.Is(err, state.ErrMalformedAPIToken):
		return nil, tokenep.OtherKind(invalidAPIToken(err))
	case errors.Is(err, state.ErrBadAPIToken):
		return nil, invalidAPIToken(err)
	case err != nil:
		return nil, err
	}
	return &tokenep.Authorization{
		Subject:  t.Owner,
		ClientID: tokenep.APITokenClientPrefix + t.ID,
		Scope:    t.Scope,
		Audience: []string{t.Service},
		NotAfter: t.Expires,
		GrantID:  t.ID,
		Spend: func(ctx context.Context) (none tokenep.RefreshToken, err error) {
			a.Tokens.Use(ctx, version)
			return none, nil
		},
	}, nil
}

// invalidAPIToken is the refusal of a bad API token (RFC 8693 §2.2.2), the same for every fault.
func invalidAPIToken(cause error) *tokenep.Error {
	return tokenep.InvalidRequest.Describe("the API token is not valid").Because(cause)
}
