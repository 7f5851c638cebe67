package endpoint

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Revocation is the endpoint of RFC 7009.
//
//	token            REQUIRED; an access token
//	token_type_hint  OPTIONAL; the token shows what it is, so no hint is needed, and a wrong one does no harm
//
// An access token is revoked by its jti until it expires, in this process from the very next request on. A client revokes its own tokens only (§2.1). A token
// that was had for an API token, with no client in play, is revoked by whoever holds it.
type Revocation struct {
	Clients  *tokenep.Authenticator
	Verifier *verify.Verifier // trusts this issuer alone, for any audience, for as long after its expiry as any verifier may, and whether revoked or not
	Revoked  func(t *verify.Token) bool
	Logger   *slog.Logger

	// Revoke revokes the token with that jti, and those that it was exchanged for.
	Revoke func(ctx context.Context, jti string, expires time.Time) error
}

// ServeHTTP answers one request. Mount it through tokenep.Methods.
func (e *Revocation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, err := e.revoke(r)
	if err != nil {
		refused := tokenep.WriteError(w, r, err)
		e.Logger.LogAttrs(r.Context(), slog.LevelInfo, "revocation refused", slog.String("error", string(refused.Code)), slog.String("reason", refused.Error()))
		return
	}
	if t != nil {
		e.Logger.LogAttrs(r.Context(), slog.LevelInfo, "token revoked", slog.String("client", t.ClientID), slog.String("jti", t.ID))
	}
	tokenep.WriteJSON(w, http.StatusOK, struct{}{}) // §2.2 leaves the body open; some clients insist on JSON
}

// revocationDialect leaves out the parameters of the token endpoint, which mean nothing here.
var revocationDialect = &tokenep.Dialect{Ignore: []string{"scope", "audience", "resource"}}

func (e *Revocation) revoke(r *http.Request) (*verify.Token, error) {
	ctx := r.Context()
	req, err := tokenep.ReadRequest(r, revocationDialect)
	if err != nil {
		return nil, err
	}
	client, err := e.Clients.Authenticate(ctx, req)
	if err != nil {
		return nil, err
	}
	token, err := req.Form.Require("token", "token is missing")
	if err != nil {
		return nil, err
	}
	if state.IsAPIToken(token) {
		// As an unknown token it would be answered with 200, and its holder would believe that it is dead (§2.2.1).
		return nil, tokenep.UnsupportedTokenType.Describe("API tokens are revoked by those who manage them, not here")
	}
	t, err := e.Verifier.Verify(ctx, token)
	switch unavailable := tokenep.AsUnavailable(err); {
	case unavailable != nil:
		return nil, unavailable
	case client == nil && (err != nil || !strings.HasPrefix(t.ClientID, tokenep.APITokenClientPrefix)):
		return nil, tokenep.InvalidClient.Describe("client authentication is required")
	case err != nil:
		return nil, nil // unknown or expired: what the client wants is so (§2.2)
	case client != nil && client.ID != t.ClientID:
		return nil, tokenep.InvalidGrant.Describe("the token was issued to another client")
	case e.Revoked(t):
		return nil, nil
	}
	if err := e.Revoke(ctx, t.ID, t.Expires); err != nil {
		return nil, err
	}
	return t, nil
}
