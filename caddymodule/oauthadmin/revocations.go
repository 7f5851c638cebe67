package oauthadmin

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// revocation names the access tokens to revoke: one of its members is set.
type revocation struct {
	Token    string `json:"token,omitempty"`     // one token, by its text: for whoever has not read its jti
	JTI      string `json:"jti,omitempty"`       // one token, and what it was exchanged for
	GrantID  string `json:"grant_id,omitempty"`  // all that came of one authorization: for an API token, its id
	ClientID string `json:"client_id,omitempty"` // all that a client has got so far
	Subject  string `json:"sub,omitempty"`       // all that are about a subject so far
}

// revokeTokens revokes access tokens (RFC 7009 §2.1): this process refuses them when it has answered.
func revokeTokens(r *request) (any, error) {
	var in revocation
	if err := r.read(&in); err != nil {
		return nil, err
	}
	entries, err := r.revocations(&in)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if err := r.server.Server().Revoke(r.Context(), entry); err != nil {
			return nil, err
		}
	}
	named := entries[len(entries)-1]
	r.server.Server().Config.Logger.LogAttrs(r.Context(), slog.LevelInfo, "tokens revoked", slog.String(named.Claim, named.Value))
	return nil, nil
}

// revocations returns the entries of the log that revoke what is named. The last one has what was asked for.
func (r *request) revocations(in *revocation) (entries []verify.Revocation, err error) {
	now := r.server.Server().Config.Now()
	entry := verify.Revocation{Expires: now.Add(r.server.Server().TokenLife() + verify.MaxLeeway)}
	members := 0
	for _, m := range []struct {
		claim, value string
		before       time.Time // a client and a subject may go on to get new tokens
	}{{"jti", in.JTI, time.Time{}}, {"jti", in.Token, time.Time{}}, {"grant_id", in.GrantID, time.Time{}}, {"client_id", in.ClientID, now}, {"sub", in.Subject, now}} {
		if m.value != "" {
			entry.Claim, entry.Value, entry.Before = m.claim, m.value, m.before
			members++
		}
	}
	if members != 1 {
		return nil, refuse(http.StatusBadRequest, "exactly one of token, jti, grant_id, client_id and sub is required")
	}
	if in.Token != "" {
		if entry.Value, err = r.tokenID(in.Token); err != nil {
			return nil, err
		}
	}
	if entry.Claim == "jti" {
		derived := entry
		derived.Claim = "grant_id"
		entries = append(entries, derived)
	}
	return append(entries, entry), nil
}

// tokenID returns the jti of an access token that this server signed, whether it is still good or not.
func (r *request) tokenID(text string) (string, error) {
	if state.IsAPIToken(text) {
		return "", refuse(http.StatusBadRequest, "token: this is an API token, which is revoked by its id: the part between the first and the second underscore")
	}
	trusted := r.server.Server().Trusted()
	trusted.InsecureAnyAudience = true
	verifier, err := verify.New(verify.Config{Issuers: []verify.Issuer{trusted}, Now: r.server.Server().Config.Now})
	if err != nil {
		return "", err
	}
	token, checks := verifier.Inspect(r.Context(), text)
	signed := slices.ContainsFunc(checks, func(c verify.Check) bool { return c.Name == "signature" && c.Err == nil && !c.Skipped })
	if !signed || token.ID == "" {
		return "", refuse(http.StatusBadRequest, "token: it is no access token of this server, or was signed by a key that is gone")
	}
	return token.ID, nil
}
