package endpoint

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// APITokensScope is the scope-token by which a program may see and change the API tokens of a
// person (RFC 6750), at the endpoints of APITokensAPI.
const APITokensScope = "api_tokens"

// APITokensAPI is what Account does with API tokens, for a program with an access token of the
// person, which is for the issuer (RFC 9068 §4) and has the scope api_tokens:
//
//	GET    <path>       {"api_tokens": […]}
//	POST   <path>       a token as in the answers, without what is made for it: name, note,
//	                    service, scope, not_before, expires or no_expiry, allow_from, deny_from,
//	                    rate, quota. 201 {"api_token": {…}, "token": "…"}
//	GET    <path>/<id>  {…}
//	POST   <path>/<id>  a new secret, with {"overlap": "24h"} for the old one; likewise
//	DELETE <path>/<id>  204
//
// A secret is made only within a quarter of an hour after the person has signed in: else the answer
// asks for that (RFC 9470), and never by what came of an API token.
type APITokensAPI struct {
	Account
	Verifier *verify.Verifier // trusts this issuer alone, for the issuer as audience
	Address  func(*http.Request) netip.Addr
	Rates    *verify.Rates
}

// Endpoints returns the rows of the table: that of all tokens, and that of one.
func (e APITokensAPI) Endpoints() []tokenep.Endpoint {
	guard := &verify.Guard{
		Verifier: e.Verifier, Scope: verify.Scope{APITokensScope}, Rules: []verify.Rule{ofUser, ofNoAPIToken}, Realm: "api_tokens",
		ClientAddress: e.Address, Rates: e.Rates, Refused: e.Front.Denied,
	}
	const path = "/oauth/api-tokens"
	return []tokenep.Endpoint{
		{
			Name: apiTokensName, Path: path, Methods: []string{http.MethodGet, http.MethodPost},
			Handler: guard.Handler(http.HandlerFunc(e.all)),
		}, {
			Name: apiTokenName, Path: path, Argument: "id", Methods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
			Handler: guard.Handler(http.HandlerFunc(e.one)),
		},
	}
}

// ofNoAPIToken refuses what an API token was exchanged for: one must not be enough to get others.
func ofNoAPIToken(_ *http.Request, t *verify.Token) error {
	if strings.HasPrefix(t.ClientID, tokenep.APITokenClientPrefix) || state.IsAPITokenGrant(t.GrantID) ||
		slices.ContainsFunc(t.Ancestors, func(a verify.Ancestor) bool { return state.IsAPITokenGrant(a.GrantID) }) {
		return &verify.Error{
			Status: http.StatusForbidden, Code: verify.InsufficientScope, Description: "the access token came of an API token",
		}
	}
	return nil
}

// madeAPIToken is the answer that has a secret.
type madeAPIToken struct {
	APIToken state.APIToken `json:"api_token"`
	Token    string         `json:"token"`
}

// all answers for all tokens of the person.
func (e APITokensAPI) all(w http.ResponseWriter, r *http.Request) {
	e.Front.Answer(w, r, apiTokensName, func(o *tokenep.Outcome) (any, error) {
		if r.Method == http.MethodPost {
			return e.create(r, o)
		}
		return e.list(r)
	})
}

// one answers for one token.
func (e APITokensAPI) one(w http.ResponseWriter, r *http.Request) {
	e.Front.Answer(w, r, apiTokenName, func(o *tokenep.Outcome) (any, error) {
		switch r.Method {
		case http.MethodDelete:
			return nil, e.revoked(r, o)
		case http.MethodPost:
			return e.rolled(r, o)
		}
		return e.show(r)
	})
}

// presented returns the access token of a request that the guard has let in.
func presented(r *http.Request) *verify.Token {
	t, _ := verify.FromContext(r.Context())
	return t
}

func (e APITokensAPI) list(r *http.Request) (any, error) {
	tokens, err := e.Tokens.all(r.Context(), presented(r).Subject, e.Now())
	return map[string]any{"api_tokens": append([]state.APIToken{}, tokens...)}, err
}

func (e APITokensAPI) show(r *http.Request) (any, error) {
	found, err := e.Tokens.of(r.Context(), presented(r).Subject, r.PathValue("id"))
	return found, refusedToken(err)
}

func (e APITokensAPI) revoked(r *http.Request, o *tokenep.Outcome) error {
	owner, id := presented(r).Subject, r.PathValue("id")
	o.Event, o.Details = "API token revoked", []slog.Attr{slog.String("sub", owner), slog.String("id", id)}
	return refusedToken(e.Tokens.revoke(r.Context(), owner, id))
}

// justSignedIn refuses to make a secret for somebody who has not signed in lately (RFC 9470 §3).
func (e APITokensAPI) justSignedIn(t *verify.Token) error {
	seconds, _ := t.Claims["auth_time"].(json.Number)
	at, err := strconv.ParseInt(seconds.String(), 10, 64)
	if err == nil && fresh(time.Unix(at, 0), e.Now()) {
		return nil
	}
	refusal := tokenep.InsufficientAuthentication.Describe("the user must have signed in just now")
	refusal.Challenge = `Bearer realm="api_tokens", error="insufficient_user_authentication", max_age="` +
		strconv.Itoa(int(freshFor/time.Second)) + `"`
	return refusal
}

// create makes a token.
func (e APITokensAPI) create(r *http.Request, o *tokenep.Outcome) (any, error) {
	t := presented(r)
	want, err := readAPIToken(r)
	if err != nil {
		return nil, err
	}
	if err := e.justSignedIn(t); err != nil {
		return nil, err
	}
	if len(e.Tokens.Services) == 0 {
		return nil, tokenep.InvalidRequest.Describe("no API token can be made here")
	}
	want.Owner, want.CreatedBy = t.Subject, t.ClientID
	text, made, err := e.Tokens.Tokens.Create(r.Context(), want)
	if err != nil {
		return nil, refusedToken(err)
	}
	return e.made(o, made, text, "API token created"), nil
}

func (e APITokensAPI) made(o *tokenep.Outcome, t state.APIToken, text, event string) tokenep.Created {
	o.Event = event
	o.Details = []slog.Attr{slog.String("sub", t.Owner), slog.String("id", t.ID), slog.String("service", t.Service)}
	return tokenep.Created{Answer: madeAPIToken{t, text}}
}

// rolled gives a token a new secret.
func (e APITokensAPI) rolled(r *http.Request, o *tokenep.Outcome) (any, error) {
	t := presented(r)
	d, err := tokenep.ReadDocument(r, tokenep.InvalidRequest)
	if err != nil {
		return nil, err
	}
	overlap := "0s"
	if err := d.Text("overlap", &overlap); err != nil {
		return nil, tokenep.InvalidRequest.Describe("overlap must be a duration such as 24h").Because(err)
	}
	life, err := tokenep.ParseDuration(overlap)
	if err != nil {
		return nil, tokenep.InvalidRequest.Describe("overlap must be a duration such as 24h").Because(err)
	}
	if err := e.justSignedIn(t); err != nil {
		return nil, err
	}
	text, rolled, err := e.Tokens.roll(r.Context(), t.Subject, r.PathValue("id"), time.Duration(life))
	if err != nil {
		return nil, refusedToken(err)
	}
	return e.made(o, rolled, text, "API token rolled"), nil
}

// readAPIToken reads the token that is to be made. A member that it does not know is refused: it
// may be a limit.
func readAPIToken(r *http.Request) (t state.APIToken, err error) {
	d, err := tokenep.ReadDocument(r, tokenep.InvalidRequest)
	if err != nil {
		return t, err
	}
	for name := range d {
		if !slices.Contains(apiTokenMembers, name) {
			return t, tokenep.InvalidRequest.Describe("the server knows no such member of an API token")
		}
	}
	text, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		return t, tokenep.InvalidRequest.Describe("a member is not what it must be").Because(err)
	}
	for _, blocks := range [][]netip.Prefix{t.AllowFrom, t.DenyFrom} {
		if blocks != nil && len(blocks) == 0 { // of a program whose list came out empty
			return t, tokenep.InvalidRequest.Describe("a list of addresses is empty; leave it out for everywhere")
		}
		for i := range blocks {
			blocks[i] = blocks[i].Masked()
		}
	}
	return t, nil
}

var apiTokenMembers = []string{
	"name", "note", "service", "scope", "not_before", "expires", "no_expiry", "allow_from", "deny_from", "rate", "quota",
}

// refusedToken is the refusal of what cannot be done with API tokens; other errors are left alone.
func refusedToken(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		refusal := tokenep.InvalidRequest.Describe("there is no such API token, or not any more").Because(err)
		refusal.Status = http.StatusNotFound
		return refusal
	case errors.Is(err, state.ErrTooMany):
		return tokenep.InvalidRequest.Describe("the user has as many API tokens as one may have").Because(err)
	case errors.Is(err, state.ErrNotAllowed):
		return tokenep.InvalidScope.Describe("the user may have no such API token").Because(err)
	case errors.Is(err, state.ErrInvalid), errors.Is(err, state.ErrBadAPIToken), errors.Is(err, state.ErrRolledOften):
		return tokenep.InvalidRequest.Describe("the API token cannot be made so").Because(err)
	}
	return err
}
