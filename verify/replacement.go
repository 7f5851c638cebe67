package verify

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Replacement puts a credential of the upstream in the place of the token.
type Replacement struct {
	// In says where the credential goes, and Name is its name there. In a header, Name may be
	// Authorization. What clients send by that name is removed from every request.
	In   Place
	Name string

	// Credential returns the credential for the token t, which was presented in these bytes. It
	// must be safe for concurrent use. An error that is not an *[Error] is answered with 500.
	Credential func(r *http.Request, t *Token, presented string) (Credential, error)

	// Used is told the ID of the credential of each request that goes on with one. nil: nobody
	// asks.
	Used func(r *http.Request, id string)

	// Elsewhere: Credential asks a program elsewhere. [Guard.Inspect] leaves it out.
	Elsewhere bool

	header string    // Name, as net/http spells it; "": it goes elsewhere
	names  looseName // Name, and what an application may read as it
}

// Credential is what an upstream takes in the place of the token: the whole value of the header,
// the cookie or the parameter. What it has in it is looked at once, by [NewCredential], however
// often it is sent.
type Credential struct {
	id, text  string
	trimmed   bool // it has something, and no space at an end
	printable bool // likewise, and nothing else than printable ASCII
}

// NewCredential returns a credential. By its id, which may be empty, logs tell it from others.
func NewCredential(text, id string) Credential {
	c := Credential{id: id, text: text, trimmed: text != "" && strings.TrimSpace(text) == text}
	c.printable = c.trimmed && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
	return c
}

// Size returns how many bytes there are in the credential and its id.
func (c Credential) Size() int { return len(c.text) + len(c.id) }

// String keeps credentials out of logs.
func (c Credential) String() string { return "credential " + c.id }

// GoString does so where they are written as Go has them.
func (c Credential) GoString() string { return c.String() }

// Place is where a credential goes.
type Place string

// The places of credentials.
const (
	InHeader Place = "header"
	InCookie Place = "cookie"
	InQuery  Place = "query"
)

var errCredential = errors.New("the credential for the upstream has characters that cannot be sent there, or is empty")

// errReflected refuses a request whose answer may be the request itself (RFC 9110 §9.3.8): the
// client would see the credential, which is none of its own.
var errReflected = &Error{Status: http.StatusForbidden, Code: AccessDenied, Scope: Scope{},
	Description: "TRACE is not permitted here",
	Cause:       errors.New("the answer would have the credential for the upstream")}

// reflects reports whether a method asks for the request in the answer, as TRACE does, and TRACK
// did in IIS. Some servers read methods in any case.
func reflects(method string) bool {
	return strings.EqualFold(method, http.MethodTrace) || strings.EqualFold(method, "TRACK")
}

// check returns what is wrong with the replacement.
func (p *Replacement) check() error {
	p.names = loosen(p.Name)
	if p.In == InHeader {
		p.header = http.CanonicalHeaderKey(p.Name)
	}
	switch {
	case p.Credential == nil:
		return errors.New("the replacement of the token has no credential")
	case p.In == InHeader && !strings.EqualFold(p.Name, "Authorization") && mustProtect(reserved...).has(p.Name):
		return fmt.Errorf("the header %s can't have a credential: it is not for applications; take one such as X-Api-Key", p.Name)
	case (p.In == InHeader || p.In == InCookie) && !isFieldName(p.Name):
		return fmt.Errorf("%q is not the name of a %s", p.Name, p.In)
	case p.In == InQuery && p.Name == "":
		return errors.New("the parameter of the query has no name")
	case p.In != InHeader && p.In != InCookie && p.In != InQuery:
		return fmt.Errorf("%q is no place for a credential; there are header, cookie and query", string(p.In))
	}
	return nil
}

// hide removes what a client has sent in the name of the credential. Headers are gone: that one is
// protected, or one that tokens are taken from.
func (p *Replacement) hide(r *http.Request) {
	if p == nil {
		return
	}
	switch p.In {
	case InCookie:
		setCookies(r.Header, withoutCookies(r.Header["Cookie"], p.names.isCookie))
	case InQuery:
		if r.URL.RawQuery != "" {
			setQuery(r, withoutParameter(r.URL.RawQuery, p.names.isParameter))
			for name := range r.Form {
				if p.names.is(name) {
					delete(r.Form, name)
				}
			}
		}
	}
}

// put adds the credential to a request that has nothing in its name.
func (p *Replacement) put(r *http.Request, c Credential) {
	switch p.In {
	case InHeader:
		r.Header[p.header] = []string{c.text}
	case InCookie:
		// In front: whatever a client has left open, such as quotes, comes after it.
		pair := p.Name + "=" + c.text
		lines := slices.Clone(r.Header["Cookie"])
		if len(lines) == 0 {
			lines = []string{pair}
		} else {
			lines[0] = pair + "; " + lines[0]
		}
		r.Header["Cookie"] = lines
		// A proxy drops what Connection names (RFC 9110 §7.6.1).
		filterList(r.Header, "Connection", func(name string) bool { return strings.EqualFold(name, "Cookie") })
	case InQuery:
		parameter := url.QueryEscape(p.Name) + "=" + url.QueryEscape(c.text)
		setQuery(r, strings.TrimLeft(r.URL.RawQuery+"&"+parameter, "&"))
	}
	if p.Used != nil {
		p.Used(r, c.id)
	}
}

// Withdraw removes the credential that Replace has put into a request which was admitted. Call it
// when the request goes elsewhere than to the upstream, such as to what formats an error.
func (g *Guard) Withdraw(r *http.Request) {
	if p := g.Replace; p != nil && p.In == InHeader {
		delete(r.Header, p.header)
	}
	g.Replace.hide(r)
}

// tell sets the headers of claims, and returns the credential that takes the place of the token, if
// there is one. The credential is found last: nobody is asked for one that does not go on. After an
// error no header is set.
func (g *Guard) tell(r *http.Request, t *Token, presented string) (c Credential, err error) {
	if err = setClaims(r.Header, g.claims, t); err != nil || g.Replace == nil {
		return c, err
	}
	if c, err = g.Replace.credential(r, t, presented); err != nil {
		unset(r.Header, g.claims)
	}
	return c, err
}

// credential returns the credential for t, which can go where it is to go.
func (p *Replacement) credential(r *http.Request, t *Token, presented string) (Credential, error) {
	if reflects(r.Method) {
		return Credential{}, errReflected
	}
	c, err := p.Credential(r, t, presented)
	if err == nil && !p.fits(c) {
		err = &Error{Status: http.StatusBadGateway, Cause: errCredential}
	}
	return c, err
}

// fits reports whether a credential can go where it is to go, and is nothing else there.
func (p *Replacement) fits(c Credential) bool {
	switch p.In {
	case InQuery: // where it is encoded
		return c.trimmed
	case InCookie: // RFC 6265 §4.1.1
		return c.printable && !strings.ContainsAny(c.text, " \",;\\")
	}
	return c.printable
}

// setCookies sets the lines of the header Cookie, or removes it.
func setCookies(h http.Header, lines []string) {
	if len(lines) == 0 {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = lines
	}
}

// setQuery changes the query of a request. Others may hold the old URL.
func setQuery(r *http.Request, query string) {
	if query == r.URL.RawQuery {
		return
	}
	u := *r.URL
	u.RawQuery = query
	r.URL, r.RequestURI = &u, u.RequestURI()
}
