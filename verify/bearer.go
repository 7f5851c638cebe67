package verify

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
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
		Description: "the Authorization header is not its scheme, a space and a token"}
	errCertificate = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the client certificate that was passed on could not be read"}
	errTwoPlaces = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the access token was sent in more than one place"}
	errMalformedParameter = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the access_token parameter is repeated or malformed"}
	errForm = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the form could not be read, or is too large to be searched for an access token"}
)

// extract finds the one bearer token of a request for p, and what carries it; Token is "" if there
// is none.
//
// RFC 6750 §2: a client must not use more than one method in a request. The query parameter
// access_token counts as one even where that method is off, because the upstream may read it, and a
// form counts where forms are read, whatever the method of the request.
func (g *Guard) extract(r *http.Request, p *Presentation) (from carrier, err error) {
	if p.Scheme, p.Token, err = headerToken(r.Header["Authorization"], g.dpop != nil); err != nil {
		return from, err
	}
	if p.Token != "" {
		from.header = "Authorization"
	}
	if len(g.TokenHeaders)+len(g.TokenCookies) > 0 {
		if err = g.elsewhere(r, p, &from); err != nil {
			return from, err
		}
	}
	query := findToken(r.URL.RawQuery)
	if query.occurs() && p.Token != "" {
		return from, errTwoPlaces
	}
	if g.FormToken {
		taken := p.Token != "" || query.count > 0 && g.InsecureQueryToken
		form, err := searchForm(r, taken)
		switch {
		case err != nil:
			return from, err
		case !form.occurs():
		case p.Token != "" || query.occurs():
			return from, errTwoPlaces
		case form.count > 0:
			p.Token, err = form.token()
			return from, err
		}
	}
	if query.count > 0 && g.InsecureQueryToken {
		p.Token, err = query.token()
	}
	return from, err
}

// headerToken reads the values of the Authorization header, of which there must be at most one. It
// returns the scheme as it was sent, and the token. Both are "" for credentials of another scheme
// than those by which tokens are taken: they are no token, neither a good nor a bad one.
//
// RFC 6750 §2.1: credentials = "Bearer" 1*SP b64token; likewise RFC 9449 §7.1. RFC 9110 §11.1 makes
// the scheme case-insensitive.
func headerToken(values []string, takesDPoP bool) (scheme, token string, err error) {
	switch len(values) {
	case 0:
		return "", "", nil
	case 1:
	default:
		return "", "", errTwoHeaders
	}
	scheme, rest := values[0], ""
	if end := strings.IndexAny(scheme, " \t"); end >= 0 {
		scheme, rest = scheme[:end], scheme[end:]
	}
	if !strings.EqualFold(scheme, bearer) && !(takesDPoP && strings.EqualFold(scheme, dpop)) {
		return "", "", nil // so are "Bearer:" and "BearerX"
	}
	if token = strings.TrimLeft(rest, " "); token == rest || !isB64Token(token) {
		return "", "", errMalformedHeader
	}
	return scheme, token, nil
}

// isB64Token reports whether s is a b64token of RFC 6750 §2.1:
//
//	b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for ; len(body) >= 8; body = body[8:] { // eight at a time: it runs over every token
		if b64Token[body[0]]&b64Token[body[1]]&b64Token[body[2]]&b64Token[body[3]]&
			b64Token[body[4]]&b64Token[body[5]]&b64Token[body[6]]&b64Token[body[7]] == 0 {
			return false
		}
	}
	for i := range len(body) {
		if b64Token[body[i]] == 0 {
			return false
		}
	}
	return true
}

// b64Token has 1 for each byte that may be in a b64token before its padding.
var b64Token = func() (table [256]uint8) {
	for c := range byte(utf8.RuneSelf) {
		if foldByte(c) != 0 || strings.IndexByte("-._~+/", c) >= 0 {
			table[c] = 1
		}
	}
	return table
}()

// parameter is what a query or form has under the name access_token.
type parameter struct {
	count int    // how often the name occurs
	alike int    // how often one does that PHP makes the name of
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
		end := 0
		for end < len(encoded) && encoded[end] != '&' && encoded[end] != ';' {
			end++
		}
		piece, after := encoded[:end], byte('&')
		if encoded = encoded[end:]; encoded != "" {
			after, encoded = encoded[0], encoded[1:]
		}
		name, value, _ := strings.Cut(piece, "=")
		switch {
		case namesToken(name):
			p.count++
			p.value = value
			p.ambiguous = p.ambiguous || before == ';' || after == ';'
		case resemblesToken(name):
			p.alike++
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

// resemblesToken reports whether PHP makes access_token of an encoded name that is another one: it
// drops spaces in front and whatever follows a NUL, and takes a dot, a space and a bracket that is
// not closed for "_". No token is taken from such a parameter, but it may be a second one.
func resemblesToken(name string) bool {
	if !strings.ContainsAny(name, "%+. [\x00") {
		return false
	}
	plain, _, _ := strings.Cut(unescape(strings.ReplaceAll(name, "+", " ")), "\x00")
	plain = strings.TrimLeft(plain, " ")
	if len(plain) != len(tokenParameter) || strings.Contains(plain, "]") {
		return false
	}
	return strings.NewReplacer(".", "_", " ", "_", "[", "_").Replace(plain) == tokenParameter
}

// occurs reports whether there is a token, or what the upstream may take for one.
func (p parameter) occurs() bool { return p.count+p.alike > 0 }

// token returns the decoded token. A request that repeats the parameter is an invalid_request (RFC
// 6750 §3.1).
func (p parameter) token() (string, error) {
	if p.count != 1 || p.alike > 0 || p.ambiguous {
		return "", errMalformedParameter
	}
	token, err := url.QueryUnescape(p.value)
	if err != nil || !isB64Token(token) {
		return "", errMalformedParameter
	}
	return token, nil
}

// withoutParameter returns a query without the parameters whose encoded names are named. The others
// keep their order and spelling.
func withoutParameter(query string, named func(string) bool) string {
	var kept strings.Builder
	separator := ""
	for query != "" {
		piece, after := query, ""
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			piece, after, query = query[:i], query[i:i+1], query[i+1:]
		} else {
			query = ""
		}
		if name, _, _ := strings.Cut(piece, "="); !named(name) {
			kept.WriteString(separator + piece)
			separator = after
		}
	}
	return kept.String()
}

const formType = "application/x-www-form-urlencoded"

// searchForm looks for a token in the body. taken says that there is one elsewhere.
//
// A token is taken from a form that is sent by POST (RFC 6750 §2.2), as it is (RFC 9110 §8.4.1). A
// second one counts in whatever an upstream may read as a form: one of another method, or with a
// Content-Type that only begins like that of a form. A form that cannot be read, because it has a
// content coding, may carry one.
func searchForm(r *http.Request, taken bool) (parameter, error) {
	good, like := mediaTypes(r.Header["Content-Type"])
	plain := !slices.ContainsFunc(r.Header["Content-Encoding"], coded)
	switch {
	case r.Body == nil || r.Body == http.NoBody || !like:
		return parameter{}, nil
	case good && plain && r.Method == http.MethodPost:
		return formToken(r)
	case !taken:
		return parameter{}, nil
	case !plain:
		return parameter{}, errForm
	}
	return formToken(r)
}

// mediaTypes reports whether one of the values is the media type of a form, and whether one is, or
// looks as if it were, to those who read to the first comma or space.
func mediaTypes(values []string) (good, like bool) {
	for _, value := range values {
		media, _, _ := strings.Cut(value, ";")
		good = good || strings.EqualFold(strings.TrimSpace(media), formType)
		for member := range strings.SplitSeq(value, ",") {
			member = strings.TrimSpace(member)
			like = like || len(member) >= len(formType) && strings.EqualFold(member[:len(formType)], formType)
		}
	}
	return good, like
}

// coded reports whether a value of Content-Encoding names a coding; identity is none.
func coded(value string) bool {
	for coding := range strings.SplitSeq(value, ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
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
