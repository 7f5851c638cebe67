package endpoint

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
)

// Browser is what all endpoints have in common that a person looks at (RFC 6749 §3.1, RFC 9700
// §4.16): pages, what is sealed into them, and the cookie by which a browser is known again.
type Browser struct {
	Front  *tokenep.Front
	Issuer string // iss, and the origin of all pages
	Seals  *PageKey
	Pages  *page.Set
	PathOf func(endpoint string) string // where an endpoint of this server is
	Now    func() time.Time
}

// cookieName returns that of a cookie of this server. The prefix keeps other hosts from setting it
// (RFC 6265bis §4.1.3.2), and needs https, which an issuer on a loopback host may lack. Servers of
// one host have different paths or ports, of which cookies know nothing (RFC 6265 §8.5).
func (b Browser) cookieName(name string) string {
	if u, err := url.Parse(b.Issuer); err == nil {
		if at := u.Port() + strings.TrimRight(u.Path, "/"); at != "" {
			sum := sha256.Sum256([]byte(at))
			name += "_" + hex.EncodeToString(sum[:4])
		}
	}
	if b.secure() {
		return "__Host-" + name
	}
	return name
}

// cookie returns the value of a cookie of this server. More than one of the name is none: one of
// them may be of somebody else (RFC 6265 §8.6).
func (b Browser) cookie(r *http.Request, name string) (value string, ok bool) {
	cookies := r.CookiesNamed(b.cookieName(name))
	if len(cookies) != 1 {
		return "", false
	}
	return cookies[0].Value, true
}

func (b Browser) secure() bool { return strings.HasPrefix(b.Issuer, "https:") }

// setCookie sets one that ends with the browser; an empty value removes it.
func (b Browser) setCookie(w http.ResponseWriter, name, value string) {
	cookie := &http.Cookie{
		Name: b.cookieName(name), Value: value, Path: "/", Secure: b.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

const (
	browserCookie = "oauth_browser"
	browserBytes  = 16 // of what is in it
)

// browser returns what is in the cookie, and sets it if there is none.
func (b Browser) browser(w http.ResponseWriter, r *http.Request) string {
	if value, ok := b.cookie(r, browserCookie); ok {
		if text, err := base64.RawURLEncoding.DecodeString(value); err == nil && len(text) == browserBytes {
			return value
		}
	}
	random := make([]byte, browserBytes)
	rand.Read(random) // never fails
	value := base64.RawURLEncoding.EncodeToString(random)
	b.setCookie(w, browserCookie, value)
	return value
}

// pageLife is how long a person may take to answer a page.
const pageLife = 30 * time.Minute

// shown is what every page that is sent back has sealed in it.
type shown struct {
	Browser string    `json:"browser"` // the cookie of the browser that it was shown to
	Expires time.Time `json:"exp"`
}

// show returns what is to be sealed into a page.
func (b Browser) show(w http.ResponseWriter, r *http.Request) shown {
	return shown{b.browser(w, r), b.Now().Add(pageLife)}
}

// at is when the page was shown.
func (s shown) at() time.Time { return s.Expires.Add(-pageLife) }

// hold refuses a page that is too old, or was shown to another browser.
func (b Browser) hold(r *http.Request, s shown) error {
	value, ok := b.cookie(r, browserCookie)
	switch {
	case !b.Now().Before(s.Expires):
		return tokenep.InvalidRequest.Describe("this page is too old")
	case !ok, subtle.ConstantTimeCompare([]byte(value), []byte(s.Browser)) != 1:
		return tokenep.InvalidRequest.Describe("this page was shown to another browser, or cookies are off")
	}
	return nil
}

// open reads what was sealed for a use into v, which has what is in s.
func (b Browser) open(r *http.Request, use, sealed string, v any, s *shown) error {
	if err := b.Seals.open(use, sealed, v); err != nil {
		return tokenep.InvalidRequest.Describe("this page is not of this server").Because(err)
	}
	return b.hold(r, *s)
}

// fromElsewhere refuses a form of which a browser says that a page of another origin has sent it
// (Fetch Metadata §2.4). It says no Origin: the pages have the policy no-referrer, with which that
// is null.
func fromElsewhere(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return tokenep.InvalidRequest.Describe("this page was sent by a page of another site")
	}
	return nil
}

// sameOrigin reports whether a request comes from a page of the issuer's origin, by what a browser
// says of it, and else whether no page of another origin can have sent it.
func (b Browser) sameOrigin(r *http.Request, isJSON bool) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		issuer, err := url.Parse(b.Issuer)
		return err == nil && tokenep.SameResource(origin, issuer.Scheme+"://"+issuer.Host)
	}
	return isJSON
}

// maxQuery bounds what is moved from a form to a query, in bytes: RFC 9110 §4.1 wants 8000 of a URI
// to be understood everywhere.
const maxQuery = 7000

// again has a browser send a form once more, by GET, and reports whether it does. That is for one
// of another site, as OpenID Connect Core §3.1.2.1 allows them: with a POST from there our cookies
// do not go (SameSite=Lax), so that nobody knows who is there, and a new cookie would end what is
// open in other tabs; with a GET they do.
func (b Browser) again(w http.ResponseWriter, r *http.Request, endpoint string, form *tokenep.Form, names []string) bool {
	_, known := b.cookie(r, browserCookie)
	_, signedIn := b.cookie(r, sessionCookie)
	query := form.Query(names)
	if r.Method != http.MethodPost || known || signedIn || b.sameOrigin(r, true) || query == "" || len(query) > maxQuery {
		return false
	}
	seeOther(w, b.PathOf(endpoint)+"?"+query)
	return true
}

// maxLocales bounds ui_locales, in bytes. Of more, no page reads anything.
const maxLocales = 256

// inLanguage returns a request with the languages that a client has asked for elsewhere than in its
// URL, where pages look for them.
func inLanguage(r *http.Request, locales string) *http.Request {
	if locales == "" || len(locales) > maxLocales {
		return r
	}
	query := r.URL.Query()
	query.Set("ui_locales", locales)
	u, in := *r.URL, *r
	u.RawQuery = query.Encode()
	in.URL = &u
	return &in
}

// to returns where another page is, in the language that a client has asked for (OpenID Connect
// Core §3.1.2.1: ui_locales).
func (b Browser) to(r *http.Request, endpoint string, values ...parameter) string {
	if asked := r.URL.Query().Get("ui_locales"); asked != "" && len(asked) <= maxLocales {
		values = append(values, parameter{"ui_locales", asked})
	}
	return redirectTo(b.PathOf(endpoint), values)
}

// seeOther sends the browser on. The status is 303, so that a form is not sent on (RFC 9700
// §4.12).
func seeOther(w http.ResponseWriter, to string) {
	page.Headers(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// onPage shows the person why nothing goes on.
func (b Browser) onPage(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, err error) {
	o.Err = tokenep.AsError(err)
	o.Page = rand.Text()[:10]
	b.Pages.Show(w, r, o.Err.Status, page.Error{
		Description: o.Err.Description, Retry: o.Err.Code == tokenep.TemporarilyUnavailable, ID: o.Page,
	})
}

// describe returns what pages say of a client.
func describe(c *tokenep.Client) page.Client {
	shown := page.Client{Name: c.ID, SelfRegistered: c.SelfRegistered, Policy: c.PolicyURI, TOS: c.TOSURI, Logo: logo(c)}
	if c.Name != "" {
		shown.Name = c.Name
	}
	if c.SelfRegistered {
		shown.Home = c.URI
	}
	return shown
}

// logo returns the logo of a client, unless it says itself what it is: then it may be anybody's.
func logo(c *tokenep.Client) string {
	if c.SelfRegistered {
		return ""
	}
	return c.LogoURI
}
