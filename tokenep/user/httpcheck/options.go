package httpcheck

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
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

	Yes []Rule // default: status 200 and 204
	No  []Rule // default: status 401 and 403

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
	Gone []Rule // what means no there; default: status 404 and 410

	Recheck  time.Duration  // see tokenep.UserSource
	Timeout  time.Duration  // of each request; default: DefaultTimeout
	Requests int            // at once; default: DefaultRequests
	Roots    *x509.CertPool // of the server's certificate; nil: those of the system

	InsecureHTTP bool // the URLs may be http also where the host is not this machine
}

// Defaults and bounds of Options.
const (
	DefaultTimeout  = 5 * time.Second
	MaxTimeout      = time.Minute
	DefaultRequests = 16
	MaxRequests     = 1024
)

// Rule says which answers mean something: those of a status, and with a value of a member of their
// JSON if Member is not empty.
type Rule struct {
	Statuses []int
	Member   string
	Value    string
}

// SubjectPlace is where the subject goes in Options.Find.
const SubjectPlace = "{subject}"

// complete fills in the defaults.
func (o *Options) complete() {
	o.Method, o.Send = cmp.Or(o.Method, http.MethodPost), cmp.Or(o.Send, Form)
	o.NameField, o.PasswordField = cmp.Or(o.NameField, "username"), cmp.Or(o.PasswordField, "password")
	o.Timeout, o.Requests = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Requests, DefaultRequests)
	for rules, statuses := range map[*[]Rule][]int{&o.Yes: {200, 204}, &o.No: {401, 403}, &o.Gone: {404, 410}} {
		if len(*rules) == 0 {
			*rules = []Rule{{Statuses: statuses}}
		}
	}
}

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	if err := o.ValidateParts(); err != nil {
		return err
	}
	if err := cmp.Or(CheckURL("url", o.URL), o.checkScheme("url", o.URL), o.checkScheme("find", o.Find)); err != nil {
		return err
	}
	if (o.Subject == "") == !o.SubjectAsTyped {
		return errSubject
	}
	if o.SubjectAsTyped && len(o.Yes) == 0 {
		return errYes
	}
	o.complete()
	for _, yes := range o.Yes {
		for _, no := range o.No {
			if err := excludes(yes, no); err != nil {
				return err
			}
		}
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

// excludes refuses two rules that one answer can follow.
func excludes(yes, no Rule) error {
	shared := slices.IndexFunc(yes.Statuses, func(status int) bool { return slices.Contains(no.Statuses, status) })
	switch {
	case shared < 0:
	case yes.Member == "" || no.Member == "":
		return fmt.Errorf("status %d means both yes and no; write a member and its value behind each, such as yes 200 success=true", yes.Statuses[shared])
	case yes.Member == no.Member && yes.Value == no.Value:
		return fmt.Errorf("status %d with %s=%s means both yes and no", yes.Statuses[shared], yes.Member, yes.Value)
	}
	return nil
}

var method = regexp.MustCompile(`^[A-Z]{1,20}$`)

// ValidateParts returns what is wrong with one of the options, whatever others say.
func (o Options) ValidateParts() error {
	o.complete()
	switch {
	case !method.MatchString(o.Method):
		return fmt.Errorf("method %q: it must be in capital letters, such as POST", o.Method)
	case o.Send != Form && o.Send != JSON && o.Send != Basic:
		return fmt.Errorf("send %q: name and password can go by %s, %s or %s", o.Send, Form, JSON, Basic)
	case o.Send != Basic && (o.Method == http.MethodGet || o.Method == http.MethodHead):
		return fmt.Errorf("method %s: it has no body for a password, and a URL is no place for one; write POST, or send basic above it", o.Method)
	case o.NameField == o.PasswordField:
		return fmt.Errorf("name and password have the same field %q", o.NameField)
	case o.Requests < 1 || o.Requests > MaxRequests:
		return fmt.Errorf("requests: the number must be 1 to %d; it is %d", MaxRequests, o.Requests)
	}
	if err := CheckTimeout(o.Timeout); err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	for name, rules := range map[string][]Rule{"yes": o.Yes, "no": o.No, "gone": o.Gone} {
		for _, rule := range rules {
			if len(rule.Statuses) == 0 {
				return fmt.Errorf("%s: a rule must have a status", name)
			}
			if i := slices.IndexFunc(rule.Statuses, func(status int) bool { return status < 200 || status > 599 }); i >= 0 {
				return fmt.Errorf("%s: %d is no status of an answer; they are 200 to 599", name, rule.Statuses[i])
			}
		}
	}
	return cmp.Or(o.Claims.Validate(), o.checkFind())
}

// CheckTimeout returns what is wrong with Options.Timeout.
func CheckTimeout(d time.Duration) error {
	if d < 100*time.Millisecond || d > MaxTimeout {
		return fmt.Errorf("it must be 100ms to %s; it is %s", MaxTimeout, d)
	}
	return nil
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
	return CheckURL("find", strings.Replace(o.Find, SubjectPlace, "x", 1))
}

// CheckURL returns what is wrong with a URL, whether or not http is allowed. The error does not
// show it, since what is wrong may be a password.
func CheckURL(option, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%s: it must be an https URL without user name and fragment", option)
	}
	return nil
}

// checkScheme holds a URL to https, unless nobody can listen.
func (o Options) checkScheme(option, text string) error {
	u, err := url.Parse(text)
	if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) && !o.InsecureHTTP {
		err = fmt.Errorf("%s %q: passwords would cross the network in clear; write https, or insecure_http where nobody can listen", option, text)
	}
	return err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
