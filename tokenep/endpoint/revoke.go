package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Revocation is the endpoint of RFC 7009.
//
//	token            REQUIRED  an access token, a refresh token or an API token
//	token_type_hint  OPTIONAL  ignored: the token shows what it is
//
// An access token is revoked by its jti until it expires, in this process from the very next
// request on. A refresh token is revoked with its family, and all access tokens that came of it. A
// client revokes its own tokens only (§2.1). An API token, or an access token that was exchanged
// for one without a client, is revoked by whoever holds it.
type Revocation struct {
	// Verifier trusts this issuer alone, for any audience, for as long after its expiry as any
	// verifier may, and whether the token is revoked or not.
	Verifier *verify.Verifier

	// Revoked reports whether the token is revoked already.
	Revoked func(t *verify.Token) bool

	// Revoke revokes the token for its holder, and what came of it, until it has expired
	// everywhere. The client is nil where none has named itself.
	Revoke func(ctx context.Context, c *tokenep.Client, t *verify.Token) error

	Families  state.Families   // of refresh tokens
	APITokens *state.APITokens // nil: there are none

	// Address returns the address that a request comes from.
	Address func(*http.Request) netip.Addr
}

// Endpoint returns the row of the table.
func (e Revocation) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: revocationName, Path: "/oauth/revoke", Member: "revocation_endpoint",
		Metadata: func(document map[string]any) map[string]any {
			return map[string]any{"revocation_endpoint_auth_methods_supported": document["token_endpoint_auth_methods_supported"]}
		},
		Methods:    []string{http.MethodPost},
		Parameters: []string{"token", "token_type_hint"},
		Call:       e.call,
	}
}

// call revokes the token, and answers with an empty object: §2.2 leaves the body open, and some
// clients insist on JSON.
func (e Revocation) call(ctx context.Context, r *tokenep.Request) (any, error) {
	token, err := r.Form.Require("token", "token is missing")
	if err != nil {
		return nil, err
	}
	switch {
	case state.IsAPIToken(token):
		return e.apiToken(ctx, r, token)
	case state.IsRefreshToken(token):
		return e.refreshToken(ctx, r, token)
	default:
		return e.accessToken(ctx, r, token)
	}
}

// done is the answer to a revocation, also of a token that was not good: what the client wants is
// so (§2.2).
var done struct{}

// apiToken revokes the API token of whoever sends it.
func (e Revocation) apiToken(ctx context.Context, r *tokenep.Request, token string) (any, error) {
	if e.APITokens == nil {
		// An unknown token is answered with 200, and its holder would believe that it is dead
		// (§2.2.1).
		return nil, tokenep.UnsupportedTokenType.Describe("the server has no API tokens")
	}
	if err := e.revokeHeld(ctx, r, token); !errors.Is(err, state.ErrBadAPIToken) && err != nil {
		return nil, err
	}
	return done, nil
}

func (e Revocation) revokeHeld(ctx context.Context, r *tokenep.Request, token string) error {
	t, err := e.APITokens.RevokeHeld(ctx, token, e.Address(r.Request), state.ReasonHolder)
	if err == nil {
		r.Outcome.Event = "API token revoked"
		r.Outcome.Details = append(r.Outcome.Details, slog.String("id", t.ID), slog.String("owner", t.Owner))
	}
	return err
}

// unknown answers for what is no access token of this server. It may be an API token of another
// system, which has any form.
func (e Revocation) unknown(ctx context.Context, r *tokenep.Request, token string) (any, error) {
	err := state.ErrUnknownAPIToken
	if e.APITokens != nil {
		err = e.revokeHeld(ctx, r, token)
	}
	unknown := errors.Is(err, state.ErrMalformedAPIToken) || errors.Is(err, state.ErrUnknownAPIToken)
	switch {
	case unknown && r.Client == nil:
		return nil, tokenep.InvalidClient.Describe("client authentication is required")
	case err != nil && !errors.Is(err, state.ErrBadAPIToken):
		return nil, err
	}
	return done, nil // what the client wants is so (§2.2)
}

// refreshToken revokes the family of a refresh token for its client.
func (e Revocation) refreshToken(ctx context.Context, r *tokenep.Request, token string) (any, error) {
	if r.Client == nil {
		return nil, tokenep.InvalidClient.Describe("client authentication is required")
	}
	var family state.Family
	err := e.Families.RevokeToken(ctx, token, func(f state.Family) error {
		if f.ClientID != r.Client.ID || f.RegistrationID != r.Client.RegistrationID {
			return tokenep.InvalidGrant.Describe("the token was issued to another client")
		}
		family = f
		return nil
	})
	switch {
	case errors.Is(err, state.ErrRefused):
		return done, nil
	case err != nil:
		return nil, err
	}
	r.Outcome.Event = "refresh token revoked"
	r.Outcome.Details = append(r.Outcome.Details, slog.String("sub", family.Subject), slog.String("grant_id", family.ID))
	return done, nil
}

func (e Revocation) accessToken(ctx context.Context, r *tokenep.Request, token string) (any, error) {
	t, err := e.Verifier.Verify(ctx, verify.Presentation{Token: token})
	switch unavailable := tokenep.AsUnavailable(err); {
	case unavailable != nil:
		return nil, unavailable
	case err != nil:
		return e.unknown(ctx, r, token)
	case r.Client == nil && !tokenep.IsUnregistered(t.ClientID):
		return nil, tokenep.InvalidClient.Describe("client authentication is required")
	case r.Client != nil && r.Client.ID != t.ClientID:
		return nil, tokenep.InvalidGrant.Describe("the token was issued to another client")
	case e.Revoked(t):
		return done, nil
	}
	if err := e.Revoke(ctx, r.Client, t); err != nil {
		return nil, err
	}
	r.Outcome.Event = "token revoked"
	if r.Client == nil {
		r.Outcome.Details = append(r.Outcome.Details, slog.String("client", t.ClientID))
	}
	r.Outcome.Details = append(r.Outcome.Details, slog.String("jti", t.ID))
	return done, nil
}
