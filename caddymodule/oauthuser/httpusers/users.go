package httpusers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/user/httpcheck"
)

func init() { caddy.RegisterModule(new(Users)) }

// Users are the people of another application, such as the one behind the proxy: its own login is
// asked whether a name and a password are good, by one HTTP request. Redirects are not followed,
// and at most 64 KiB of an answer are read. An answer that means neither yes nor no, or none at
// all, is 503 to whoever signs in.
//
// The application sees all sign-ins come from here: what it does about guessing by address must
// leave this one out. This server limits guesses itself.
type Users struct {
	// The URL of the login, https; http is for hosts on this machine. Placeholders are resolved
	// when the configuration is loaded. Required.
	URL string `json:"url,omitempty"`

	// The method of the request. Default: POST.
	Method string `json:"method,omitempty"`

	// Where name and password go: form, as a browser sends them; json, an object with two texts; or
	// basic, the header Authorization (RFC 7617). Default: form.
	Send string `json:"send,omitempty"`

	// What the field with the name is called. Default: username.
	NameField string `json:"name_field,omitempty"`

	// What the field with the password is called. Default: password.
	PasswordField string `json:"password_field,omitempty"`

	// Further header fields of each request, such as a key by which the application knows this
	// server. Placeholders are resolved when the configuration is loaded. Default: none.
	Header map[string]string `json:"header,omitempty"`

	// Which answers mean that name and password are good. Default: status 200 and 204.
	Yes []Rule `json:"yes,omitempty"`

	// Which answers mean that they are not. Default: status 401 and 403.
	No []Rule `json:"no,omitempty"`

	// The member of the JSON of a good answer that is the sub of tokens: a text or a whole number
	// that never changes. Members of members are written with dots, such as data.user.id. Required,
	// unless subject_as_typed is set.
	Subject string `json:"subject,omitempty"`

	// Take the name as it was typed for sub. If the login tells no upper from lower case, one
	// person has several subs then. Default: false.
	SubjectAsTyped bool `json:"subject_as_typed,omitempty"`

	// What clients are told of a person: each claim, and which member of the answer it is. Default:
	// nothing.
	Claims tokenep.ClaimSources `json:"claims,omitempty"`

	// A URL with {subject} in it that says whether there still is such a person: status 200 is yes,
	// and with claims the answer has the same members as that of the login.
	// Default: the application cannot be asked.
	Find string `json:"find,omitempty"`

	// Which answers there mean that the person is gone or barred. Default: status 404 and 410.
	Gone []Rule `json:"gone,omitempty"`

	// How long what is known of a person is believed before find is asked again; negative for
	// always. Default: 5m.
	Recheck caddy.Duration `json:"recheck,omitempty"`

	// How long a request may take, 100ms to 1m. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many requests are made at once, 1 to 1024. Others wait for their turn, a few of each
	// address. Default: 16.
	Requests int `json:"requests,omitempty"`

	// A file of certificates (PEM) of the authorities for https. Default: those of the system.
	CA string `json:"ca,omitempty"`

	// Send passwords over http to another machine. Default: false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	check *httpcheck.Check
}

// Rule says which answers mean something.
type Rule struct {
	// The statuses, 200 to 599. Required.
	Statuses []int `json:"statuses,omitempty"`

	// A member of the JSON that such an answer must have. Default: none is looked at.
	Member string `json:"member,omitempty"`

	// The value that it must have: a text, a number, true or false. Default: the empty text.
	Value string `json:"value,omitempty"`
}

func rules(configured []Rule) []httpcheck.Rule {
	all := make([]httpcheck.Rule, len(configured))
	for i, r := range configured {
		all[i] = httpcheck.Rule{Statuses: r.Statuses, Member: r.Member, Value: r.Value}
	}
	return all
}

// CaddyModule returns the Caddy module information.
func (*Users) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.users.http",
		New: func() caddy.Module { return new(Users) },
	}
}

// Extend adds the people to a server. No request is made: the application need not be there for the
// configuration to load.
func (u *Users) Extend(c *server.Config) (err error) {
	if err := u.checkOptions(); err != nil {
		return err
	}
	o := u.options()
	if o.URL, err = adapt.Resolve("http: url", u.URL); err != nil {
		return err
	}
	if o.Find, err = resolveFind(u.Find); err != nil {
		return err
	}
	o.Header = make(http.Header)
	for name, value := range u.Header {
		if value, err = adapt.Resolve("http: header "+name, value); err != nil {
			return err
		}
		o.Header.Set(name, value)
	}
	if u.CA != "" {
		if o.Roots, err = oauthserver.ReadRoots("http: ca", u.CA); err != nil {
			return err
		}
	}
	if u.check, err = httpcheck.New(o); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	if u.InsecureHTTP {
		c.Logger.Warn("insecure_http: passwords cross the network in clear on the way to the login", "url", o.URL)
	}
	return oauthserver.AddUsers(c, u.check.Source(), u.Claims)
}

// Cleanup closes connections that wait for another request.
func (u *Users) Cleanup() error {
	if u.check != nil {
		u.check.Close()
	}
	return nil
}

// options returns the options before their placeholders are resolved.
func (u *Users) options() httpcheck.Options {
	return httpcheck.Options{
		URL: u.URL, Method: u.Method, Send: u.Send, NameField: u.NameField, PasswordField: u.PasswordField,
		Yes: rules(u.Yes), No: rules(u.No), Gone: rules(u.Gone), Find: u.Find,
		Subject: u.Subject, SubjectAsTyped: u.SubjectAsTyped, Claims: u.Claims,
		Recheck: oauthserver.Recheck(u.Recheck), Timeout: time.Duration(u.Timeout), Requests: u.Requests, InsecureHTTP: u.InsecureHTTP,
	}
}

// literal returns the options with something that is good in the place of placeholders.
func (u *Users) literal() httpcheck.Options {
	const somewhere = "https://any.invalid/"
	o := u.options()
	if !adapt.IsLiteral(o.URL) {
		o.URL = somewhere
	}
	if find := strings.Replace(o.Find, httpcheck.SubjectPlace, "", 1); find != "" && !adapt.IsLiteral(find) {
		o.Find = somewhere + httpcheck.SubjectPlace
	}
	return o
}

var errGone = errors.New("gone and recheck are about find, which says whether there still is such a person; add it")

// checkOptions refuses what would mean nothing.
func (u *Users) checkOptions() error {
	switch {
	case u.Find == "" && (len(u.Gone) > 0 || u.Recheck != 0):
		return errGone
	case u.Send == httpcheck.Basic && (u.NameField != "" || u.PasswordField != ""):
		return errors.New("send basic: name and password have no fields there")
	}
	if err := oauthserver.CheckRecheck(time.Duration(u.Recheck)); err != nil && u.Recheck != 0 {
		return fmt.Errorf("recheck: %w", err)
	}
	return u.checkHeader()
}

func (u *Users) checkHeader() error {
	for name := range u.Header {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
			return fmt.Errorf("header %q: that is no name of a header field", name)
		}
		if slices.Contains([]string{"Authorization", "Content-Type"}, http.CanonicalHeaderKey(name)) && u.Send == httpcheck.Basic {
			return fmt.Errorf("header %s: it has name and password with send basic", name)
		}
	}
	return nil
}

// resolveFind resolves what stands before and behind the place of the subject.
func resolveFind(find string) (string, error) {
	if find == "" {
		return "", nil
	}
	const place = "subject-place-of-the-url"
	resolved, err := adapt.Resolve("http: find", strings.Replace(find, httpcheck.SubjectPlace, place, 1))
	return strings.Replace(resolved, place, httpcheck.SubjectPlace, 1), err
}

// Interface guards
var (
	_ caddy.CleanerUpper    = (*Users)(nil)
	_ oauthserver.Extension = (*Users)(nil)
)
