package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// consentPage is what is sealed into a page: the request, and who may answer it.
type consentPage struct {
	ID      string               `json:"id"` // it is answered with a code once
	Request authorizationRequest `json:"request"`
	Subject string               `json:"sub"`
	shown
}

// ask shows the page on which the user decides (RFC 6749 §4.1.1, §10.13): who asks, who they are,
// what for, and where they will be sent.
func (e Authorize) ask(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, client *tokenep.Client, q *authorizationRequest, user tokenep.User) {
	sealed, err := e.Seals.seal(forPages, consentPage{
		ID: rand.Text(), Request: *q, Subject: user.Subject, shown: e.show(w, r),
	})
	if err != nil {
		e.refuse(w, r, o, q, err)
		return
	}
	if e.ConsentPage != "" {
		seeOther(w, redirectTo(e.ConsentPage, []parameter{{"consent_token", sealed}}))
		return
	}
	c := page.Consent{
		Client: describe(client), User: user.Subject, Scope: q.Scope, Audience: q.Audience, Sealed: sealed,
		Remembered: !couldBeAnybody(client, q), Other: e.SignsIn,
	}
	if to, err := url.Parse(q.RedirectURI); err == nil {
		c.Host, c.Loopback = to.Hostname(), to.Scheme == "http" // of loopback hosts alone
		if to.Scheme != "https" && to.Scheme != "http" {
			c.Host, c.Scheme = "", to.Scheme
		}
	}
	e.Pages.Show(w, r, http.StatusOK, c, c.Client.Logo)
}

// decided answers the form of that page.
func (e Authorize) decided(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, form *tokenep.Form) {
	page, user, err := e.openPage(r, form.Get("page"))
	if err == nil {
		err = fromElsewhere(r)
	}
	if err != nil {
		e.onPage(w, r, o, err)
		return
	}
	q := &page.Request
	if err := e.stillGood(r, o, q); err != nil {
		e.onPage(w, r, o, err)
		return
	}
	if err := e.stillSuits(&page, user); err != nil {
		e.refuse(w, r, o, q, err)
		return
	}
	switch form.Get("decision") {
	case "deny":
		e.refuse(w, r, o, q, tokenep.AccessDenied.Describe("the user does not allow it"))
	case "allow":
		if err := e.answerOnce(r.Context(), &page); err != nil {
			e.onPage(w, r, o, err)
			return
		}
		e.give(w, r, o, q, user, answered)
	case "other":
		e.toSignIn(w, r, o, q, true)
	default:
		e.onPage(w, r, o, tokenep.InvalidRequest.Describe("the page was answered with neither allow nor deny"))
	}
}

// answerOnce refuses a page that was answered with a code. That of a pushed request is as good as
// the request.
func (e Authorize) answerOnce(ctx context.Context, page *consentPage) error {
	if page.Request.Pushed != "" {
		return nil
	}
	err := e.Seen.Add(ctx, "authorization page", page.ID, page.Expires)
	if errors.Is(err, state.ErrRefused) {
		return tokenep.InvalidRequest.Describe("this page was answered before").Because(err)
	}
	return err
}

// openPage returns the page that was answered, by the user and in the browser that it was shown to.
func (e Authorize) openPage(r *http.Request, sealed string) (page consentPage, user tokenep.User, err error) {
	if err := e.open(r, forPages, sealed, &page, &page.shown); err != nil {
		return page, user, err
	}
	if user, err = e.user(r); err != nil {
		return page, user, err
	}
	if user.Subject != page.Subject {
		return page, user, tokenep.InvalidRequest.Describe("this page was shown to another user")
	}
	return page, user, nil
}

// stillGood holds a sealed request to the client as it is registered now.
func (e Authorize) stillGood(r *http.Request, o *tokenep.Outcome, q *authorizationRequest) error {
	client, err := e.Clients(r.Context(), q.ClientID)
	if err != nil && !errors.Is(err, tokenep.InvalidClient) {
		return err
	}
	if err != nil || !q.mayAsk(client) {
		return tokenep.InvalidRequest.Describe("the client may not ask for this any more").Because(err)
	}
	o.Client = client
	return nil
}

// stillSuits holds the user to what the client asked for when the page was shown: the user may take
// the time of the page to read, and may not have signed in by other means meanwhile, of which
// nobody knows when.
func (e Authorize) stillSuits(page *consentPage, user tokenep.User) error {
	return page.Request.suits(user, page.at())
}

// mayAsk reports whether a request that was found good before may still be answered.
func (q *authorizationRequest) mayAsk(client *tokenep.Client) bool {
	return client.RegistrationID == q.RegistrationID && client.HasRedirectURI(q.RedirectURI) &&
		client.May(grant.AuthorizationCodeType) && client.Scope.Includes(q.Scope)
}
