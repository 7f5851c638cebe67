package endpoint

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Introspection is the endpoint of RFC 7662: what a token says, and whether it is good now.
//
//	token            REQUIRED  an access token, a refresh token or an API token
//	token_type_hint  OPTIONAL  ignored: the token shows what it is
//
// A client that has authenticated is told of its own tokens, and a protected resource of access
// tokens and API tokens for its audience (tokenep.Client.Introspect). What a caller should not know
// is answered like what is not good: {"active":false}, and nothing else (§2.2). Nothing is written.
//
// Where a request has no other credentials, a Bearer token that the caller got for itself does as
// well (§2.1).
type Introspection struct {
	Issuer   string           // iss
	Verifier *verify.Verifier // trusts this issuer alone, for any audience, without leeway
	Clients  tokenep.Clients
	Families state.Families // of refresh tokens

	// APITokens are nil where there are none.
	APITokens *state.APITokens

	// Address returns the address that a request comes from.
	Address func(*http.Request) netip.Addr

	Active  tokenep.Active // of users
	Enabled tokenep.Active // likewise, of those whom a policy vouches for
}

// Endpoint returns the row of the table.
func (e Introspection) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: introspectionName, Path: "/oauth/introspect", Member: "introspection_endpoint",
		Metadata: func(document map[string]any) map[string]any {
			methods, _ := document["token_endpoint_auth_methods_supported"].([]string)
			confidential := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == tokenep.AuthNone })
			return map[string]any{"introspection_endpoint_auth_methods_supported": confidential}
		},
		Methods:    []string{http.MethodPost},
		Callers:    tokenep.AnyCaller, // see caller
		Parameters: []string{"token", "token_type_hint"},
		Call:       e.call,
	}
}

// introspected is the answer (§2.2). Its zero value says that the token is not active.
type introspected struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  any    `json:"aud,omitempty"` // see audience
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`

	Actor        map[string]any `json:"act,omitempty"`     // RFC 8693 §4.1
	MayAct       any            `json:"may_act,omitempty"` // RFC 8693 §4.4
	Confirmation any            `json:"cnf,omitempty"`     // RFC 8705 §3.2, RFC 9449 §6.2
	AuthTime     any            `json:"auth_time,omitempty"`
	Class        any            `json:"acr,omitempty"` // RFC 9470 §6.2
	Methods      any            `json:"amr,omitempty"`
	Limits       any            `json:"use_limits,omitempty"` // see verify.Limit
}

// audience returns the aud of an answer: a string where there is one, and a list of several (RFC
// 7519 §4.1.3).
func audience(all []string) any {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

func (e Introspection) call(ctx context.Context, r *tokenep.Request) (any, error) {
	token, err := r.Form.Require("token", "token is missing")
	if err != nil {
		return nil, err
	}
	caller, err := e.caller(ctx, r)
	if err != nil {
		return nil, err
	}
	switch {
	case state.IsRefreshToken(token):
		return e.refreshToken(ctx, caller, token)
	case state.IsAPIToken(token):
		return e.apiToken(ctx, r, caller, token)
	}
	// An API token of another system has any form, also that of a JWT.
	answer, err := e.accessToken(ctx, caller, token)
	if errors.Is(err, errNotOurs) {
		return e.apiToken(ctx, r, caller, token)
	}
	return answer, err
}

// caller returns the client that asks, which must have proven that it is the one.
func (e Introspection) caller(ctx context.Context, r *tokenep.Request) (*tokenep.Client, error) {
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case r.Client != nil && r.Client.Public():
		return nil, tokenep.UnauthorizedClient.Describe("a public client cannot use this endpoint")
	case r.Client != nil:
		return r.Client, nil
	case !strings.EqualFold(scheme, "Bearer"):
		return nil, tokenep.InvalidClient.Describe("client authentication is required")
	}
	t, err := e.Verifier.Verify(ctx, verify.Presentation{Token: bearer})
	if unavailable := tokenep.AsUnavailable(err); unavailable != nil {
		return nil, unavailable
	}
	if err != nil || t.Subject != tokenep.ClientSubjectPrefix+t.ClientID || t.Claims["cnf"] != nil {
		return nil, tokenep.InvalidClient.Describe("the bearer token is not one that a client got for itself").Because(err)
	}
	return e.Clients(ctx, t.ClientID)
}

// errNotOurs says that a token is no access token of this server that is good.
var errNotOurs = errors.New("no access token of this server")

func (e Introspection) accessToken(ctx context.Context, c *tokenep.Client, token string) (none introspected, err error) {
	t, err := e.Verifier.Verify(ctx, verify.Presentation{Token: token})
	if unavailable := tokenep.AsUnavailable(err); unavailable != nil {
		return none, unavailable
	}
	if err != nil {
		return none, errNotOurs
	}
	if c.ID != t.ClientID && !c.Introspects(t.Audience) {
		return none, nil
	}
	return introspected{
		Active: true, TokenType: tokenType(t), Issuer: t.Issuer, Subject: t.Subject, Username: username(t.Subject),
		ClientID: t.ClientID, Audience: audience(t.Audience), Scope: t.Scope.String(), ID: t.ID,
		Expires: t.Expires.Unix(), IssuedAt: t.IssuedAt.Unix(),
		Actor: t.Actor(), MayAct: t.Claims["may_act"], Confirmation: t.Claims["cnf"],
		AuthTime: t.Claims["auth_time"], Class: t.Claims["acr"], Methods: t.Claims["amr"],
		Limits: t.Claims["use_limits"],
	}, nil
}

// tokenType is the token_type of an access token (RFC 6749 §7.1, RFC 9449 §6.2).
func tokenType(t *verify.Token) string {
	if cnf, _ := t.Claims["cnf"].(map[string]any); cnf["jkt"] != nil {
		return "DPoP"
	}
	return "Bearer"
}

// refreshToken answers for a refresh token, which is nobody's business but its client's.
func (e Introspection) refreshToken(ctx context.Context, c *tokenep.Client, token string) (none introspected, err error) {
	f, err := e.Families.Inspect(ctx, token)
	switch {
	case errors.Is(err, state.ErrRefused):
		return none, nil
	case err != nil:
		return none, err
	case f.ClientID != c.ID || f.RegistrationID != c.RegistrationID:
		return none, nil
	}
	active := e.Active
	if f.Exchanged != nil {
		active = e.Enabled
	}
	if good, err := good(ctx, active, f.Subject, f.Started); !good {
		return none, err
	}
	return introspected{
		Active: true, Issuer: e.Issuer, Subject: f.Subject, Username: username(f.Subject), ClientID: f.ClientID,
		Audience: audience(f.Audience), Scope: f.Scope.String(), Expires: f.Expires.Unix(), IssuedAt: f.Started.Unix(),
	}, nil
}

// apiToken answers for an API token, to the service that it is for.
func (e Introspection) apiToken(ctx context.Context, r *tokenep.Request, c *tokenep.Client, token string) (none introspected, err error) {
	if e.APITokens == nil {
		return none, nil
	}
	t, err := e.APITokens.Inspect(ctx, token, e.Address(r.Request))
	switch {
	case errors.Is(err, state.ErrBadAPIToken):
		return none, nil
	case err != nil:
		return none, err
	case !c.Introspects([]string{t.Service}):
		return none, nil
	}
	if good, err := good(ctx, e.Active, t.Owner, t.Created); !good {
		return none, err
	}
	answer := introspected{
		Active: true, Issuer: e.Issuer, Subject: t.Owner, Username: username(t.Owner), ClientID: tokenep.APITokenClientPrefix + t.ID,
		Audience: t.Service, Scope: t.Scope.String(), IssuedAt: t.Created.Unix(),
	}
	if !t.NoExpiry {
		answer.Expires = t.Expires.Unix()
	}
	if !t.Any() || !t.Rate.IsZero() {
		answer.Limits = []verify.Limit{{ID: t.ID, Addresses: t.Addresses, Rate: t.Rate}}
	}
	return answer, nil
}

// good reports whether what a user allowed at a time is of use to anybody now.
func good(ctx context.Context, active tokenep.Active, subject string, allowed time.Time) (bool, error) {
	err := active(ctx, subject, allowed)
	if errors.Is(err, tokenep.ErrNoUser) {
		return false, nil
	}
	return err == nil, err
}

// username is the subject, if it is a person.
func username(subject string) string {
	if strings.HasPrefix(subject, tokenep.ClientSubjectPrefix) {
		return ""
	}
	return subject
}
