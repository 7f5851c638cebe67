package oauthadmin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// newAPIToken is the request for an API token.
type newAPIToken struct {
	Name    string       `json:"name,omitempty"`   // for people
	Owner   string       `json:"owner"`            // sub of the access tokens made from it
	Service string       `json:"service"`          // aud of those access tokens
	Scope   verify.Scope `json:"scope,omitempty"`  // the largest scope of those access tokens
	Expires time.Time    `json:"expires,omitzero"` // default: as late as the server allows

	// ExpiresIn can be given instead of Expires: nanoseconds, or a text such as "90d".
	ExpiresIn caddy.Duration `json:"expires_in,omitempty"`
}

// check returns what is wrong with the request.
func (n *newAPIToken) check() error {
	switch {
	case n.Owner == "":
		return errors.New("owner: is required")
	case n.Service == "":
		return errors.New("service: is required")
	case n.ExpiresIn < 0:
		return errors.New("expires_in: must not be negative")
	case n.ExpiresIn > 0 && !n.Expires.IsZero():
		return errors.New("expires and expires_in must not both be given")
	}
	if err := adapt.CheckScope(n.Scope, scopeMember("scope")); err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	one := func(services []string) string {
		return "one of them, and make an API token for each: " + strings.Join(services, ", then ")
	}
	if err := adapt.CheckAudience([]string{n.Service}, one); err != nil {
		return fmt.Errorf("service: %w", err)
	}
	return nil
}

// madeAPIToken is the answer to a request that makes an API token.
type madeAPIToken struct {
	Token    string         `json:"token"`
	APIToken state.APIToken `json:"api_token"`
}

// apiTokenPage is a page of API tokens. Next is ?after for the next page, and empty on the last
// one.
type apiTokenPage struct {
	APITokens []state.APIToken `json:"api_tokens"`
	Next      string           `json:"next,omitempty"`
}

// apiTokens returns the API tokens of the server, or an error if it has none.
func (r *request) apiTokens() (state.APITokens, error) {
	if r.server.Server().Config.Exchange.APITokens == nil {
		return state.APITokens{}, refuse(http.StatusNotFound,
			"oauth_server %s has no API tokens: its configuration has no token_exchange { api_tokens }", r.server.Name())
	}
	return r.server.Server().APITokens, nil
}

// listAPITokens returns a page of API tokens, ordered by id.
func listAPITokens(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	page := apiTokenPage{APITokens: []state.APIToken{}}
	listed, err := tokens.List(r.Context(), r.URL.Query().Get("owner"), after, limit)
	if err != nil {
		return nil, err
	}
	if n := len(listed); n > 0 {
		page.APITokens, page.Next = listed, listed[n-1].ID
	}
	return page, nil
}

// createAPIToken creates an API token. The answer has its text.
func createAPIToken(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	var in newAPIToken
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, refuse(http.StatusBadRequest, "%w", err)
	}
	if in.ExpiresIn > 0 {
		in.Expires = r.server.Server().Config.Now().Add(time.Duration(in.ExpiresIn))
	}
	var made madeAPIToken
	made.Token, made.APIToken, err = tokens.Create(r.Context(), state.APIToken{
		Name: in.Name, Owner: in.Owner, Service: in.Service, Scope: in.Scope, Expires: in.Expires,
	})
	return made, err
}

// rotateAPIToken replaces an API token, which is revoked. The answer has the text of the new one.
func rotateAPIToken(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	var made madeAPIToken
	made.Token, made.APIToken, err = tokens.Rotate(r.Context(), r.id)
	return made, err
}

// revokeAPIToken revokes an API token, and the access tokens that it was exchanged for.
func revokeAPIToken(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	return nil, tokens.Revoke(r.Context(), r.id)
}
