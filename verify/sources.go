package verify

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// TokenHeader is a header other than Authorization that tokens are taken from.
type TokenHeader struct {
	Name string // such as "X-Access-Token"

	// Scheme stands before the token, with spaces between (RFC 9110 §11.4), in any case;
	// credentials of another scheme are no token. Empty: the value is the token alone.
	Scheme string
}

// errCrossOrigin refuses what another site may have had the browser of a person send: browsers add
// cookies by themselves.
var errCrossOrigin = &Error{Status: http.StatusForbidden, Code: AccessDenied, Scope: Scope{}, Option: "insecure_any_origin",
	Description: "a request with the access token in a cookie must come from the same origin"}

var (
	errMalformedTokenHeader = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the header for the access token is repeated or malformed"}
	errMalformedCookie = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the cookie for the access token is repeated or malformed"}
)

// protectSources checks the headers and cookies that tokens are taken from, and protects the
// headers: other spellings of their names are removed at once, and they themselves after the token
// was read.
func (g *Guard) protectSources(framing *protected) error {
	g.sources = []string{"Authorization"}
	for _, source := range g.TokenHeaders {
		switch {
		case framing.has(source.Name) || fold(source.Name) == "cookie":
			return fmt.Errorf("no token can be taken from the header %s: it has another use", source.Name)
		case g.names.has(source.Name):
			return fmt.Errorf("the header %s has two uses: one is to carry the token", source.Name)
		case source.Scheme != "" && !isFieldName(source.Scheme):
			return fmt.Errorf("%q is not an authentication scheme", source.Scheme)
		}
		if err := g.names.add(source.Name); err != nil {
			return err
		}
		g.sources = append(g.sources, http.CanonicalHeaderKey(source.Name))
	}
	for i, name := range g.TokenCookies {
		if !isFieldName(name) {
			return fmt.Errorf("%q is not the name of a cookie", name)
		}
		if slices.Contains(g.TokenCookies[:i], name) {
			return fmt.Errorf("the cookie %s is given twice", name)
		}
	}
	return nil
}

// carrier is what carried the token of a request: a header or a cookie, by its name. Neither: there
// is no token, or it is in the query or a form.
type carrier struct{ header, cookie string }

// elsewhere finds the one token in the header Authorization, where it was found already, in the
// TokenHeaders, and in the TokenCookies.
func (g *Guard) elsewhere(r *http.Request, p *Presentation, from *carrier) error {
	for i, source := range g.TokenHeaders {
		token, err := source.token(r.Header[g.sources[i+1]])
		switch {
		case err != nil:
			return err
		case token == "":
		case p.Token != "":
			return errTwoPlaces
		default:
			p.Token, from.header = token, g.sources[i+1]
		}
	}
	for _, name := range g.TokenCookies {
		token, err := cookieToken(r.Header["Cookie"], name)
		switch {
		case err != nil:
			return err
		case token == "":
		case p.Token != "":
			return errTwoPlaces
		case !g.InsecureAnyOrigin && g.crossOrigin(r):
			return errCrossOrigin
		default:
			p.Token, from.cookie = token, name
		}
	}
	return nil
}

// token reads the values of a header; "": it has none.
func (h *TokenHeader) token(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	token := values[0]
	if h.Scheme != "" {
		scheme, credentials, spaced := strings.Cut(token, " ")
		if !strings.EqualFold(scheme, h.Scheme) {
			return "", nil
		}
		if token = strings.TrimLeft(credentials, " "); !spaced {
			return "", errMalformedTokenHeader
		}
	}
	if len(values) > 1 || !isB64Token(token) {
		return "", errMalformedTokenHeader
	}
	return token, nil
}

// cookieToken reads a cookie from the lines of the header Cookie (RFC 6265 §4.2.1); "": it is not
// there, or is empty, as applications leave it that take it back.
func cookieToken(lines []string, name string) (token string, err error) {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			is, value := splitCookie(pair)
			if is != name || value == "" {
				continue
			}
			if token != "" || !isB64Token(value) {
				return "", errMalformedCookie
			}
			token = value
		}
	}
	return token, nil
}

func splitCookie(pair string) (name, value string) {
	name, value, _ = strings.Cut(pair, "=")
	return strings.Trim(name, " \t"), strings.Trim(value, " \t")
}

// withoutCookies returns the lines of the header Cookie without the cookies that are named. The
// others keep their order and spelling.
func withoutCookies(lines []string, named func(pair string) bool) (kept []string) {
	for _, line := range lines {
		pairs := slices.DeleteFunc(strings.Split(line, ";"), named)
		if line = strings.TrimLeft(strings.Join(pairs, ";"), " \t"); line != "" {
			kept = append(kept, line)
		}
	}
	return kept
}

// isTokenCookie reports whether a cookie is one that tokens are taken from.
func (g *Guard) isTokenCookie(pair string) bool {
	name, _ := splitCookie(pair)
	return slices.Contains(g.TokenCookies, name)
}

// crossOrigin reports whether r changes something, or opens a connection that may, and does not
// come from a page of the same origin: by Sec-Fetch-Site (Fetch Metadata §2.3), or by Origin (RFC
// 6454 §7) from browsers that do not send that. Without either it is not known, and so it may not.
//
// Whoever is on the way can have a page that comes without TLS do anything, so it is no origin for
// a request over TLS. A page that came over TLS, and whose requests do not, is behind a proxy that
// takes TLS off.
func (g *Guard) crossOrigin(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions: // safe (RFC 9110 §9.2.1)
		if len(r.Header["Upgrade"]) == 0 {
			return false
		}
	}
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return len(site) > 1 || site[0] != "same-origin" && site[0] != "none"
	}
	origin := r.Header["Origin"]
	if len(origin) != 1 {
		return true
	}
	overTLS := r.TLS != nil
	if g.OverTLS != nil {
		overTLS = g.OverTLS(r)
	}
	u, err := url.Parse(origin[0])
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) || u.Scheme != "https" && (u.Scheme != "http" || overTLS)
}

// hide removes what is not to go on: the token, or where it does go on, everything else that an
// application may take for it.
func (g *Guard) hide(r *http.Request, from carrier) {
	if g.KeepAuthorization {
		g.hideOthers(r, from)
	} else {
		g.hideToken(r)
	}
}

// hideOthers removes the headers and cookies that tokens are taken from, but for the one that has
// carried the token, and cookies and parameters whose names are nearly those: nobody has verified
// them. Headers of such names are gone.
func (g *Guard) hideOthers(r *http.Request, from carrier) {
	for _, name := range g.sources {
		if name != from.header {
			delete(r.Header, name)
		}
	}
	if from.header != "Authorization" {
		delete(r.Header, proofHeader)
	}
	if len(g.TokenCookies) > 0 && len(r.Header["Cookie"]) > 0 {
		setCookies(r.Header, withoutCookies(r.Header["Cookie"], func(pair string) bool {
			if name, _ := splitCookie(pair); from.cookie != "" && name == from.cookie {
				return false
			}
			return slices.ContainsFunc(g.TokenCookies, func(name string) bool { return loosen(name).isCookie(pair) })
		}))
	}
	if g.InsecureQueryToken && r.URL.RawQuery != "" {
		setQuery(r, withoutParameter(r.URL.RawQuery, func(name string) bool {
			return !namesToken(name) && loosen(tokenParameter).isParameter(name)
		}))
	}
}

// hideToken removes the header Authorization, and the other headers, the cookies and the parameter
// of the query from which the guard takes tokens.
func (g *Guard) hideToken(r *http.Request) {
	for _, name := range g.sources {
		delete(r.Header, name)
	}
	delete(r.Header, proofHeader) // it belongs to the token
	g.Replace.hide(r)
	if len(g.TokenCookies) > 0 && len(r.Header["Cookie"]) > 0 {
		setCookies(r.Header, withoutCookies(r.Header["Cookie"], g.isTokenCookie))
	}
	if !g.InsecureQueryToken || r.URL.RawQuery == "" || findToken(r.URL.RawQuery).count == 0 {
		return
	}
	setQuery(r, withoutParameter(r.URL.RawQuery, namesToken))
	r.Form.Del(tokenParameter)
}
