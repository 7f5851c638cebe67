package httpcheck

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// The places of Options.Send.
const (
	Form  = "form"  // application/x-www-form-urlencoded
	JSON  = "json"  // a JSON object
	Basic = "basic" // the header Authorization (RFC 7617); there is no body
)

// Options say what is asked, and what the answers mean.
type Options struct {
	URL    string      // of the login
	Method string      // default: POST
	Send   string      // where name and password go: Form, JSON or Basic; default: Form
	Header http.Header // further fields of each request

	NameField     string // default: username
	PasswordField string // default: password

	Yes []outbound.Rule // default: status 200 and 204
	No  []outbound.Rule // default: status 401 and 403

	// Subject is the member of the answer that is the person's subject: a text, or a whole number.
	// Members of members have dots between them. Empty: the name as it was typed, where
	// SubjectAsTyped says so.
	Subject string

	// SubjectAsTyped takes the name as it was typed for the subject. A login that tells no upper
	// from lower case then has several subjects for one person.
	SubjectAsTyped bool

	// Claims are read from the members of a good answer.
	Claims tokenep.ClaimSources

	// Find is a URL with {subject} in it that says whether there still is such a person, by GET;
	// status 200 is yes. Empty: nobody can be asked.
	Find string
	Gone []outbound.Rule // what means no there; default: status 404 and 410

	Recheck  time.Duration  // see tokenep.UserSource
	Timeout  time.Duration  // of each request; default: outbound.DefaultTimeout
	Requests int            // at once; default: outbound.DefaultRequests
	Roots    *x509.CertPool // of the server's certificate; nil: those of the system

	InsecureHTTP bool // the URLs may be http also where the host is not this machine
}

// SubjectPlace is where the subject goes in Options.Find.
const SubjectPlace = "{subject}"

// complete fills in the defaults.
func (o *Options) complete() {
	o.Method, o.Send = cmp.Or(o.Method, http.MethodPost), cmp.Or(o.Send, Form)
	o.NameField, o.PasswordField = cmp.Or(o.NameField, "username"), cmp.Or(o.PasswordField, "password")
	connection := o.connection()
	connection.Complete()
	o.Timeout, o.Requests = connection.Timeout, connection.Requests
	for rules, statuses := range map[*[]outbound.Rule][]int{&o.Yes: {200, 204}, &o.No: {401, 403}, &o.Gone: {404, 410}} {
		if len(*rules) == 0 {
			*rules = outbound.Statuses(statuses...)
		}
	}
}

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	if err := o.ValidateParts(); err != nil {
		return err
	}
	if err := cmp.Or(outbound.CheckURL("url", o.URL), o.checkScheme("url", o.URL), o.checkScheme("find", o.Find)); err != nil {
		return err
	}
	if (o.Subject == "") == !o.SubjectAsTyped {
		return errSubject
	}
	if o.SubjectAsTyped && len(o.Yes) == 0 {
		return errYes
	}
	o.complete()
	if err := outbound.CheckExclusive(o.Yes, o.No); err != nil {
		return err
	}
	for _, gone := range o.Gone {
		if slices.Contains(gone.Statuses, http.StatusOK) && gone.Member == "" {
			return errors.New("gone: status 200 means that the person is there; write a member and its value behind it, such as gone 200 active=false")
		}
	}
	return nil
}

var errYes = errors.New("subject_as_typed: nothing in the answer says who it is about, and many logins answer a wrong password with 200: " +
	"write which answers mean yes, such as yes 302, or yes 200 success=true")

var errSubject = errors.New("nothing says who a person is: write subject <member> for the member of the answer that never changes, " +
	"or subject_as_typed if the login tells upper from lower case, and not both")

// ValidateParts returns what is wrong with one of the options, whatever others say.
func (o Options) ValidateParts() error {
	o.complete()
	switch {
	case o.Send != Form && o.Send != JSON && o.Send != Basic:
		return fmt.Errorf("send %q: name and password can go by %s, %s or %s", o.Send, Form, JSON, Basic)
	case o.Send != Basic && (o.Method == http.MethodGet || o.Method == http.MethodHead):
		return fmt.Errorf("method %s: it has no body for a password, and a URL is no place for one; write POST, or send basic above it", o.Method)
	case o.NameField == o.PasswordField:
		return fmt.Errorf("name and password have the same field %q", o.NameField)
	}
	return cmp.Or(outbound.CheckMethod(o.Method), o.connection().Validate(),
		outbound.CheckRules("yes", o.Yes), outbound.CheckRules("no", o.No), outbound.CheckRules("gone", o.Gone),
		o.Claims.Validate(), o.checkFind())
}

// connection returns how requests are made.
func (o Options) connection() outbound.Options {
	return outbound.Options{Timeout: o.Timeout, Requests: o.Requests, Roots: o.Roots}
}

func (o Options) checkFind() error {
	if o.Find == "" {
		return nil
	}
	switch before, _, found := strings.Cut(o.Find, SubjectPlace); {
	case !found || strings.Count(o.Find, SubjectPlace) > 1:
		return fmt.Errorf("find %q: it must have %s once, where the subject goes", o.Find, SubjectPlace)
	case strings.Count(before, "/") < 3:
		return fmt.Errorf("find %q: the subject must be in the path or the query", o.Find)
	}
	return outbound.CheckURL("find", strings.Replace(o.Find, SubjectPlace, "x", 1))
}

// checkScheme holds a URL to https, unless nobody can listen.
func (o Options) checkScheme(option, text string) error {
	if o.InsecureHTTP {
		return nil
	}
	return outbound.CheckScheme(option, text, "passwords")
}
