package verify

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxForm is the size in bytes of the largest form that is searched for a token.
const maxForm = 64 << 10

// bearer is the authentication scheme of RFC 6750 §2.1.
const bearer = "Bearer"

// tokenParameter is the name of the form and query parameter of RFC 6750 §2.2 and §2.3.
const tokenParameter = "access_token"

// Refusals with invalid_request (RFC 6750 §3.1). They are copied before anything is added.
var (
	errTwoHeaders = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "more than one Authorization header"}
	errMalformedHeader = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the Authorization header is not Bearer, one space and a token"}
	errTwoPlaces = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the access token was sent in more than one place"}
	errMalformedParameter = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the access_token parameter is repeated or malformed"}
	errForm = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the form could not be read, or is too large to be searched for an access token"}
)

// errNoToken refuses a request without authentication information. The challenge has no error code
// (RFC 6750 §3.1).
var errNoToken = &Error{Status: http.StatusUnauthorized, Cause: errors.New("no bearer token")}

// extract finds the one bearer token of a request; Token is "" if there is none.
//
// RFC 6750 §2: a client must not use more than one method in a request. The query parameter
// access_token counts as one even where that method is off, because the upstream may read it, and a
// form counts where forms are read.
func (g *Guard) extract(r *http.Request) (Presentation, error) {
	p := present(r)
	var err error
	if p.Scheme, p.Token, err = headerToken(r.Header["Authorization"]); err != nil {
		return p, err
	}
	query := findToken(r.URL.RawQuery)
	if query.count > 0 && p.Token != "" {
		return p, errTwoPlaces
	}
	if g.FormToken && carriesForm(r) {
		form, err := formToken(r)
		switch {
		case err != nil:
			return p, err
		case form.count == 0:
		case query.count > 0 || p.Token != "":
			return p, errTwoPlaces
		default:
			p.Token, err = form.token()
			return p, err
		}
	}
	if query.count > 0 && g.InsecureQueryToken {
		p.Token, err = query.token()
	}
	return p, err
}

// headerToken reads the values of the Authorization header, of which there must be at most one. It
// returns the scheme as it was sent, and the token. Both are "" for credentials of another scheme:
// they are not a bearer token, neither a good nor a bad one.
//
// RFC 6750 §2.1: credentials = "Bearer" 1*SP b64token. Exactly one space is accepted here, as in
// every example of the RFC; RFC 9110 §11.1 makes the scheme case-insensitive.
func headerToken(values []string) (scheme, token string, err error) {
	switch len(values) {
	case 0:
		return "", "", nil
	case 1:
	default:
		return "", "", errTwoHeaders
	}
	value := values[0]
	if len(value) < len(bearer) || !strings.EqualFold(value[:len(bearer)], bearer) {
		return "", "", nil
	}
	scheme, rest := value[:len(bearer)], value[len(bearer):]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", nil // "Bearer:" and "BearerX" are other schemes
	}
	if rest == "" || rest[0] != ' ' || !isB64Token(rest[1:]) {
		return "", "", errMalformedHeader
	}
	return scheme, rest[1:], nil
}

// isB64Token reports whether s is a b64token of RFC 6750 §2.1:
//
//	b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		switch c := body[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return body != ""
}

// parameter is what a query or form has under the name access_token.
type parameter struct {
	count int    // how often the name occurs
	value string // the last value, still encoded

	// A ";" precedes or follows: some parsers take it for a separator, others for part of the
	// value.
	ambiguous bool
}

// findToken looks for access_token in an application/x-www-form-urlencoded string. Names are
// compared decoded: %61ccess_token is found, and access_token[] is another name.
func findToken(encoded string) parameter {
	var p parameter
	before := byte('&')
	for encoded != "" {
		piece, after := encoded, byte('&')
		if i := strings.IndexAny(encoded, "&;"); i >= 0 {
			piece, after, encoded = encoded[:i], encoded[i], encoded[i+1:]
		} else {
			encoded = ""
		}
		name, value, _ := strings.Cut(piece, "=")
		if namesToken(name) {
			p.count++
			p.value = value
			p.ambiguous = p.ambiguous || before == ';' || after == ';'
		}
		before = after
	}
	return p
}

func namesToken(name string) bool {
	if name == tokenParameter {
		return true
	}
	if len(name) > 3*len(tokenParameter) || !strings.Contains(name, "%") {
		return false
	}
	decoded, err := url.QueryUnescape(name)
	return err == nil && decoded == tokenParameter
}

// token returns the decoded token. A request that repeats the parameter is an invalid_request (RFC
// 6750 §3.1).
func (p parameter) token() (string, error) {
	if p.count != 1 || p.ambiguous {
		return "", errMalformedParameter
	}
	token, err := url.QueryUnescape(p.value)
	if err != nil || !isB64Token(token) {
		return "", errMalformedParameter
	}
	return token, nil
}

// withoutToken returns query without access_token, wherever findToken finds it. The rest keeps its
// order and spelling.
func withoutToken(query string) string {
	var kept strings.Builder
	separator := ""
	for query != "" {
		piece, after := query, ""
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			piece, after, query = query[:i], query[i:i+1], query[i+1:]
		} else {
			query = ""
		}
		if name, _, _ := strings.Cut(piece, "="); !namesToken(name) {
			kept.WriteString(separator + piece)
			separator = after
		}
	}
	return kept.String()
}

// carriesForm reports whether the body may carry a token: a single-part form sent by POST (RFC 6750
// §2.2). A body with a content coding is opaque, and is not searched.
func carriesForm(r *http.Request) bool {
	if r.Method != http.MethodPost || r.Body == nil || len(r.Header["Content-Encoding"]) != 0 {
		return false
	}
	for _, value := range r.Header["Content-Type"] {
		media, _, _ := strings.Cut(value, ";")
		if strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
			return true
		}
	}
	return false
}

// formToken reads the form, at most maxForm bytes, and gives r a body with the same bytes.
//
// A longer form is refused, since it may carry a second token that would go on unseen. A form with
// a token must be ASCII (RFC 6750 §2.2).
func formToken(r *http.Request) (parameter, error) {
	if r.ContentLength > maxForm || len(r.Header["Content-Type"]) != 1 {
		return parameter{}, errForm
	}
	read, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	r.Body = &replayed{Reader: io.MultiReader(bytes.NewReader(read), r.Body), Closer: r.Body}
	if err != nil {
		return parameter{}, unreadable(err)
	}
	if len(read) > maxForm {
		return parameter{}, errForm
	}
	p := findToken(string(read))
	if p.count > 0 && bytes.ContainsFunc(read, func(c rune) bool { return c >= 0x80 }) {
		return parameter{}, errMalformedParameter
	}
	return p, nil
}

// unreadable is the refusal of a form that could not be read. Whoever limits the body says so in
// its error: 413, or an *Error of its own.
func unreadable(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := *errForm
	e.Cause = err
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		e.Status, e.Description = http.StatusRequestEntityTooLarge, "the form is larger than the server takes"
	}
	return &e
}

// replayed is a body that starts with what was already read of it.
type replayed struct {
	io.Reader
	io.Closer
}

func (b *replayed) ended() bool { return ended(b.Closer) }
