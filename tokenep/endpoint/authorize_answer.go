package endpoint

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep/page"
)

// The values of response_mode (OAuth 2.0 Multiple Response Type Encoding Practices §2.1, OAuth 2.0
// Form Post Response Mode).
const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// parameter is one of an answer to the client.
type parameter struct{ Name, Value string }

// answer sends the browser back to the client (RFC 6749 §4.1.2) with these parameters, state and
// iss (RFC 9207 §2). The status is 303, so that a form is not sent on (RFC 9700 §4.12).
func (e Authorize) answer(w http.ResponseWriter, r *http.Request, q *authorizationRequest, values []parameter) {
	values = e.complete(q, values)
	if q.Mode == modeFormPost {
		p := page.FormPost{To: q.RedirectURI}
		for _, v := range values {
			p.Values = append(p.Values, page.Parameter(v))
		}
		e.Pages.Show(w, r, http.StatusOK, p)
		return
	}
	seeOther(w, redirectTo(q.RedirectURI, values))
}

// complete adds what every answer has.
func (e Authorize) complete(q *authorizationRequest, values []parameter) []parameter {
	if q.State != "" {
		values = append(values, parameter{"state", q.State})
	}
	return append(values, parameter{"iss", e.Issuer})
}

// redirectTo appends parameters to those that the redirect URI has (RFC 6749 §3.1.2), and changes
// nothing else in it.
func redirectTo(uri string, values []parameter) string {
	var b strings.Builder
	b.WriteString(uri)
	separator := byte('?')
	if _, query, found := strings.Cut(uri, "?"); found {
		separator = '&'
		if query == "" || strings.HasSuffix(query, "&") {
			separator = 0
		}
	}
	for _, v := range values {
		if separator != 0 {
			b.WriteByte(separator)
		}
		b.WriteString(v.Name + "=" + url.QueryEscape(v.Value))
		separator = '&'
	}
	return b.String()
}
