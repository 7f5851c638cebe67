package endpoint

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
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
func (e Authorize) answer(w http.ResponseWriter, q *authorizationRequest, values []parameter) {
	values = e.complete(q, values)
	if q.Mode == modeFormPost {
		showPage(w, http.StatusOK, "form_post", formPost{q.RedirectURI, values})
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

// seeOther sends the browser on.
func seeOther(w http.ResponseWriter, to string) {
	pageHeaders(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
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

// formPost is what is on a page that sends itself to the client.
type formPost struct {
	To     string
	Values []parameter
}

// refusal is what is on a page that says why nothing goes on.
type refusal struct {
	Description string
	Retry       bool
}

// onPage shows the user why there is no answer to the client.
func (e Authorize) onPage(w http.ResponseWriter, o *tokenep.Outcome, err error) {
	o.Err = tokenep.AsError(err)
	showPage(w, o.Err.Status, "error", refusal{o.Err.Description, o.Err.Code == tokenep.TemporarilyUnavailable})
}

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	pages = template.Must(template.New("").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(pageStyle) },
		"script": func() template.JS { return template.JS(pageScript) },
		"uri":    func(uri string) template.URL { return template.URL(uri) }, // a registered one
		// A URL would be normalized: a redirect URI keeps every byte.
		"action": func(uri string) template.HTMLAttr {
			return template.HTMLAttr(`action="` + template.HTMLEscapeString(uri) + `"`)
		},
	}).Parse(pageText))

	// A page has one style and one script, and nothing from elsewhere. form-action is left out:
	// browsers hold the redirect after a POST to it as well, and that goes to the client.
	pagePolicy = "default-src 'none'; style-src '" + sha256Source(pageStyle) + "'; script-src '" + sha256Source(pageScript) +
		"'; base-uri 'none'; frame-ancestors 'none'"
)

// sha256Source returns the hash-source of CSP 3 §2.3.1.
func sha256Source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pageHeaders sets what every answer to a browser has.
func pageHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// showPage shows one of the pages of page.html. It may load these images, if they are not empty.
func showPage(w http.ResponseWriter, status int, name string, data any, images ...string) {
	h := w.Header()
	pageHeaders(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	policy := pagePolicy
	for _, image := range images {
		if u, err := url.Parse(image); err == nil && image != "" {
			policy += "; img-src " + u.Scheme + "://" + u.Host
		}
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, name, data) // nobody is left to be told that it failed
}
