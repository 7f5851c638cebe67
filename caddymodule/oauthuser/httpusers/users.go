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
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/user/httpcheck"
	"github.com/tokenep/caddy-tokenep/verify"
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
	remote.Connection

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
	Yes []remote.Rule `json:"yes,omitempty"`

	// Which answers mean that they are not. Default: status 401 and 403.
	No []remote.Rule `json:"no,omitempty"`

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
	Gone []remote.Rule `json:"gone,omitempty"`

	// How long what is known of a person is believed before find is asked again; negative for
	// always. Default: 5m.
	Recheck caddy.Duration `json:"recheck,omitempty"`

	// Send passwords over http to another machine. Default: false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	check *httpcheck.Check
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
	if o.Header, err = remote.ResolveFields(c.Logger, "http", u.Header); err != nil {
		return err
	}
	connection, err := u.Connection.Resolve("http")
	if err != nil {
		return err
	}
	o.Roots = connection.Roots
	if u.check, err = httpcheck.New(o); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	if u.InsecureHTTP {
		c.Logger.Warn("insecure_http: passwords cross the network in clear on the way to the login", "url", verify.ShownURL(o.URL))
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
		Yes: remote.Rules(u.Yes), No: remote.Rules(u.No), Gone: remote.Rules(u.Gone), Find: u.Find,
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
		if err := remote.CheckField(name); err != nil {
			return err
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
