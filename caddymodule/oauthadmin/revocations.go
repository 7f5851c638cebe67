package oauthadmin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/tokenep"
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
	Issuer   string `json:"iss,omitempty"`       // those that came of another issuer's until now
}

// revokeTokens revokes access tokens. This process refuses them from its answer on.
func revokeTokens(r *request) (_ any, err error) {
	var in revocation
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if in.count() != 1 {
		return nil, refuse(http.StatusBadRequest, "exactly one of token, jti, grant_id, client_id, sub and iss is required")
	}
	for name, value := range map[string]string{"jti": in.JTI, "grant_id": in.GrantID, "client_id": in.ClientID, "sub": in.Subject, "iss": in.Issuer} {
		if err := checkRevoked(value, `give it as "token"`); err != nil {
			return nil, refuse(http.StatusBadRequest, "%s: %w", name, err)
		}
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
	case in.Issuer != "":
		claim, value, err = "iss", in.Issuer, r.revokeIssuer(in.Issuer)
	default:
		claim, value, err = "sub", in.Subject, s.RevokeSubject(ctx, in.Subject)
	}
	if err == nil {
		s.Config.Logger.LogAttrs(ctx, slog.LevelInfo, "tokens revoked", slog.String(claim, value))
	}
	return nil, err
}

// revokeIssuer revokes what the policies for tokens of another issuer have given until now. If it
// fails, it can be repeated.
func (r *request) revokeIssuer(name string) error {
	s, known := r.server.Server(), false
	if name == s.Config.Issuer {
		return refuse(http.StatusBadRequest, "iss: this is the server itself, whose tokens all end with its keys: withdraw those")
	}
	for _, source := range s.Config.Subjects {
		if source.Name != name {
			continue
		}
		known = true
		for i := range source.Policies {
			if err := s.RevokeGrant(r.Context(), tokenep.PolicyGrantPrefix+source.Policies[i].Name); err != nil {
				return err
			}
		}
	}
	if !known {
		return refuse(http.StatusNotFound, "iss: no subject of the server takes tokens of this issuer")
	}
	return nil
}

// Reasons not to take a text for the name of what is revoked.
var (
	errIsAPIToken     = errors.New("this is an API token; revoke it by its id, the part between the first and the second underscore")
	errIsRefreshToken = errors.New("this is a refresh token; it is revoked with what came of it at the revocation endpoint, by its client")
	errPadded         = errors.New("white space at the beginning or end, or a control character or bad UTF-8, is in no name; " +
		"write it without")
)

// checkRevoked refuses what cannot be the id of a token, grant or client, or a user: nothing would
// be revoked, and the answer would say that it was. access says how an access token is given.
// Errors do not show the value, which may be a secret.
func checkRevoked(value, access string) error {
	for field := range strings.FieldsSeq(value) {
		switch {
		case isCompact(field):
			return fmt.Errorf("this is a token and not the name of one; %s", access)
		case state.IsAPIToken(field):
			return errIsAPIToken
		case state.IsRefreshToken(field):
			return errIsRefreshToken
		}
	}
	if strings.TrimSpace(value) != value || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return errPadded
	}
	return nil
}

// isCompact reports whether text is like a compact JWS or JWE: parts between dots, of which the
// first is a JSON object (RFC 7515 §7.1, RFC 7516 §7.1).
func isCompact(text string) bool {
	first, _, _ := strings.Cut(text, ".")
	header, err := base64.RawURLEncoding.DecodeString(first)
	var members map[string]json.RawMessage
	return strings.Count(text, ".") >= 2 && err == nil && json.Unmarshal(header, &members) == nil
}

// count returns how many members are set.
func (in *revocation) count() (n int) {
	for _, member := range []string{in.Token, in.JTI, in.GrantID, in.ClientID, in.Subject, in.Issuer} {
		if member != "" {
			n++
		}
	}
	return n
}

// tokenID returns the jti of an access token that this server has signed, whether it is still valid
// or not.
func (r *request) tokenID(text string) (string, error) {
	switch {
	case state.IsAPIToken(text):
		return "", refuse(http.StatusBadRequest, "token: %w", errIsAPIToken)
	case state.IsRefreshToken(text):
		return "", refuse(http.StatusBadRequest, "token: %w", errIsRefreshToken)
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
