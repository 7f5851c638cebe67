package subject

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// APIToken is the API tokens that people made for themselves, exchanged for an access token (RFC 8693 §2.1, under a token type identifier of our own as §3 allows).
// The access token is about the token's owner, is good at its one service, and has at most its scope.
type APIToken struct {
	Tokens      state.APITokens
	Identifiers []string // token type identifiers
}

// Types returns the configured identifiers.
func (a APIToken) Types() []string { return a.Identifiers }

// Validate redeems the token. The access token carries its id as grant_id, so that revoking the API token revokes what came of it.
func (a APIToken) Validate(ctx context.Context, _ *tokenep.Request, token string) (*tokenep.Authorization, error) {
	t, version, err := a.Tokens.Check(ctx, token)
	if errors.Is(err, state.ErrBadAPIToken) {
		return nil, tokenep.InvalidRequest.Describe("the API token is not valid").Because(err)
	}
	if err != nil {
		return nil, err
	}
	a.Tokens.Use(ctx, version)
	return &tokenep.Authorization{
		Subject:  t.Owner,
		ClientID: tokenep.APITokenClientPrefix + t.ID,
		Scope:    t.Scope,
		Audience: []string{t.Service},
		NotAfter: t.Expires,
		GrantID:  t.ID,
	}, nil
}
