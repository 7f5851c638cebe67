package endpoint

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// pageLife is how long a user may take to decide.
const pageLife = 30 * time.Minute

// consentPage is what is sealed into a page: the request, and who may answer it.
type consentPage struct {
	ID      string               `json:"id"` // it is answered with a code once
	Request authorizationRequest `json:"request"`
	Subject string               `json:"sub"`
	Browser string               `json:"browser"` // the cookie of the browser that it was shown to
	Expires time.Time            `json:"exp"`
}

// consent is what is on the page.
type consent struct {
	Client, User, Host string
	Loopback           bool // of the host
	Scope              verify.Scope
	Audience           []string
	Sealed             string
	SelfRegistered     bool
	Home               string // of such a client, as it says
	Logo, Policy, TOS  string // URIs; empty: none
	Remembered         bool   // the user will not be asked again
}

// ask shows the page on which the user decides (RFC 6749 §4.1.1, §10.13): who asks, who they are,
// what for, and where they will be sent.
func (e Authorize) ask(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, client *tokenep.Client, q *authorizationRequest, user tokenep.User) {
	sealed, err := e.Pages.seal(forPages, consentPage{
		ID: rand.Text(), Request: *q, Subject: user.Subject, Browser: e.browser(w, r), Expires: e.Now().Add(pageLife),
	})
	if err != nil {
		e.refuse(w, o, q, err)
		return
	}
	if e.ConsentPage != "" {
		seeOther(w, redirectTo(e.ConsentPage, []parameter{{"consent_token", sealed}}))
		return
	}
	c := consent{Client: client.ID, User: user.Subject, Scope: q.Scope, Audience: q.Audience, Sealed: sealed, SelfRegistered: client.SelfRegistered, Home: client.URI,
		Logo: logo(client), Policy: client.PolicyURI, TOS: client.TOSURI, Remembered: !couldBeAnybody(client, q)}
	if client.Name != "" {
		c.Client = client.Name
	}
	if to, err := url.Parse(q.RedirectURI); err == nil {
		c.Host, c.Loopback = to.Hostname(), to.Scheme == "http" // of loopback hosts alone
		if to.Scheme != "https" && to.Scheme != "http" {
			c.Host = "the application that opens " + to.Scheme + ": links"
		}
	}
	showPage(w, http.StatusOK, "consent", c, c.Logo)
}

// logo returns the logo of a client, unless it says itself what it is: then it may be anybody's.
func logo(c *tokenep.Client) string {
	if c.SelfRegistered {
		return ""
	}
	return c.LogoURI
}

// decided answers the form of that page.
func (e Authorize) decided(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, form *tokenep.Form) {
	page, user, err := e.openPage(r, form.Get("page"))
	if err == nil && fromElsewhere(r) {
		err = tokenep.InvalidRequest.Describe("this page was sent by a page of another site")
	}
	if err != nil {
		e.onPage(w, o, err)
		return
	}
	q := &page.Request
	if err := e.stillGood(r, o, q); err != nil {
		e.onPage(w, o, err)
		return
	}
	if err := e.stillFresh(&page, user); err != nil {
		e.refuse(w, o, q, err)
		return
	}
	switch form.Get("decision") {
	case "deny":
		e.refuse(w, o, q, tokenep.AccessDenied.Describe("the user does not allow it"))
	case "allow":
		if err := e.answerOnce(r.Context(), &page); err != nil {
			e.onPage(w, o, err)
			return
		}
		e.give(w, r, o, q, user, answered)
	default:
		e.onPage(w, o, tokenep.InvalidRequest.Describe("the page was answered with neither allow nor deny"))
	}
}

// fromElsewhere reports whether a browser says that a page of another origin has sent the form
// (Fetch Metadata §2.4). It says no Origin: the page has the policy no-referrer, with which that is
// null.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
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
	if err := e.Pages.open(forPages, sealed, &page); err != nil {
		return page, user, tokenep.InvalidRequest.Describe("this page is not of this server").Because(err)
	}
	cookie, err := r.Cookie(e.cookieName())
	switch {
	case !e.Now().Before(page.Expires):
		return page, user, tokenep.InvalidRequest.Describe("this page is too old")
	case err != nil, subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(page.Browser)) != 1:
		return page, user, tokenep.InvalidRequest.Describe("this page was shown to another browser, or cookies are off").Because(err)
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

// stillFresh holds the sign-in to what the client asked for when the page was shown: the user may
// take the time of the page to read, and may not have signed in by other means meanwhile, of which
// nobody knows when.
func (e Authorize) stillFresh(page *consentPage, user tokenep.User) *tokenep.Error {
	if !page.Request.freshEnough(user, page.Expires.Add(-pageLife)) {
		return tokenep.LoginRequired.Describe("the user cannot be asked to sign in again")
	}
	return nil
}

// mayAsk reports whether a request that was found good before may still be answered.
func (q *authorizationRequest) mayAsk(client *tokenep.Client) bool {
	return client.RegistrationID == q.RegistrationID && client.HasRedirectURI(q.RedirectURI) &&
		client.May(grant.AuthorizationCodeType) && client.Scope.Includes(q.Scope)
}

// cookieName is that of the cookie by which a browser is known again. The prefix keeps other hosts
// from setting it (RFC 6265bis §4.1.3.2), and needs https, which an issuer on a loopback host may
// lack.
func (e Authorize) cookieName() string {
	if e.secure() {
		return "__Host-oauth_browser"
	}
	return "oauth_browser"
}

func (e Authorize) secure() bool { return strings.HasPrefix(e.Issuer, "https:") }

// browserBytes is the length of what is in the cookie.
const browserBytes = 16

// browser returns what is in the cookie, and sets it if there is none.
func (e Authorize) browser(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(e.cookieName()); err == nil {
		if b, err := base64.RawURLEncoding.DecodeString(cookie.Value); err == nil && len(b) == browserBytes {
			return cookie.Value
		}
	}
	b := make([]byte, browserBytes)
	rand.Read(b) // never fails
	value := base64.RawURLEncoding.EncodeToString(b)
	http.SetCookie(w, &http.Cookie{
		Name: e.cookieName(), Value: value, Path: "/", Secure: e.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return value
}
