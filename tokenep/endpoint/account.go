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
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// Account is the page on which people see what has access in their name, and end it: API tokens,
// which they make here, applications that they have allowed something (RFC 6749 §10.2), and
// browsers in which they have signed in.
//
//	GET   view      OPTIONAL  new: the form for a new API token
//	      notice    OPTIONAL  from the page: what was just done
//	POST  page      REQUIRED  from the page
//	      action    REQUIRED  make, roll or revoke an API token, forget an application, or end a
//	                          session or end_all of them
//	      id        of what, but for make and end_all
//
// A secret is shown once, in the answer to the form that made it.
type Account struct {
	Authorize
	Tokens   AccountTokens
	Sessions *Sessions // nil: others sign people in
}

// Endpoint returns the row of the table.
func (e Account) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: accountName, Path: "/oauth/account",
		Methods: []string{http.MethodGet, http.MethodPost}, Origins: tokenep.CORS{}, Handler: e,
	}
}

var accountParameters = []string{
	"view", "notice", "page", "action", "id", "grace",
	"name", "note", "service", "days", "custom", "allow_from", "deny_from", "rate", "quota", "not_before",
}

// accountPage is what is sealed into the page.
type accountPage struct {
	ID      string `json:"id"` // it makes one secret
	Subject string `json:"sub"`
	shown
}

// visit is one request of somebody who has signed in.
type visit struct {
	w    http.ResponseWriter
	o    *tokenep.Outcome
	user tokenep.User
	page accountPage // that is answered
	form *tokenep.Form
}

// ServeHTTP answers one request.
func (e Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Page(w, r, accountName, func(w http.ResponseWriter, o *tokenep.Outcome) {
		v := &visit{w: w, o: o}
		if err := e.visit(r, v); err != nil {
			e.onPage(w, r, o, err)
		}
	})
}

func (e Account) visit(r *http.Request, v *visit) (err error) {
	if v.form, err = tokenep.ReadParameters(r, slices.Concat(accountParameters, e.Tokens.parameters())); err != nil {
		return err
	}
	if err := fromElsewhere(r); err != nil && r.Method == http.MethodPost {
		return err // before a cookie is set: it came without those of this site
	}
	v.user, err = e.user(r)
	switch {
	case e.Sessions != nil && errors.Is(err, tokenep.LoginRequired):
		query := ""
		if r.Method == http.MethodGet && v.form.Get("view") == "new" {
			query = "view=new"
		}
		return e.signInFirst(r, v, query)
	case err != nil:
		return err
	case r.Method == http.MethodGet && v.form.Get("view") == "new":
		return e.showNew(r, v, page.NewToken{})
	case r.Method == http.MethodGet:
		return e.show(r, v, page.Account{})
	}
	if err := e.open(r, forAccount, v.form.Get("page"), &v.page, &v.page.shown); err != nil {
		return err
	}
	if v.page.Subject != v.user.Subject {
		return tokenep.InvalidRequest.Describe("this page was shown to another user")
	}
	return e.act(r, v)
}

// signInFirst sends the person to sign in, and back to this page.
func (e Account) signInFirst(r *http.Request, v *visit, query string) error {
	if e.Sessions == nil {
		refusal := tokenep.LoginRequired.Describe("sign in again first: nobody may make a secret who has not signed in just now")
		refusal.Status = http.StatusForbidden
		return refusal
	}
	return e.begin(v.w, r, flow{Then: accountName, Query: query, shown: e.Browser.show(v.w, r)})
}

// act does what the form asks for.
func (e Account) act(r *http.Request, v *visit) error {
	id, ctx := v.form.Get("id"), r.Context()
	switch v.form.Get("action") {
	case "make":
		return e.make(r, v)
	case "roll":
		return e.roll(r, v, id)
	case "revoke":
		return e.done(r, v, "account.revoked", e.Tokens.revoke(ctx, v.user.Subject, id))
	case "forget":
		return e.done(r, v, "account.forgotten", e.Consents.Revoke(ctx, v.user.Subject, id))
	case "end":
		if e.Sessions != nil {
			return e.done(r, v, "account.ended", e.endSession(r, v, id))
		}
	case "end_all":
		if e.Sessions != nil {
			return e.endAll(r, v)
		}
	}
	return tokenep.InvalidRequest.Describe("the page was answered with no action that it has")
}

// done shows the page again, with what was done or that it was not. The browser is sent there, so
// that the form is not sent again when it is loaded again.
func (e Account) done(r *http.Request, v *visit, text string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, state.ErrUnknown), errors.Is(err, state.ErrInvalid),
		errors.Is(err, state.ErrBadAPIToken), errors.Is(err, state.ErrRolledOften):
		text = notDone
	case err != nil:
		return err
	default:
		v.o.Event = accountEvents[text]
		v.o.Details = []slog.Attr{slog.String("sub", v.user.Subject), slog.String("id", v.form.Get("id"))}
	}
	said, err := e.notice(v, r, text, noticeLife)
	if err == nil {
		seeOther(v.w, e.to(r, accountName, said))
	}
	return err
}

// notDone is the text for what could not be done.
const notDone = "account.failed"

// accountEvents are the lines of the log for what was done.
var accountEvents = map[string]string{
	"account.revoked": "API token revoked", "account.forgotten": "consent revoked", "account.ended": "session ended",
}

// endAll signs the person out everywhere, here included.
func (e Account) endAll(r *http.Request, v *visit) error {
	if err := e.Sessions.Sessions.EndAll(r.Context(), v.user.Subject); err != nil {
		return err
	}
	e.setCookie(v.w, sessionCookie, "")
	v.o.Event, v.o.Details = "all sessions ended", []slog.Attr{slog.String("sub", v.user.Subject)}
	e.Pages.Show(v.w, r, http.StatusOK, page.SignedOut{SignIn: e.to(r, signInName)})
	return nil
}

// seal returns the hidden field of a page.
func (e Account) seal(r *http.Request, v *visit) (string, error) {
	return e.Seals.seal(forAccount, accountPage{ID: newPageID(), Subject: v.user.Subject, shown: e.Browser.show(v.w, r)})
}

// show shows the page.
func (e Account) show(r *http.Request, v *visit, p page.Account) (err error) {
	ctx := r.Context()
	if p.Page, err = e.seal(r, v); err != nil {
		return err
	}
	if p.Done = e.noticed(r, v); p.Done == notDone {
		p.Done, p.Failed = "", notDone
	}
	p.User, p.Action = v.user.Subject, e.to(r, accountName)
	if p.Tokens, err = e.Tokens.list(ctx, v.user.Subject, e.Now()); err != nil {
		return err
	}
	p.APITokens = e.Tokens.Tokens != nil
	if e.mayMake(v.user) {
		p.New = redirectTo(p.Action, []parameter{{"view", "new"}})
	}
	if p.Applications, err = e.applications(ctx, v.user.Subject); err != nil {
		return err
	}
	if e.Sessions != nil {
		p.SignOut = e.to(r, signOutName)
		if p.Sessions, err = e.sessions(r, v); err != nil {
			return err
		}
	}
	e.Pages.Show(v.w, r, http.StatusOK, p)
	return nil
}

// applications returns what a person has allowed.
func (e Account) applications(ctx context.Context, subject string) (all []page.Application, err error) {
	for after := ""; ; {
		consents, next, err := e.Consents.List(ctx, subject, after, store.MaxPage)
		if err != nil || next == "" {
			return all, err
		}
		for _, c := range consents {
			shown := page.Application{ID: c.ClientID, Client: page.Client{Name: c.ClientID}, Created: c.Created, Used: c.Used}
			client, err := e.Clients(ctx, c.ClientID)
			switch {
			case err == nil:
				shown.Client = describe(client)
			case !errors.Is(err, tokenep.InvalidClient): // which was removed
				return nil, err
			}
			for _, a := range c.Allowed {
				shown.Allowed = append(shown.Allowed, page.Allowed{Scope: a.Scope, Audience: a.Audience})
			}
			all = append(all, shown)
		}
		after = next
	}
}

// sessions returns where a person has signed in.
func (e Account) sessions(r *http.Request, v *visit) (all []page.Session, err error) {
	_, current, err := e.Sessions.Current(r)
	if err != nil {
		return nil, err
	}
	sessions, err := e.Sessions.Sessions.List(r.Context(), v.user.Subject)
	for _, x := range sessions {
		all = append(all, page.Session{
			ID: x.ID, Agent: x.Agent, Address: x.Address, Created: x.Created, Used: x.Used, Current: x.ID == current.ID,
		})
	}
	return all, err
}
