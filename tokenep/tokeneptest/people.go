package tokeneptest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What a server WithPeople has more.
const (
	AuthorizePath = "/oauth/authorize"
	PARPath       = "/oauth/par"

	UserHeader   = "Test-User"    // of a request: who sits in front of the browser
	SignInHeader = "Test-Sign-In" // since when, as in RFC 3339; absent: nobody knows

	Callback = "https://site.example/callback" // the redirect URI of site
	Loopback = "http://127.0.0.1/callback"     // that of native, but for its port

	// Verifier is the code_verifier (RFC 7636 §4.1) of every authorization request.
	Verifier = "the-code-verifier-of-every-request-in-tests-1"
)

// WithPeople is a Change: people allow things to two clients. site is confidential, and native is
// public; both have the scope read and write, for Orders and Invoices. Both get refresh tokens.
func WithPeople(c *server.Config) {
	c.User = func(r *http.Request) (tokenep.User, error) {
		signedIn, _ := time.Parse(time.RFC3339, r.Header.Get(SignInHeader))
		return tokenep.User{Subject: r.Header.Get(UserHeader), SignIn: tokenep.SignIn{Time: signedIn}}, nil
	}
	site := NewClient("site", grant.AuthorizationCodeType, grant.RefreshTokenType)
	site.RedirectURIs = []string{Callback}
	native := tokenep.Client{
		ID: "native", Name: "A native app", AuthMethod: tokenep.AuthNone, GrantTypes: site.GrantTypes, RedirectURIs: []string{Loopback},
	}
	for _, client := range []*tokenep.Client{&site, &native} {
		client.Scope = verify.Scope{"read", "write"}
		client.Audience = []string{Orders, Invoices}
	}
	c.Clients = append(c.Clients, site, native)
}

// Challenge returns the code_challenge of a verifier by S256 (RFC 7636 §4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Authorize returns the authorization request of a client in the browser of alice. The pairs are
// further parameters, or others in the place of the usual ones; an empty value leaves one out.
func Authorize(client string, pairs ...string) Request {
	form := authorizationForm(client, pairs)
	return Get(AuthorizePath+"?"+form.Encode()).With(UserHeader, "alice")
}

// Push returns the request by which a client pushes that authorization request (RFC 9126 §2.1).
func Push(client string, pairs ...string) Request {
	r := PostForm(authorizationForm(client, pairs).Encode()).At(PARPath)
	if client == "native" {
		return r
	}
	return r.By(client)
}

// Pushed sends such a request, and returns the one that opens it in the browser of alice (§4).
func (s *Server) Pushed(t testing.TB, r Request) Request {
	t.Helper()
	form, _ := url.ParseQuery(r.Body)
	a := s.Send(t, r)
	uri, _ := a.JSON["request_uri"].(string)
	if a.Status != http.StatusCreated || uri == "" {
		t.Fatalf("%d %s; want a request_uri", a.Status, a.Body)
	}
	a.NotStored(t)
	open := url.Values{"client_id": {form.Get("client_id")}, "request_uri": {uri}}
	return Get(AuthorizePath+"?"+open.Encode()).With(UserHeader, "alice")
}

func authorizationForm(client string, pairs []string) url.Values {
	form := url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {RedirectURI(client)}, "state": {"the state"},
		"code_challenge": {Challenge(Verifier)}, "code_challenge_method": {grant.ChallengeS256},
	}
	for i := 0; i < len(pairs); i += 2 {
		if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return form
}

// RedirectURI returns that of a client of WithPeople. That of native has a port.
func RedirectURI(client string) string {
	if client == "native" {
		return "http://127.0.0.1:52345/callback"
	}
	return Callback
}

var hidden = regexp.MustCompile(`<input type="hidden" name="page" value="([^"]*)">`)

// Consent reads the page that is the answer to r, and returns the request of its form with this
// decision.
func (s *Server) Consent(t testing.TB, r Request, decision string) Request {
	t.Helper()
	a := s.Send(t, r)
	field := hidden.FindSubmatch(a.Body)
	if a.Status != http.StatusOK || field == nil {
		t.Fatalf("%d %s; want the page that asks for consent", a.Status, a.Body)
	}
	form := Post("page", string(field[1]), "decision", decision).At(AuthorizePath)
	for _, name := range []string{UserHeader, SignInHeader} {
		if value, ok := r.Header[name]; ok {
			form = form.With(name, value...)
		}
	}
	if cookies := (&http.Response{Header: a.Header}).Cookies(); len(cookies) > 0 {
		return form.With("Cookie", cookies[0].Name+"="+cookies[0].Value)
	}
	return form.With("Cookie", r.Header.Get("Cookie"))
}

// Redirected returns the parameters of the answer to an authorization request, which must be at
// this redirect URI.
func (a Answer) Redirected(t testing.TB, to string) url.Values {
	t.Helper()
	location, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s %v; want a redirect", a.Status, a.Body, err)
	}
	values := location.Query()
	location.RawQuery = ""
	if location.String() != to {
		t.Fatalf("the redirect leads to %s, want %s", location, to)
	}
	if iss := values["iss"]; len(iss) != 1 || iss[0] != Issuer {
		t.Errorf("iss is %q (RFC 9207 §2)", iss)
	}
	return values
}

// Code returns a code that alice gave a client, now or by what is remembered.
func (s *Server) Code(t testing.TB, client string, pairs ...string) string {
	t.Helper()
	r := Authorize(client, pairs...)
	a := s.Send(t, r)
	if a.Status == http.StatusOK {
		a = s.Send(t, s.Consent(t, r, "allow"))
	}
	values := a.Redirected(t, RedirectURI(client))
	if values.Get("code") == "" {
		t.Fatalf("no code: %v", values)
	}
	return values.Get("code")
}

// RedeemCode returns a request to exchange the code of a client of WithPeople (RFC 6749 §4.1.3),
// with further parameters, or others in the place of the usual ones.
func RedeemCode(client, code string, pairs ...string) Request {
	return as(client, url.Values{
		"grant_type": {grant.AuthorizationCodeType}, "code": {code}, "redirect_uri": {RedirectURI(client)}, "code_verifier": {Verifier},
	}, pairs)
}

// Refresh returns a request to refresh (RFC 6749 §6), likewise.
func Refresh(client, token string, pairs ...string) Request {
	return as(client, url.Values{"grant_type": {grant.RefreshTokenType}, "refresh_token": {token}}, pairs)
}

func as(client string, form url.Values, pairs []string) Request {
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	if client == "native" {
		form.Set("client_id", client)
		return PostForm(form.Encode())
	}
	return PostForm(form.Encode()).By(client)
}

// RefreshToken returns the refresh_token; empty if there is none.
func (a Answer) RefreshToken() string {
	token, _ := a.JSON["refresh_token"].(string)
	return token
}
