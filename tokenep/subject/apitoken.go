package subject

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// APIToken is the kind of the API tokens that people make for themselves (RFC 8693 §2.1, under a
// token type identifier of our own, which §3 allows). The access token is about the owner of the
// API token, is good at its one service, and has at most its scope.
type APIToken struct {
	Tokens     state.APITokens
	Identifier string // a token type identifier

	// Address returns the address that a request comes from.
	Address func(*http.Request) netip.Addr
}

// Types returns the configured identifier.
func (a APIToken) Types() []string { return []string{a.Identifier} }

// Validate looks the token up. The access token names it by its grant_id, so that revoking the API
// token revokes what came of it, and has its limits. What is spent is one of its rate and quota,
// and the time of its last use.
func (a APIToken) Validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	from := a.Address(r.Request)
	t, version, err := a.Tokens.CheckUse(ctx, token, from)
	switch {
	case errors.Is(err, state.ErrAddressAPIToken):
		return nil, tokenep.InvalidRequest.Describe("the API token is not accepted from this address").Because(err)
	case errors.Is(err, state.ErrMalformedAPIToken):
		return nil, tokenep.OtherKind(invalidAPIToken(err))
	case errors.Is(err, state.ErrBadAPIToken):
		return nil, invalidAPIToken(err)
	case err != nil:
		return nil, limited(err)
	case t.TokenType != "" && t.TokenType != a.Identifier:
		return nil, tokenep.OtherKind(invalidAPIToken(errOtherType))
	}
	authorization := &tokenep.Authorization{
		Subject:   t.Owner,
		ClientID:  tokenep.APITokenClientPrefix + t.ID,
		Scope:     t.Scope,
		Audience:  []string{t.Service},
		NotAfter:  t.Expires,
		ChainEnds: t.Expires,
		GrantID:   t.GrantID(),
		Allowed:   t.Created,
		Spends:    t.GrantID(),
		Spend: func(ctx context.Context) (none tokenep.RefreshToken, err error) {
			return none, limited(spent(a.Tokens.Use(ctx, version, from)))
		},
	}
	if !t.Any() || !t.Rate.IsZero() {
		authorization.Limits = []verify.Limit{{ID: t.ID, Addresses: t.Addresses, Rate: t.Rate}}
	}
	return authorization, nil
}

var errOtherType = errors.New("it was imported as another type of token")

// limited is the refusal of an API token that is used too often: 429, and no error of the token.
func limited(err error) error {
	often, ok := errors.AsType[*state.LimitedError](err)
	if !ok {
		return err
	}
	e := tokenep.TemporarilyUnavailable.Describe("the API token is used too often; try again later").Because(err)
	e.Status = http.StatusTooManyRequests
	e.RetryAfter = often.RetryAfter
	return e
}

// spent is the refusal of an API token that was good when it was checked.
func spent(err error) error {
	if errors.Is(err, state.ErrBadAPIToken) {
		return invalidAPIToken(err)
	}
	return err
}

// invalidAPIToken is the refusal of a bad API token (RFC 8693 §2.2.2), the same for every fault.
func invalidAPIToken(cause error) *tokenep.Error {
	return tokenep.InvalidRequest.Describe("the API token is not valid").Because(cause)
}
