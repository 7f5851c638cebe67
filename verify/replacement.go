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

	// Credential returns the credential for the token t, which was presented in these bytes: the
	// whole value of the header, the cookie or the parameter. It must be safe for concurrent use.
	// An error that is not an *[Error] is answered with 500.
	Credential func(r *http.Request, t *Token, presented string) (Credential, error)

	// Used, if not nil, is told of each request that goes on with a credential, by the id of that:
	// of none that is refused.
	Used func(r *http.Request, id string)

	// Elsewhere: Credential asks a program elsewhere. [Guard.Inspect] leaves it out.
	Elsewhere bool

	header string    // Name, as net/http spells it; "": it goes elsewhere
	names  looseName // Name, and what an application may read as it
}

// Credential is what an upstream gets in the place of a token.
type Credential struct {
	Value string
	ID    string // for logs, and says nothing of Value
}

// Place is where a credential goes.
type Place string

// The places of credentials.
const (
	InHeader Place = "header"
	InCookie Place = "cookie"
	InQuery  Place = "query"
)

var errCredential = errors.New("the credential for the upstream has characters that cannot be sent there, or is empty")

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
		r.Header[p.header] = []string{c.Value}
	case InCookie:
		// In front: whatever a client has left open, such as quotes, comes after it.
		pair := p.Name + "=" + c.Value
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
		parameter := url.QueryEscape(p.Name) + "=" + url.QueryEscape(c.Value)
		setQuery(r, strings.TrimLeft(r.URL.RawQuery+"&"+parameter, "&"))
	}
	if p.Used != nil {
		p.Used(r, c.ID)
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
	c, err := p.Credential(r, t, presented)
	if err != nil {
		return Credential{}, err
	}
	if !p.fits(c.Value) {
		return Credential{}, &Error{Status: http.StatusBadGateway, Cause: errCredential}
	}
	return c, nil
}

// fits reports whether a credential can go where it is to go, and is nothing else there.
func (p *Replacement) fits(value string) bool {
	switch {
	case value == "" || strings.TrimSpace(value) != value:
		return false
	case p.In == InQuery: // where it is encoded
		return true
	case p.In == InCookie && strings.ContainsAny(value, " \",;\\"): // RFC 6265 §4.1.1
		return false
	}
	return isPrintable(value)
}

// isPrintable reports whether a text has nothing but the characters of ASCII from space to ~. It
// looks at eight bytes at a time, since credentials are long, and there is one in each request.
func isPrintable(text string) bool {
	const each = 0x0101010101010101
	for ; len(text) >= 8; text = text[8:] {
		x := uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
			uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
		if (x-each*' ')&^x&(each*0x80) != 0 || (x|(x+each*(0x7f-'~')))&(each*0x80) != 0 {
			return false
		}
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
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
