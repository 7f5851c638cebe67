package tokenep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// Handler is the token endpoint (RFC 6749 §3.2): one path of it, with that path's dialect.
type Handler struct {
	Issuer  *Issuer
	Clients *Authenticator
	Grants  []Grant
	Dialect *Dialect // never nil

	TokenTTL   time.Duration         // life of an access token, unless the client has its own
	LongestTTL time.Duration         // what no token exceeds: keys and revocations are kept for as long
	Audience   []string              // aud of a token that was asked for no target in particular (RFC 9068 §3); never empty
	Anonymous  func(r *Request) bool // which requests need no client; nil: none

	Logger  *slog.Logger
	Observe func(ctx context.Context, o Outcome) // is told about every request; may be nil
}

// Outcome is how a request ended.
type Outcome struct {
	Grant    string  // grant_type, if the server has it; else ""
	Client   *Client // nil when none was authenticated
	Claimed  string  // the client that credentials were presented for, good or not; empty if there is none of that id
	Err      *Error  // nil when a token was issued
	Claims   *Claims // what the token says
	ID       string  // its jti
	Duration time.Duration
}

// ServeHTTP answers one request. Mount it through Methods, which leaves it nothing but POST.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o Outcome
	start := h.Issuer.Now()
	response, err := h.issue(r, &o)
	if err != nil {
		o.Err = WriteError(w, r, err)
	} else {
		WriteJSON(w, http.StatusOK, response)
	}
	o.Duration = h.Issuer.Now().Sub(start)
	h.log(r.Context(), &o)
	if h.Observe != nil {
		h.Observe(r.Context(), o)
	}
}

// issue is the whole of the token endpoint. The phases stand in one function so that no grant can forget one.
func (h *Handler) issue(r *http.Request, o *Outcome) (*Response, error) {
	ctx := r.Context()

	// 1. Read the form.
	req, err := ReadRequest(r, h.Dialect)
	if err != nil {
		return nil, err
	}

	grant, unsupported := h.find(req)
	if unsupported == nil {
		o.Grant = grant.Type()
	}

	// 2. Authenticate the client, before anything is said about the grant (RFC 6749 §3.2.1).
	req.Client, err = h.Clients.Authenticate(ctx, req)
	o.Claimed = req.Claimed
	if err != nil {
		return nil, err
	}
	o.Client = req.Client

	// 3. Is there such a grant?
	if unsupported != nil {
		return nil, unsupported
	}

	// 4. May this client use it, and ask for this scope and target?
	if err := h.permit(req, grant); err != nil {
		return nil, err
	}

	// 5. The grant's own section of its RFC.
	authorization, err := grant.Authorize(ctx, req)
	if err != nil {
		return nil, err
	}

	// 6. Bind the token to a key of the client: all tokens are bearer tokens (RFC 6750), so there is nothing to bind.

	// 7. Never more than was allowed.
	if o.Claims, err = h.narrow(req, authorization); err != nil {
		return nil, err
	}

	// 8. Issue.
	minted, err := h.Issuer.Mint(o.Claims)
	if err != nil {
		return nil, err
	}
	o.ID = minted.ID
	response := &Response{
		AccessToken:     minted.Token,
		IssuedTokenType: authorization.IssuedTokenType,
		TokenType:       "Bearer",
		ExpiresIn:       secondsLeft(o.Claims.Expires, h.Issuer.Now()),
	}
	if req.Scope != nil || !authorization.ScopeImplied {
		response.Scope = o.Claims.Scope.String()
	}
	return response, nil
}

// find returns the grant that the request names.
func (h *Handler) find(r *Request) (Grant, error) {
	grantType, err := r.Form.Require("grant_type", "grant_type is missing")
	if err != nil {
		return nil, err
	}
	for _, g := range h.Grants {
		if g.Type() == grantType {
			return g, nil
		}
	}
	return nil, UnsupportedGrantType.Describe("the server does not offer this grant_type")
}

// permit checks what the client was registered for (RFC 6749 §5.2, unauthorized_client). Scope and target are held against the client
// here, and against what the grant allows in phase 7.
func (h *Handler) permit(r *Request, g Grant) error {
	c := r.Client
	switch {
	case c == nil && (h.Anonymous == nil || !h.Anonymous(r)):
		return InvalidClient.Describe("client authentication is required")
	case c == nil:
		return nil
	case !c.May(g.Type()):
		return UnauthorizedClient.Describe("the client may not use this grant_type")
	case !c.Scope.Includes(r.Scope):
		return InvalidScope.Describe("the client may not ask for this scope")
	case !includes(h.targets(c.Audience), r.Audience):
		return InvalidTarget.Describe("the client may not ask for this audience or resource")
	}
	return nil
}

// narrow decides what the token says: what was asked for, within what both the grant and the client's registration allow, for no longer than the grant allows.
func (h *Handler) narrow(r *Request, a *Authorization) (*Claims, error) {
	now := h.Issuer.Now()
	c := &Claims{
		Subject: a.Subject, ClientID: a.ClientID, GrantID: a.GrantID, Act: a.Act, MayAct: a.MayAct,
		Scope: a.Scope, Audience: h.targets(a.Audience),
		IssuedAt: now.Truncate(time.Second),
	}
	ttl := h.TokenTTL
	if r.Client != nil {
		c.ClientID = r.Client.ID
		if r.Client.TokenTTL > 0 {
			ttl = min(r.Client.TokenTTL, h.LongestTTL)
		}
		c.Scope = c.Scope.Intersect(r.Client.Scope)
		if c.Audience = common(c.Audience, h.targets(r.Client.Audience)); len(c.Audience) == 0 {
			return nil, InvalidTarget.Describe("the client may not have a token for the audience of this grant")
		}
	}
	if r.Scope != nil {
		if !c.Scope.Includes(r.Scope) {
			return nil, InvalidScope.Describe("the scope is more than the grant allows")
		}
		c.Scope = r.Scope
	}
	if r.Audience != nil {
		if !includes(c.Audience, r.Audience) {
			return nil, InvalidTarget.Describe("the grant does not reach this audience or resource")
		}
		c.Audience = r.Audience
	}
	c.Expires = c.IssuedAt.Add(ttl)
	if !a.NotAfter.IsZero() && a.NotAfter.Before(c.Expires) {
		c.Expires = a.NotAfter.Truncate(time.Second)
	}
	if !c.Expires.After(now) {
		return nil, InvalidGrant.Describe("the grant has expired")
	}
	return c, nil
}

// targets returns the audience, or the server's default where there is none: aud is never empty (RFC 9068 §3).
func (h *Handler) targets(audience []string) []string {
	if len(audience) == 0 {
		return h.Audience
	}
	return audience
}

func includes(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// common returns what is in both lists, in the order of the first.
func common(a, b []string) []string {
	if slices.Equal(a, b) {
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// log writes the one line of a request: who asked for what, and what came of it. It never shows a token or a secret.
func (h *Handler) log(ctx context.Context, o *Outcome) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("grant", o.Grant))
	switch {
	case o.Client != nil:
		attrs = append(attrs, slog.String("client", o.Client.ID))
	case o.Claimed != "": // and not proven: the error says invalid_client
		attrs = append(attrs, slog.String("client", o.Claimed))
	}
	if o.Err != nil {
		level := slog.LevelInfo
		if o.Err.Status >= http.StatusInternalServerError && !errors.Is(o.Err, context.Canceled) { // a client that hangs up is nobody's error
			level = slog.LevelError
		}
		attrs = append(attrs, slog.String("error", string(o.Err.Code)), slog.Int("status", o.Err.Status), slog.String("reason", o.Err.Error()))
		h.Logger.LogAttrs(ctx, level, "token refused", attrs...)
		return
	}
	if o.Client == nil {
		attrs = append(attrs, slog.String("client", o.Claims.ClientID))
	}
	attrs = append(attrs, slog.String("sub", o.Claims.Subject), slog.String("scope", o.Claims.Scope.String()),
		slog.Any("aud", o.Claims.Audience), slog.String("jti", o.ID), slog.Time("exp", o.Claims.Expires))
	h.Logger.LogAttrs(ctx, slog.LevelInfo, "token issued", attrs...)
}
