package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// SignOut is the endpoint of OpenID Connect RP-Initiated Logout 1.0, a part of what RFC 6749 §3.1
// leaves open: the session of this browser ends. Tokens of clients do not.
//
//	id_token_hint             RECOMMENDED  who is to be signed out, at the request of which client
//	client_id                 OPTIONAL     that client, where there is no hint
//	post_logout_redirect_uri  OPTIONAL     one that the client has registered, exactly
//	state                     OPTIONAL     comes back with it
//
// Whoever comes without a hint is asked first, so that no page of another site can sign people out
// (§6). Nobody is redirected but to a registered URI of a client that is known.
type SignOut struct {
	Authorize
	Sessions Sessions
}

// Endpoint returns the row of the table.
func (e SignOut) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: signOutName, Path: "/oauth/sign-out", Member: "end_session_endpoint",
		Methods: []string{http.MethodGet, http.MethodPost}, Origins: tokenep.CORS{}, Handler: e,
	}
}

// signOutRequest are the parameters of a request, and signOutParameters those and the ones of the
// page.
var (
	signOutRequest = []string{
		"id_token_hint", "client_id", "post_logout_redirect_uri", "state",
		"logout_hint", "ui_locales", // which are ignored, but for the language of the page
	}
	signOutParameters = append(slices.Clip(signOutRequest), "page", "decision")
)

// signOut is what is sealed into the page that asks.
type signOut struct {
	To string `json:"to,omitempty"` // with state; empty: nowhere
	shown
}

// ServeHTTP answers one request.
func (e SignOut) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Page(w, r, signOutName, func(w http.ResponseWriter, o *tokenep.Outcome) {
		form, err := tokenep.ReadParameters(r, signOutParameters)
		switch {
		case err != nil:
		case r.Method == http.MethodPost && form.Get("page") != "":
			err = e.decided(w, r, o, form)
		case r.Method == http.MethodPost: // of another site: with a GET the cookies go, see again
			seeOther(w, e.PathOf(signOutName)+"?"+form.Query(signOutRequest))
		default:
			err = e.asked(w, r, o, form)
		}
		if err != nil {
			e.onPage(w, r, o, err)
		}
	})
}

// asked answers a request: at once, if it is for the one who has signed in, or with a question.
func (e SignOut) asked(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, form *tokenep.Form) error {
	client, subject, err := e.client(r.Context(), form)
	if err != nil {
		return err
	}
	o.Client = client
	to, err := destination(client, form)
	if err != nil {
		return err
	}
	current, _, err := e.Sessions.Current(r)
	if err != nil && !errors.Is(err, state.ErrRefused) {
		return err
	}
	if current == subject && subject != "" || current == "" && (to == "" || subject != "") {
		return e.leave(w, r, o, current, to)
	}
	sealed, err := e.Seals.seal(forSignOut, signOut{to, e.show(w, r)})
	if err != nil {
		return err
	}
	p := page.SignOut{Action: e.to(r, signOutName), Page: sealed, User: current}
	if client != nil {
		p.Client = describe(client)
	}
	e.Pages.Show(w, r, http.StatusOK, p, p.Client.Logo)
	return nil
}

// client returns who asks, and whom it means; nil and "": nobody says.
func (e SignOut) client(ctx context.Context, form *tokenep.Form) (client *tokenep.Client, subject string, err error) {
	id := form.Get("client_id")
	hint := form.Get("id_token_hint")
	if hint != "" && id == "" {
		if id, err = hintAudience(hint); err != nil {
			return nil, "", tokenep.InvalidRequest.Describe("id_token_hint is no ID token of this server").Because(err)
		}
	}
	if id == "" {
		return nil, "", nil
	}
	client, err = e.Clients(ctx, id)
	if errors.Is(err, tokenep.InvalidClient) {
		return nil, "", tokenep.InvalidRequest.Describe("there is no client with this client_id").Because(err)
	}
	if err == nil && hint != "" {
		subject, err = e.readHint(ctx, hint, client.ID)
	}
	if errors.Is(err, verify.ErrUnknownKey) { // it proves nothing any more: the user is asked
		err = nil
	}
	return client, subject, err
}

// hintAudience returns for whom a hint is, before it is verified.
func hintAudience(hint string) (string, error) {
	a, err := verify.ParseAssertion(hint)
	if err == nil && len(a.Claims().Audience) == 0 {
		err = errors.New("it has no aud")
	}
	if err != nil {
		return "", err
	}
	return a.Claims().Audience[0], nil
}

// destination returns where the browser goes afterwards; empty: nowhere.
func destination(client *tokenep.Client, form *tokenep.Form) (string, error) {
	to := form.Get("post_logout_redirect_uri")
	switch {
	case to == "":
		return "", nil
	case client == nil:
		return "", tokenep.InvalidRequest.Describe("post_logout_redirect_uri needs an id_token_hint or a client_id")
	case !slices.Contains(client.PostLogoutRedirectURIs, to):
		return "", tokenep.InvalidRequest.Describe("the client has not registered this post_logout_redirect_uri")
	case len(form.Get("state")) > maxState:
		return "", tokenep.InvalidRequest.Describe("state is too long")
	case form.Get("state") == "":
		return to, nil
	}
	return redirectTo(to, []parameter{{"state", form.Get("state")}}), nil
}

// decided answers the form of the page.
func (e SignOut) decided(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, form *tokenep.Form) error {
	var asked signOut
	err := e.open(r, forSignOut, form.Get("page"), &asked, &asked.shown)
	if err == nil {
		err = fromElsewhere(r)
	}
	if err != nil {
		return err
	}
	if form.Get("decision") != "leave" {
		seeOther(w, e.to(r, accountName))
		return nil
	}
	current, _, err := e.Sessions.Current(r)
	if err != nil && !errors.Is(err, state.ErrRefused) {
		return err
	}
	return e.leave(w, r, o, current, asked.To)
}

// leave ends the session, and says so.
func (e SignOut) leave(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, current, to string) error {
	if err := e.Sessions.end(w, r); err != nil {
		return err
	}
	if current != "" {
		o.Event, o.Details = "signed out", []slog.Attr{slog.String("sub", current)}
	}
	if to != "" {
		seeOther(w, to)
		return nil
	}
	e.Pages.Show(w, r, http.StatusOK, page.SignedOut{SignIn: e.to(r, signInName)})
	return nil
}
