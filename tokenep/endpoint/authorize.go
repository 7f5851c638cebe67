package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Authorize is the authorization endpoint (RFC 6749 §3.1): a user allows a client, in a browser.
// Its parameters are in the query of a GET, or in the form of a POST.
//
//	client_id              REQUIRED
//	response_type          REQUIRED  code
//	redirect_uri           OPTIONAL  where the client has registered one alone, else REQUIRED
//	scope                  OPTIONAL  default: the client's default scope
//	state                  OPTIONAL  comes back with the answer
//	code_challenge         REQUIRED  (RFC 7636 §4.3), but for a client with InsecureNoPKCE
//	code_challenge_method  REQUIRED  S256, and of one with InsecurePlainPKCE plain
//	dpop_jkt               OPTIONAL  (RFC 9449 §10) the key without which the code is no good
//	resource               OPTIONAL  (RFC 8707 §2.1) default: the client's audience
//	nonce                  OPTIONAL  (OpenID Connect Core §3.1.2.1)
//	response_mode          OPTIONAL  query, which is the default, or form_post
//	prompt                 OPTIONAL  none, consent; login and select_account where SignsIn, and
//	                                 else they are refused
//	max_age                OPTIONAL  seconds since the user signed in
//	acr_values             OPTIONAL  another acr is not told
//	id_token_hint          OPTIONAL  the user must be that of this ID token
//	request_uri            OPTIONAL  the answer of PushedAuthorization (RFC 9126 §4): then all
//	                                 others but client_id are ignored
//
// The answer goes to the redirect URI, be it a code or an error, with state and iss (RFC 9207). If
// the client or the redirect URI is not good, it goes onto a page, and never there.
//
// A request that waits for the user is sealed into the page, and stored nowhere, unless a client
// that has authenticated has pushed it.
type Authorize struct {
	Browser
	Clients tokenep.Clients
	Codes   state.Codes

	// Use is told of a client that a user allows something, before it gets a code: the registration
	// of one that nobody uses ends.
	Use func(ctx context.Context, c *tokenep.Client) error

	Consents state.Consents // what people have allowed
	Seen     state.Seen     // the pages that were answered

	Pushed     state.PushedRequests
	RequirePAR bool // no client may ask but by a pushed request (RFC 9126 §5)

	// ConsentPage is where a page of the site's own asks the user, which ConsentRequest tells what
	// for and Grants takes the answer; empty: the page of this package.
	ConsentPage string

	// User says who sits in front of the browser. The error is for the log: nobody is let in.
	User func(*http.Request) (tokenep.User, error)

	// Active refuses who is barred.
	Active tokenep.Active

	// SignsIn says that User tells whom SignIn has let in, which is where others are sent.
	SignsIn bool

	// Users keeps what is known of people, of which Claims says who may read it.
	Users  state.Users
	Claims tokenep.UserClaims

	// IDTokens are the keys of ID tokens, by algorithm, for hints.
	IDTokens map[string]verify.KeySet

	// Audience is what a client without an audience may ask for.
	Audience []string
}

// Endpoint returns the row of the table.
func (e Authorize) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: authorizationName, Path: "/oauth/authorize", Member: "authorization_endpoint",
		Methods: []string{http.MethodGet, http.MethodPost},
		Origins: tokenep.CORS{}, // it acts for whoever sits in front of the browser
		Handler: e,
		Metadata: func(map[string]any) map[string]any {
			return map[string]any{
				"response_modes_supported":                       []string{modeQuery, modeFormPost},
				"code_challenge_methods_supported":               []string{grant.ChallengeS256},
				"authorization_response_iss_parameter_supported": true, // RFC 9207 §3
				"request_parameter_supported":                    false,
				"request_uri_parameter_supported":                false, // the default is true
				"require_pushed_authorization_requests":          e.RequirePAR,
			}
		},
	}
}

// ServeHTTP answers one request.
func (e Authorize) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Page(w, r, authorizationName, func(w http.ResponseWriter, o *tokenep.Outcome) {
		form, err := tokenep.ReadParameters(r, authorizeParameters)
		switch {
		case err == nil && r.Method == http.MethodPost && form.Get("page") != "":
			e.decided(w, r, o, form)
			return
		case err == nil && r.Method == http.MethodGet && form.Get("flow") != "":
			e.goOn(w, r, o, form.Get("flow"))
			return
		case err == nil && e.again(w, r, authorizationName, form, requestParameters):
			return
		}
		e.asked(w, r, o, form, err)
	})
}

// asked answers the request of a client. malformed is an error of its parameters.
func (e Authorize) asked(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, form *tokenep.Form, malformed error) {
	// 1. The client, and where the answer goes (RFC 6749 §3.1.2.4).
	ctx := r.Context()
	var q *authorizationRequest
	var client *tokenep.Client
	var err error
	reference, pushed := strings.CutPrefix(form.Get("request_uri"), requestURIPrefix)
	if pushed {
		q, client, err = e.pushed(ctx, form, reference)
	} else if q, client, err = e.destination(ctx, form); err != nil && malformed != nil {
		err = malformed
	}
	o.Client = client
	if r = inLanguage(r, form.Get("ui_locales")); pushed && err == nil {
		r = inLanguage(r, q.Locales)
	}
	if err != nil {
		e.onPage(w, r, o, err)
		return
	}

	// 2. What it asks for. From here on errors go to the client (§4.1.2.1).
	if !pushed {
		err = e.read(ctx, form, client, q)
		switch {
		case malformed != nil:
			err = malformed
		case err == nil && (e.RequirePAR || client.RequirePAR):
			err = tokenep.InvalidRequest.Describe("the authorization request must be pushed (RFC 9126)")
		}
	}
	if err != nil {
		e.refuse(w, r, o, q, err)
		return
	}
	e.found(w, r, o, client, q)
}

// found answers a good request: at once, or with the page on which the user decides.
func (e Authorize) found(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, client *tokenep.Client, q *authorizationRequest) {
	// 3. Who is there, and since when.
	user, err := e.user(r)
	if err == nil {
		err = q.suits(user, e.Now())
	}
	switch {
	case err == nil:
	case e.SignsIn && !q.asks("none") && errors.Is(err, tokenep.LoginRequired) && q.signInHelps(user):
		e.toSignIn(w, r, o, q, false)
		return
	case user.Subject == "" && !q.asks("none"):
		e.onPage(w, r, o, err)
		return
	default: // OpenID Connect Core §3.1.2.6
		e.refuse(w, r, o, q, err)
		return
	}

	// 4. Does the user allow it?
	why, err := e.known(r.Context(), client, q, user)
	switch {
	case err != nil:
		e.refuse(w, r, o, q, err)
	case why != unknown:
		e.give(w, r, o, q, user, why)
	case q.asks("none"):
		e.refuse(w, r, o, q, tokenep.ConsentRequired.Describe("the user has to be asked"))
	default:
		e.ask(w, r, o, client, q, user)
	}
}

// user says who is there. Where nobody is, the error has the status of a page that says so.
func (e Authorize) user(r *http.Request) (tokenep.User, error) {
	user, err := e.User(r)
	refusal := tokenep.LoginRequired.Describe("nobody has signed in")
	switch {
	case err != nil && e.SignsIn && !errors.Is(err, state.ErrRefused),
		errors.Is(err, tokenep.TemporarilyUnavailable), errors.Is(err, store.ErrUnavailable):
		return tokenep.User{}, tokenep.AsError(err)
	case err != nil, user.Subject == "":
	case strings.HasPrefix(user.Subject, tokenep.ClientSubjectPrefix): // RFC 9068 §5
		refusal = tokenep.LoginRequired.Describe("the name of the user is reserved for clients")
	default:
		if err = state.CheckSubject(user.Subject); err != nil {
			refusal = tokenep.LoginRequired.Describe("the name of the user cannot be used")
			break
		}
		if err = e.Active(r.Context(), user.Subject, time.Time{}); err == nil {
			return user, nil
		}
		if !errors.Is(err, tokenep.ErrNoUser) {
			return tokenep.User{}, tokenep.AsError(err)
		}
		refusal = tokenep.LoginRequired.Describe("the user has no access any more")
	}
	refusal.Status = http.StatusForbidden
	return tokenep.User{}, refusal.Because(err)
}

// give issues a code and sends it to the client (§4.1.2).
func (e Authorize) give(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, q *authorizationRequest, user tokenep.User, why permission) {
	if err := e.spend(r.Context(), q, user); err != nil {
		e.onPage(w, r, o, err)
		return
	}
	code, err := e.issue(r.Context(), o, q, user, why)
	if err != nil {
		e.refuse(w, r, o, q, err)
		return
	}
	e.answer(w, r, q, []parameter{{"code", code}})
}

// issue makes the code.
func (e Authorize) issue(ctx context.Context, o *tokenep.Outcome, q *authorizationRequest, user tokenep.User, why permission) (string, error) {
	if err := e.Use(ctx, o.Client); errors.Is(err, tokenep.InvalidClient) {
		return "", tokenep.UnauthorizedClient.Describe("the client is not registered any more").Because(err)
	} else if err != nil {
		return "", err
	}
	code, made, err := e.Codes.Issue(ctx, state.Code{
		ClientID: q.ClientID, RegistrationID: q.RegistrationID, RedirectURI: q.RedirectURI, RedirectImplied: q.RedirectImplied,
		Challenge: q.Challenge, ChallengeMethod: q.ChallengeMethod, Subject: user.Subject,
		Scope: q.Scope, Audience: q.Audience, KeyThumbprint: q.KeyThumbprint, Nonce: q.Nonce, SignIn: q.told(user.SignIn),
	})
	if err == nil {
		err = e.remember(ctx, o.Client, made, why)
	}
	if err != nil {
		return "", err
	}
	o.Event = "authorization given"
	o.Details = []slog.Attr{slog.String("sub", user.Subject), slog.String("scope", q.Scope.String()), slog.String("grant_id", made.Family)}
	return code, nil
}

// refuse tells the client why it gets no code (§4.1.2.1).
func (e Authorize) refuse(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, q *authorizationRequest, err error) {
	o.Err = tokenep.AsError(err)
	e.answer(w, r, q, errorParameters(o.Err))
}

func errorParameters(err *tokenep.Error) []parameter {
	values := []parameter{{"error", string(err.Code)}}
	if err.Description != "" {
		values = append(values, parameter{"error_description", err.Description})
	}
	return values
}

// client returns the client that a request names. Its errors are shown on a page.
func (e Authorize) client(ctx context.Context, form *tokenep.Form) (*tokenep.Client, error) {
	id, err := form.Require("client_id", "client_id is missing, or there is more than one")
	if err != nil {
		return nil, err
	}
	client, err := e.Clients(ctx, id)
	if errors.Is(err, tokenep.InvalidClient) {
		return nil, tokenep.InvalidRequest.Describe("there is no client with this client_id").Because(err)
	}
	return client, err
}

// destination finds the client and the redirect URI. Its errors are shown on a page: whoever made
// the request may have made up the rest of it.
func (e Authorize) destination(ctx context.Context, form *tokenep.Form) (*authorizationRequest, *tokenep.Client, error) {
	client, err := e.client(ctx, form)
	if err != nil {
		return nil, nil, err
	}
	q := new(authorizationRequest)
	q.ClientID, q.RegistrationID, q.RedirectURI = client.ID, client.RegistrationID, form.Get("redirect_uri")
	q.State, q.Mode = form.Get("state"), form.Get("response_mode")
	switch {
	case q.RedirectURI == "" && len(client.RedirectURIs) == 1 && !form.Has("redirect_uri"):
		q.RedirectURI, q.RedirectImplied = client.RedirectURIs[0], true
	case len(client.RedirectURIs) == 0:
		return nil, client, tokenep.InvalidRequest.Describe("the client has no redirect_uri, and may not ask anything of users")
	case q.RedirectURI == "":
		return nil, client, tokenep.InvalidRequest.Describe("redirect_uri is missing, or there is more than one")
	case !client.HasRedirectURI(q.RedirectURI):
		return nil, client, tokenep.InvalidRequest.Describe("the client has not registered this redirect_uri").
			Because(fmt.Errorf("it is %.200q; registered are %q", q.RedirectURI, client.RedirectURIs))
	}
	return q, client, nil
}
