package oauthadmin

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// revocation is the request to revoke access tokens. One of its members is set.
type revocation struct {
	Token    string `json:"token,omitempty"`     // the text of one token
	JTI      string `json:"jti,omitempty"`       // one token, and those that it was exchanged for
	GrantID  string `json:"grant_id,omitempty"`  // those of one authorization or API token
	ClientID string `json:"client_id,omitempty"` // those that a client was issued until now
	Subject  string `json:"sub,omitempty"`       // those that were issued for a subject until now
}

// revokeTokens revokes access tokens. This process refuses them from its answer on.
func revokeTokens(r *request) (_ any, err error) {
	var in revocation
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if in.count() != 1 {
		return nil, refuse(http.StatusBadRequest, "exactly one of token, jti, grant_id, client_id and sub is required")
	}
	if in.Token != "" {
		if in.JTI, err = r.tokenID(in.Token); err != nil {
			return nil, err
		}
	}
	ctx, s := r.Context(), r.server.Server()
	var claim, value string
	switch {
	case in.JTI != "":
		claim, value, err = "jti", in.JTI, s.RevokeToken(ctx, in.JTI, time.Time{})
	case in.GrantID != "":
		claim, value, err = "grant_id", in.GrantID, s.RevokeGrant(ctx, in.GrantID)
	case in.ClientID != "":
		claim, value, err = "client_id", in.ClientID, s.RevokeClient(ctx, in.ClientID)
	default:
		claim, value, err = "sub", in.Subject, s.RevokeSubject(ctx, in.Subject)
	}
	if err == nil {
		s.Config.Logger.LogAttrs(ctx, slog.LevelInfo, "tokens revoked", slog.String(claim, value))
	}
	return nil, err
}

// count returns how many members are set.
func (in *revocation) count() (n int) {
	for _, member := range []string{in.Token, in.JTI, in.GrantID, in.ClientID, in.Subject} {
		if member != "" {
			n++
		}
	}
	return n
}

// tokenID returns the jti of an access token that this server has signed, whether it is still valid
// or not.
func (r *request) tokenID(text string) (string, error) {
	if state.IsAPIToken(text) {
		return "", refuse(http.StatusBadRequest, "token: this is an API token; revoke it by its id, the part between the first and the second underscore")
	}
	trusted := r.server.Server().Trusted()
	trusted.InsecureAnyAudience = true
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: r.server.Server().Config.Now})
	if err != nil {
		return "", err
	}
	token, checks := verifier.Inspect(r.Context(), verify.Presentation{Token: text})
	signed := slices.ContainsFunc(checks, func(c verify.Check) bool { return c.Name == "signature" && c.Err == nil && !c.Skipped })
	if !signed || token.ID == "" {
		return "", refuse(http.StatusBadRequest, "token: is not an access token of this server, or its key is gone")
	}
	return token.ID, nil
}
