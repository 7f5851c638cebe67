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
	Name      string       `json:"name,omitempty"`      // for people
	Note      string       `json:"note,omitempty"`      // likewise, and longer
	Owner     string       `json:"owner"`               // sub of the access tokens made from it
	Service   string       `json:"service"`             // aud of those access tokens
	Scope     verify.Scope `json:"scope,omitempty"`     // the largest scope of those access tokens
	NotBefore time.Time    `json:"not_before,omitzero"` // default: it is good at once
	Expires   time.Time    `json:"expires,omitzero"`    // default: in 90 days

	// ExpiresIn can be given instead of Expires: nanoseconds, or a text such as "90d".
	ExpiresIn caddy.Duration `json:"expires_in,omitempty"`

	// NoExpiry can be given instead of both, if the server allows it.
	NoExpiry bool `json:"no_expiry,omitempty"`

	// From where it and those access tokens can be used: addresses, and blocks such as 10.0.0.0/8.
	AllowFrom []string `json:"allow_from,omitempty"` // default: from everywhere
	DenyFrom  []string `json:"deny_from,omitempty"`  // default: from nowhere

	Rate  verify.Rate `json:"rate,omitzero"`  // how often, at each node: "100/1m"; default: at will
	Quota verify.Rate `json:"quota,omitzero"` // exchanges at all nodes together; default: at will
}

// adminName is who makes what is made over the admin API.
const adminName = "admin"

// token returns what is asked for.
func (n *newAPIToken) token(now time.Time) (t state.APIToken, err error) {
	t = state.APIToken{
		Name: n.Name, Note: n.Note, Owner: n.Owner, Service: n.Service, Scope: n.Scope, CreatedBy: adminName,
		NotBefore: n.NotBefore, Expires: n.Expires, NoExpiry: n.NoExpiry, Rate: n.Rate, Quota: n.Quota,
	}
	if n.ExpiresIn > 0 {
		t.Expires = now.Add(time.Duration(n.ExpiresIn))
	}
	if t.AllowFrom, err = verify.ParseAddresses(n.AllowFrom); err != nil {
		return t, fmt.Errorf("allow_from: %w", err)
	}
	if t.DenyFrom, err = verify.ParseAddresses(n.DenyFrom); err != nil {
		return t, fmt.Errorf("deny_from: %w", err)
	}
	return t, nil
}

// check returns what is wrong with the request.
func (n *newAPIToken) check() error {
	switch {
	case n.Owner == "":
		return errors.New("owner: is required")
	case n.Service == "":
		return errors.New("service: is required")
	case n.AllowFrom != nil && len(n.AllowFrom) == 0:
		return errors.New("allow_from: an empty list; leave it out for everywhere")
	case n.DenyFrom != nil && len(n.DenyFrom) == 0:
		return errors.New("deny_from: an empty list; leave it out for nowhere")
	case n.ExpiresIn < 0:
		return errors.New("expires_in: must not be negative")
	case n.ExpiresIn > 0 && !n.Expires.IsZero():
		return errors.New("expires and expires_in must not both be given")
	case n.NoExpiry && (n.ExpiresIn > 0 || !n.Expires.IsZero()):
		return errors.New("no_expiry excludes expires and expires_in")
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
	asked, err := in.token(r.server.Server().Config.Now())
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%w", err)
	}
	var made madeAPIToken
	made.Token, made.APIToken, err = tokens.Create(r.Context(), asked)
	return made, err
}

// rolledAPIToken is the request for another secret.
type rolledAPIToken struct {
	// Overlap is how long the old secret stays good: nanoseconds, or a text such as "24h".
	Overlap caddy.Duration `json:"overlap,omitempty"`
}

// rollAPIToken gives an API token a new secret. The answer has the new text.
func rollAPIToken(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	var in rolledAPIToken
	if err := r.readAny(&in); err != nil {
		return nil, err
	}
	var made madeAPIToken
	made.Token, made.APIToken, err = tokens.Roll(r.Context(), r.id, time.Duration(in.Overlap))
	return made, err
}

// revokedAPIToken is why an API token is revoked.
type revokedAPIToken struct {
	Reason string `json:"reason,omitempty"` // for people
}

// revokeAPIToken revokes an API token, and the access tokens that it was exchanged for.
func revokeAPIToken(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	var in revokedAPIToken
	if err := r.readAny(&in); err != nil {
		return nil, err
	}
	return nil, tokens.Revoke(r.Context(), r.id, in.Reason)
}

// revokedAPITokens says whose API tokens are revoked, and why.
type revokedAPITokens struct {
	Owner  string `json:"owner"`
	Reason string `json:"reason,omitempty"` // for people
}

// revokedCount says how many API tokens were revoked. Those that were revoked before do not count.
type revokedCount struct {
	Revoked int `json:"revoked"`
}

// revokeAPITokens revokes all API tokens of an owner. If it fails, it can be repeated.
func revokeAPITokens(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	var in revokedAPITokens
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if in.Owner == "" {
		return nil, refuse(http.StatusBadRequest, "owner: is required")
	}
	n, err := tokens.RevokeAll(r.Context(), in.Owner, in.Reason)
	return revokedCount{n}, err
}
