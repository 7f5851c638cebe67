package tokenep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// TokenEndpointName is the Endpoint.Name of the token endpoint.
const TokenEndpointName = "token"

// TokenEndpoint is the token endpoint (RFC 6749 §3.2): one path of it, with that path's dialect.
type TokenEndpoint struct {
	*Front
	Minter  *Minter
	Grants  []Grant
	Dialect *Dialect // never nil

	TokenTTL   time.Duration // life of an access token, unless the client has its own
	LongestTTL time.Duration // no token exceeds it: keys and revocations are kept for as long

	// Audience is the aud of a token that was asked for no target (RFC 9068 §3); never empty.
	Audience []string

	Active  Active // of users; nil: all are
	Enabled Active // likewise, of those whom a policy vouches for: the source of users is not asked

	Verifier *verify.Verifier // of the server's own tokens, for Dialect.BearerClient
}

// ServeHTTP answers one request. Front.Handler lets through nothing but POST.
func (t *TokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.Answer(w, r, TokenEndpointName, func(o *Outcome) (any, error) {
		response, err := t.issue(r, o)
		if err != nil {
			err = t.Dialect.refusal(err)
		}
		return response, err
	})
}

// issue is the whole of the token endpoint. The phases stand in one function, so that no grant can
// forget one. Until the ninth nothing is changed: a request that is refused spends nothing.
func (t *TokenEndpoint) issue(r *http.Request, o *Outcome) (*Response, error) {
	// 1. Read the form.
	ctx := r.Context()
	req, err := readRequest(r, t.Dialect, t.Authenticator, o)
	if err != nil {
		return nil, err
	}
	grant, unsupported := t.find(req)
	if unsupported == nil {
		o.Grant = grant.Type()
		if err := req.declare(grant.Parameters(), pipelineParameters); err != nil {
			return nil, err
		}
	}

	// 2. Authenticate the client, before anything is said about the grant (RFC 6749 §3.2.1).
	if err := t.identify(ctx, req, o); err != nil {
		return nil, err
	}

	// 3. Is there such a grant?
	if unsupported != nil {
		return nil, unsupported
	}

	// 4. May this client use it, and ask for this scope and target?
	if err := t.permit(req, grant); err != nil {
		return nil, err
	}

	// 5. Proof of possession: the keys that tokens can be bound to (RFC 9449 §5, RFC 8705 §3).
	if err := t.possess(req); err != nil {
		return nil, err
	}

	for range state.Attempts {
		// 6. The grant's own section of its RFC: it reads and checks.
		authorization, err := t.authorize(ctx, req, grant)
		if err != nil {
			return nil, err
		}

		// 7. Never more than was allowed: scope, audience, life, reserved names.
		claims, err := t.narrow(ctx, req, authorization)
		if err != nil {
			return nil, err
		}

		// 8. Sign whatever does not come of the spend.
		response, minted, err := t.sign(ctx, req, authorization, claims)
		if err != nil {
			return nil, err
		}

		// 9. Spend the proof, and the credential. If it fails, what was signed is dropped.
		refresh, err := t.spend(ctx, req, authorization)
		switch {
		case errors.Is(err, state.ErrChanged): // what was checked is not so any more
			continue
		case err != nil:
			return nil, err
		}

		// 10. Answer.
		t.Minter.Remember(minted)
		o.Event, o.ID, o.Claims = "token issued", minted.ID, claims
		response.complete(claims, refresh, t.Now())
		return response, nil
	}
	return nil, store.ErrConflict // others keep changing the credential: 503
}

// Narrow leaves of an authorization what a client, or nobody, gets that asks for nothing in
// particular, as an answer would: see narrow. The error says why it would be refused. Nothing is
// issued or spent.
func (t *TokenEndpoint) Narrow(ctx context.Context, c *Client, a *Authorization) error {
	claims, err := t.narrow(ctx, &Request{Client: c, Dialect: t.Dialect}, a)
	if err != nil {
		return err
	}
	a.Scope, a.Audience, a.NotAfter = claims.Scope, claims.Audience, claims.Expires
	return nil
}

// spend uses up the proof of possession, if there is one, and then the credential: a proof that was
// used before costs nobody a credential.
func (t *TokenEndpoint) spend(ctx context.Context, r *Request, a *Authorization) (none RefreshToken, err error) {
	ctx, end := t.phase(ctx, "spend")
	defer func() { end(err) }()
	if err := t.Possessions.Spend(ctx, &r.Shown); err != nil {
		return none, err
	}
	if a.Spend == nil {
		return none, nil
	}
	return a.Spend(ctx)
}

// find returns the grant that the request names.
func (t *TokenEndpoint) find(r *Request) (Grant, error) {
	grantType, err := r.Form.Require("grant_type", "grant_type is missing")
	if err != nil {
		return nil, err
	}
	for _, g := range t.Grants {
		if g.Type() == grantType {
			return g, nil
		}
	}
	return nil, UnsupportedGrantType.Describe("the server does not offer this grant_type")
}

// permit checks what the client was registered for (RFC 6749 §5.2, unauthorized_client). Scope and
// target are held against the client here, and against what the grant allows in phase 7.
func (t *TokenEndpoint) permit(r *Request, g Grant) error {
	c := r.Client
	switch {
	case c == nil && !g.Anonymous(r):
		return InvalidClient.Describe("client authentication is required")
	case c == nil:
		return nil
	case !c.May(g.Type()):
		return UnauthorizedClient.Describe("the client may not use this grant_type")
	case !c.Scope.Includes(r.Scope):
		return InvalidScope.Describe("the client may not ask for this scope").Because(beyond(r.Scope, c.Scope))
	}
	if g.Type() == RefreshTokenType {
		return nil // what the client may not have any more is told from what it never might
	}
	if targets := c.asks(g.Type(), t.targets(c.Audience)); !r.within(targets) {
		return InvalidTarget.Describe("the client may not ask for this audience or resource").Because(beyond(r.Audience, targets))
	}
	return nil
}

// beyond says for the log what was asked for, and what there is.
func beyond[T ~[]string](asked, allowed T) error {
	return fmt.Errorf("%.200q is not within %.500q", asked, allowed)
}

// What a grant must not return. They are mistakes of the grant: the client gets server_error.
var (
	errNoAuthorization = errors.New("the grant returned neither an authorization nor an error")
	errNoSubject       = errors.New("the grant returned an authorization without a subject")
	errClientID        = errors.New("without a client, a grant must return a client_id that begins with api_token or policy")
)

// The grant types of which the pipeline knows something.
const (
	ClientCredentialsType = "client_credentials" // RFC 6749 §4.4
	RefreshTokenType      = "refresh_token"      // RFC 6749 §6

	TokenExchangeType = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 §2.1
)

// The token type identifiers of RFC 8693 §3 for which an exchange issues something else than an
// access token.
const (
	IssuedIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	IssuedRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
)

// notApplicable is the token_type of what is no access token (RFC 8693 §2.2.1).
const notApplicable = "N_A"

// authorize asks the grant, and holds what it returns to the rules that are the same for all
// grants.
func (t *TokenEndpoint) authorize(ctx context.Context, r *Request, g Grant) (a *Authorization, err error) {
	ctx, end := t.phase(ctx, "check the grant")
	defer func() { end(err) }()
	a, err = g.Authorize(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, errNoAuthorization
	case a.Subject == "":
		return nil, errNoSubject
	case r.Client == nil && !IsUnregistered(a.ClientID):
		return nil, errClientID // it would pass for a registered client
	}
	if strings.HasPrefix(a.Subject, ClientSubjectPrefix) && !a.Descends {
		// RFC 9068 §5: no user, and no other client, passes for a client.
		if g.Type() != ClientCredentialsType || a.Subject != ClientSubjectPrefix+r.Client.ID {
			return nil, a.bad(r, "the name of the subject is reserved for clients")
		}
	}
	return a, CheckExtra(a.Extra)
}

// sign makes the access token and, where the grant asks for one, the ID token, with it or in its
// place. Both are worth nothing until the answer is written.
func (t *TokenEndpoint) sign(ctx context.Context, r *Request, a *Authorization, c *Claims) (response *Response, minted Minted, err error) {
	_, end := t.phase(ctx, "sign")
	defer func() { end(err) }()
	response = &Response{IssuedTokenType: a.IssuedTokenType, TokenType: c.TokenType()}
	if !slices.Contains(r.Dialect.Ignore, "scope") {
		response.Scope = c.Scope.String()
	}
	switch a.IssuedTokenType {
	case IssuedRefreshToken: // see Response.complete
		response.TokenType = notApplicable
		return response, minted, nil
	case IssuedIDToken:
		if !c.Scope.Has(OpenIDScope) {
			return nil, minted, InvalidScope.Describe("an ID token is for the scope openid")
		}
		response.TokenType = notApplicable
		response.AccessToken, err = t.Minter.MintIDToken(r.Client, c, "", a.IDToken)
		return response, minted, err
	}
	if minted, err = t.Minter.Mint(c); err != nil {
		return nil, minted, err
	}
	response.AccessToken = minted.Token
	dropped := a.Scope.Has(OpenIDScope) && !c.Scope.Has(OpenIDScope)
	if a.IDToken != nil && r.Client != nil && !dropped {
		response.IDToken, err = t.Minter.MintIDToken(r.Client, c, minted.Token, a.IDToken)
	}
	return response, minted, err
}

// appendToken appends what the log tells of the token that was issued.
func (o *Outcome) appendToken(attrs []slog.Attr) []slog.Attr {
	c := o.Claims
	if o.Client == nil {
		attrs = append(attrs, slog.String("client", c.ClientID))
	}
	attrs = append(attrs, slog.String("sub", c.Subject), slog.String("scope", c.Scope.String()),
		slog.Any("aud", c.Audience))
	if o.ID == "" {
		return attrs // it is no access token
	}
	attrs = append(attrs, slog.String("jti", o.ID), slog.Time("exp", c.Expires))
	if c.GrantID != "" {
		attrs = append(attrs, slog.String("grant_id", c.GrantID))
	}
	if cameOf := names(c.Ancestors); len(cameOf) > 0 {
		attrs = append(attrs, slog.Any("ancestors", cameOf))
	}
	return attrs
}

// names returns the jti of each ancestor that is a token, and the grant_id of each that is none.
func names(ancestors []verify.Ancestor) (ids []string) {
	for i := range ancestors {
		if id := cmp.Or(ancestors[i].ID, ancestors[i].GrantID); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
