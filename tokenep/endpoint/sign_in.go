package endpoint

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// SignIn is the page on which a person signs in by name and password, which RFC 6749 §3.1 leaves to
// the authorization server.
//
//	GET   flow      OPTIONAL  what goes on afterwards; default: the page of the person's access
//	POST  flow      REQUIRED  from the page
//	      username  REQUIRED
//	      password  REQUIRED
//	      decision  OPTIONAL  continue: the one who has signed in already goes on
//
// A flow is sealed, so that nobody is sent anywhere but to a page of this server, and is of one
// browser. The session that a browser had before ends.
type SignIn struct {
	Authorize
	Sessions  Sessions
	Passwords *tokenep.Passwords
}

// Endpoint returns the row of the table.
func (e SignIn) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: signInName, Path: "/oauth/sign-in",
		Methods: []string{http.MethodGet, http.MethodPost}, Origins: tokenep.CORS{}, Handler: e,
	}
}

// flow is what goes on when somebody has signed in.
type flow struct {
	Request *authorizationRequest `json:"request,omitempty"`  // of a client
	Then    string                `json:"endpoint,omitempty"` // with a page of this server, and
	Query   string                `json:"query,omitempty"`    // its query
	shown
}

// toSignIn sends the user to sign in for a request of a client. Nobody who is signed in already
// will do if other.
func (e Authorize) toSignIn(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, q *authorizationRequest, other bool) {
	q.SignedIn, q.Chosen = "", false
	if other && !q.asks("select_account") {
		q.Prompt = append(q.Prompt, "select_account")
	}
	if err := e.begin(w, r, flow{Request: q, shown: e.show(w, r)}); err != nil {
		e.refuse(w, r, o, q, err)
	}
}

// begin sends the browser to the page on which people sign in.
func (b Browser) begin(w http.ResponseWriter, r *http.Request, f flow) error {
	sealed, err := b.Seals.seal(forFlows, f)
	if err == nil {
		seeOther(w, b.to(r, signInName, parameter{"flow", sealed}))
	}
	return err
}

// goOn answers the request of a client after the user has signed in for it.
func (e Authorize) goOn(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, sealed string) {
	var f flow
	err := e.open(r, forFlows, sealed, &f, &f.shown)
	if err == nil && f.Request == nil {
		err = tokenep.InvalidRequest.Describe("this page is not of this server")
	}
	if err == nil {
		err = e.stillGood(r, o, f.Request)
	}
	if err != nil {
		e.onPage(w, r, o, err)
		return
	}
	e.found(w, r, o, o.Client, f.Request)
}

var signInParameters = []string{"flow", "username", "password", "decision"}

// ServeHTTP answers one request.
func (e SignIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Page(w, r, signInName, func(w http.ResponseWriter, o *tokenep.Outcome) {
		form, err := tokenep.ReadParameters(r, signInParameters)
		if err != nil {
			e.onPage(w, r, o, err)
			return
		}
		if r.Method == http.MethodGet && form.Get("flow") == "" {
			e.restart(w, r, o)
			return
		}
		var f flow
		err = e.open(r, forFlows, form.Get("flow"), &f, &f.shown)
		if err == nil && r.Method == http.MethodPost {
			err = fromElsewhere(r)
		}
		switch {
		case err != nil:
			e.onPage(w, r, o, err)
		case r.Method == http.MethodGet:
			e.page(w, r, o, form.Get("flow"), f, page.NotFailed, http.StatusOK)
		case form.Get("decision") == "continue":
			e.chosen(w, r, o, f)
		default:
			e.signIn(w, r, o, form, f)
		}
	})
}

// restart begins anew where there is no flow: what follows is the page of the person's access.
func (e SignIn) restart(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome) {
	if err := e.begin(w, r, flow{Then: accountName, shown: e.show(w, r)}); err != nil {
		e.onPage(w, r, o, err)
	}
}

// page shows the page.
func (e SignIn) page(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, sealed string, f flow, failed page.Failure, status int) {
	p := page.SignIn{Action: e.to(r, signInName), Flow: sealed, Failed: failed}
	if q := f.Request; q != nil {
		if err := e.stillGood(r, o, q); err != nil {
			e.onPage(w, r, o, err)
			return
		}
		p.Client, p.Name = describe(o.Client), q.LoginHint
		if p.Name == "" {
			p.Name = q.Hint
		}
	}
	if user, err := e.user(r); err == nil && f.suits(user) {
		p.User = user.Subject
	}
	e.Pages.Show(w, r, status, p, p.Client.Logo)
}

// suits reports whether a user who has signed in already may go on without doing it again.
func (f flow) suits(user tokenep.User) bool {
	if f.Request == nil {
		return false
	}
	q := *f.Request
	q.Chosen = true
	return q.suits(user, f.at()) == nil
}

// chosen goes on with the user who has signed in already.
func (e SignIn) chosen(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, f flow) {
	user, err := e.user(r)
	if err == nil && !f.suits(user) {
		err = tokenep.LoginRequired.Describe("the user has to sign in again")
	}
	if err == nil {
		f.Request.Chosen = true
		err = e.then(w, r, f)
	}
	if err != nil {
		e.onPage(w, r, o, err)
	}
}

// then sends the browser to what follows.
func (e SignIn) then(w http.ResponseWriter, r *http.Request, f flow) error {
	if f.Request == nil {
		to, asked := e.to(r, f.Then), ""
		if f.Query != "" {
			to, asked, _ = strings.Cut(to, "?")
			to += "?" + f.Query
		}
		if asked != "" {
			to += "&" + asked
		}
		seeOther(w, to)
		return nil
	}
	sealed, err := e.Seals.seal(forFlows, f)
	if err == nil {
		seeOther(w, e.to(r, authorizationName, parameter{"flow", sealed}))
	}
	return err
}

// signIn begins a session, if name and password are right.
func (e SignIn) signIn(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, form *tokenep.Form, f flow) {
	user, err := e.Passwords.SignIn(r.Context(), e.Front.Address(r), form.Get("username"), form.Get("password"))
	if err != nil {
		o.Err = tokenep.AsError(err)
		failed, status := page.Away, o.Err.Status
		switch {
		case errors.Is(err, tokenep.InvalidGrant):
			failed, status = page.Wrong, http.StatusForbidden
		case status == http.StatusTooManyRequests:
			failed = page.TooMany
		}
		tokenep.SetRetryAfter(w.Header(), o.Err)
		refused := o.Err
		if q := f.Request; q != nil {
			q.LoginHint = form.Get("username")
		}
		e.page(w, r, o, form.Get("flow"), f, failed, status)
		o.Err = refused
		return
	}
	if err := e.remember(r, user); err != nil {
		e.onPage(w, r, o, err)
		return
	}
	session := state.Session{SignIn: user.SignIn, Agent: agent(r.UserAgent()), Address: e.Front.Address(r).String()}
	if err := e.Sessions.start(w, r, user.Subject, session); err != nil {
		e.onPage(w, r, o, err)
		return
	}
	o.Event, o.Details = "signed in", []slog.Attr{slog.String("sub", user.Subject)}
	if f.Request != nil {
		f.Request.SignedIn = user.Subject
	}
	if err := e.then(w, r, f); err != nil {
		e.onPage(w, r, o, err)
	}
}

// remember keeps the claims of a user that clients may ask for.
func (e SignIn) remember(r *http.Request, user tokenep.User) error {
	if len(e.Claims) == 0 {
		return nil
	}
	return e.Users.Save(r.Context(), user.Subject, user.Claims)
}
