package directory

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Options say what is asked of a directory.
type Options struct {
	// URLs are those of the servers, which have the same entries: ldaps://host[:port], or
	// ldap://host[:port] for StartTLS (RFC 4513 §3). The first one that can be reached is asked.
	URLs []string

	Bind     string         // whom to search as; empty: nobody in particular
	Password string         // of Bind
	Roots    *x509.CertPool // of the servers' certificates; nil: those of the system

	Base   string // the entry below which people are
	Filter string // of people (RFC 4515); NamePlace is the name that was typed

	// Subject is the attribute that is the person's subject; default: uid. It must have one value.
	Subject string

	// Claims are read from the attributes of the entry, and GroupsAttribute.
	Claims tokenep.ClaimSources

	Groups *Groups // nil: nothing is searched

	Recheck  time.Duration // see tokenep.UserSource
	Timeout  time.Duration // of all that is asked at a sign-in; default: DefaultTimeout
	Requests int           // at once; default: DefaultRequests

	InsecurePlain bool // ldap:// without TLS: passwords cross the network in clear
}

// Groups says how to find the groups of a person, where no attribute of the entry names them.
type Groups struct {
	Base      string // the entry below which groups are
	Filter    string // of groups; DNPlace is the person's entry, and NamePlace the subject
	Attribute string // of a group, which names it; default: cn
}

// GroupsAttribute is where claims find what the search for groups has found.
const GroupsAttribute = "groups"

// What filters have in the place of what is searched for. It is escaped there (RFC 4515 §3).
const (
	NamePlace = "{name}"
	DNPlace   = "{dn}"
)

// Defaults and bounds of Options.
const (
	DefaultTimeout  = 5 * time.Second
	MaxTimeout      = time.Minute
	DefaultRequests = 16
	MaxRequests     = 1024
)

// complete fills in the defaults.
func (o *Options) complete() {
	o.Subject = cmp.Or(o.Subject, "uid")
	o.Timeout, o.Requests = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Requests, DefaultRequests)
	if o.Groups != nil {
		groups := *o.Groups // it is not ours
		groups.Attribute = cmp.Or(groups.Attribute, "cn")
		o.Groups = &groups
	}
}

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	if err := o.ValidateParts(); err != nil {
		return err
	}
	o.complete()
	fromGroups := slices.ContainsFunc(o.Claims, func(c tokenep.ClaimSource) bool { return c.From == GroupsAttribute })
	switch {
	case len(o.URLs) == 0:
		return errors.New("there is no URL, such as ldaps://ldap.example.com")
	case o.Base == "":
		return errors.New("base is missing: the entry below which people are, such as ou=people,dc=example,dc=com")
	case o.Filter == "":
		return fmt.Errorf("filter is missing: of people, such as (&(objectClass=person)(uid=%s))", NamePlace)
	case o.Groups != nil && !fromGroups:
		return fmt.Errorf("groups: no claim tells them; write claim <name> %s <scope token>", GroupsAttribute)
	}
	for _, text := range o.URLs {
		if u, err := url.Parse(text); err == nil && u.Scheme == "ldaps" && o.InsecurePlain {
			return fmt.Errorf("insecure_plain is for ldap://, and %s is encrypted", text)
		}
	}
	return nil
}

// attribute matches the description of an attribute (RFC 4512 §2.5).
var attribute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*$`)

// ValidateParts returns what is wrong with one of the options, whatever others say.
func (o Options) ValidateParts() error {
	o.complete()
	for _, text := range o.URLs {
		if err := CheckURL(text); err != nil {
			return err
		}
	}
	switch {
	case o.Bind != "" && o.Password == "":
		// RFC 4513 §5.1.2: without a password it would succeed, and prove nothing.
		return errors.New("bind: the password is missing")
	case !attribute.MatchString(o.Subject):
		return fmt.Errorf("subject %q: it must be the name of an attribute, such as uid or entryUUID", o.Subject)
	case o.Requests < 1 || o.Requests > MaxRequests:
		return fmt.Errorf("requests: the number must be 1 to %d; it is %d", MaxRequests, o.Requests)
	}
	for _, c := range o.Claims {
		if !attribute.MatchString(c.From) {
			return fmt.Errorf("claim %s: %q is not the name of an attribute", c.Name, c.From)
		}
	}
	if err := CheckTimeout(o.Timeout); err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	return cmp.Or(checkBase("base", o.Base), checkFilter("filter", o.Filter, NamePlace), o.Groups.validate(), o.Claims.Validate())
}

// CheckTimeout returns what is wrong with Options.Timeout.
func CheckTimeout(d time.Duration) error {
	if d < 100*time.Millisecond || d > MaxTimeout {
		return fmt.Errorf("it must be 100ms to %s; it is %s", MaxTimeout, d)
	}
	return nil
}

// CheckURL returns what is wrong with the URL of a server. The error does not show it, since what
// is wrong may be a password.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the URL must be ldaps://host or ldap://host, with a port if it is not the usual one, and nothing else")
	}
	return nil
}

func checkBase(option, base string) error {
	if base == "" {
		return nil
	}
	if _, err := ldap.ParseDN(base); err != nil {
		return fmt.Errorf("%s %q: it must be a distinguished name (RFC 4514), such as ou=people,dc=example,dc=com", option, base)
	}
	return nil
}

// checkFilter compiles a filter with something in the places, and with the presence that asks for
// any name.
func checkFilter(option, filter string, places ...string) error {
	if filter == "" {
		return nil
	}
	if !slices.ContainsFunc(places, func(place string) bool { return strings.Contains(filter, place) }) {
		return fmt.Errorf("%s %q: it must have %s, where the name goes", option, filter, strings.Join(places, " or "))
	}
	if !compares(filter, places) {
		return fmt.Errorf("%s %q: the name must be compared by =, as in (uid=%s): else it finds whom nobody has named", option, filter, NamePlace)
	}
	for _, value := range []string{"x", "*"} {
		if _, err := ldap.CompileFilter(fill(filter, value, value)); err != nil {
			return fmt.Errorf("%s %q: it must be a filter (RFC 4515), such as (uid=%s): %w", option, filter, NamePlace, err)
		}
	}
	return nil
}

// equality matches what stands before a place: an attribute, and = (RFC 4515 §3).
var equality = regexp.MustCompile(`^ *[A-Za-z0-9][A-Za-z0-9.;-]*=[^*]*$`)

// compares reports whether places are in assertions of equality only. A parenthesis in the value of
// one would be escaped, so that the last one is where it begins.
func compares(filter string, places []string) bool {
	for _, place := range places {
		for parts := strings.Split(filter, place); len(parts) > 1; parts = parts[1:] {
			end, _, _ := strings.Cut(parts[1], ")")
			whole := parts[0][strings.LastIndexByte(parts[0], '(')+1:]
			if !equality.MatchString(whole) || strings.Contains(end, "*") {
				return false
			}
			parts[1] = parts[0] + place + parts[1]
		}
	}
	return true
}

// fill puts values, which are escaped, into the places of a filter: at once, so that one value has
// no place for the other.
func fill(filter, name, dn string) string {
	return strings.NewReplacer(NamePlace, name, DNPlace, dn).Replace(filter)
}

func (g *Groups) validate() error {
	switch {
	case g == nil:
		return nil
	case g.Base == "" || g.Filter == "":
		return fmt.Errorf("groups: there must be a base and a filter, such as ou=groups,dc=example,dc=com (member=%s)", DNPlace)
	case !attribute.MatchString(g.Attribute):
		return fmt.Errorf("groups: %q is not the name of an attribute", g.Attribute)
	}
	return cmp.Or(checkBase("groups", g.Base), checkFilter("groups", g.Filter, DNPlace, NamePlace))
}
