package ldapusers

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/user/directory"
)

func init() { caddy.RegisterModule(new(Users)) }

// Users are the people of an LDAP directory, such as OpenLDAP or Active Directory: it is searched
// for the one entry with the name that was typed, and asked to bind as that entry with the
// password. Connections are encrypted. While the directory cannot be asked, whoever signs in gets
// 503.
type Users struct {
	// The servers, which have the same entries: ldaps://host[:port], or ldap://host[:port] for
	// StartTLS. The first one that can be reached is asked. Placeholders are resolved when the
	// configuration is loaded. Required.
	URLs []string `json:"urls,omitempty"`

	// The name to search as, such as cn=reader,dc=example,dc=com. Default: none, if the directory
	// lets anybody search.
	Bind string `json:"bind,omitempty"`

	// Its password: one placeholder, {env.NAME} or {file./path}. Required if there is a name.
	Password string `json:"password,omitempty"`

	// The entry below which people are, such as ou=people,dc=example,dc=com. Required.
	Base string `json:"base,omitempty"`

	// Which entries are people (RFC 4515), such as (&(objectClass=person)(uid={name})). {name} is
	// what was typed, escaped; it must be compared by =, and without an asterisk. Leave out whoever
	// is barred: what it does not find is gone. Required.
	Filter string `json:"filter,omitempty"`

	// The attribute that is the sub of tokens. It must have one value, which never changes and is
	// given to nobody else later: entryUUID is better where there is one. Default: uid.
	Subject string `json:"subject,omitempty"`

	// What clients are told of a person: each claim, and which attribute it is; "groups" is what
	// groups has found. Several values are a list. Default: nothing.
	Claims tokenep.ClaimSources `json:"claims,omitempty"`

	// How to find the groups of a person. Default: nothing is searched.
	Groups *Groups `json:"groups,omitempty"`

	// How long what is known of a person is believed before the directory is asked again; negative
	// for always. Default: 5m.
	Recheck caddy.Duration `json:"recheck,omitempty"`

	// How long all that is asked at one sign-in may take, 100ms to 1m. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many sign-ins ask at once, 1 to 1024. Others wait for their turn, a few of each address.
	// Default: 16.
	Requests int `json:"requests,omitempty"`

	// A file of certificates (PEM) of the authorities for TLS. Default: those of the system.
	CA string `json:"ca,omitempty"`

	// Use ldap:// without TLS: passwords cross the network in clear. Default: false.
	InsecurePlain bool `json:"insecure_plain,omitempty"`
}

// Groups is a search for the groups of a person.
type Groups struct {
	// The entry below which groups are. Required.
	Base string `json:"base,omitempty"`

	// Which groups are those of a person: {dn} is the name of the person's entry, and {name} the
	// subject. Required.
	Filter string `json:"filter,omitempty"`

	// The attribute of a group that names it. Default: cn.
	Attribute string `json:"attribute,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Users) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.users.ldap",
		New: func() caddy.Module { return new(Users) },
	}
}

// Extend adds the people to a server. Nothing is asked: the directory need not be there for the
// configuration to load.
func (u *Users) Extend(c *server.Config) (err error) {
	if err := u.checkOptions(); err != nil {
		return err
	}
	o := u.options()
	if o.URLs, err = adapt.ResolveAll("ldap: the URL", u.URLs, directory.CheckURL); err != nil {
		return err
	}
	if u.Bind != "" {
		if o.Bind, err = adapt.Resolve("ldap: bind", u.Bind); err != nil {
			return err
		}
		if o.Password, err = adapt.Resolve("ldap: the password of bind", u.Password); err != nil {
			return err
		}
	}
	if u.CA != "" {
		if o.Roots, err = remote.ReadRoots("ldap: ca", u.CA); err != nil {
			return err
		}
	}
	asked, err := directory.New(o)
	if err != nil {
		return fmt.Errorf("ldap: %w", err)
	}
	if u.InsecurePlain {
		c.Logger.Warn("insecure_plain: passwords cross the network in clear on the way to the directory", "urls", o.URLs)
	}
	return oauthserver.AddUsers(c, asked.Source(), u.Claims)
}

// options returns the options before their placeholders are resolved.
func (u *Users) options() directory.Options {
	o := directory.Options{
		URLs: u.URLs, Bind: u.Bind, Password: u.Password, Base: u.Base, Filter: u.Filter, Subject: u.Subject, Claims: u.Claims,
		Recheck: oauthserver.Recheck(u.Recheck), Timeout: time.Duration(u.Timeout), Requests: u.Requests, InsecurePlain: u.InsecurePlain,
	}
	if u.Groups != nil {
		o.Groups = &directory.Groups{Base: u.Groups.Base, Filter: u.Groups.Filter, Attribute: u.Groups.Attribute}
	}
	return o
}

// literal returns the options with something that is good in the place of placeholders.
func (u *Users) literal() directory.Options {
	o := u.options()
	urls := adapt.Literals(u.URLs)
	for len(urls) < len(u.URLs) {
		urls = append(urls, "ldap://any.invalid")
	}
	o.URLs = urls
	return o
}

var passwordPlaceholder = regexp.MustCompile(`^\{(?:env|file)\.[^{}]+\}$`)

var errPassword = errors.New("bind: the password must be one placeholder, {env.NAME} or {file./path}, since a configuration can be read by others")

// checkOptions refuses what only a configuration can get wrong. No error shows a password.
func (u *Users) checkOptions() error {
	if u.Bind != "" && !passwordPlaceholder.MatchString(u.Password) {
		return errPassword
	}
	if err := oauthserver.CheckRecheck(time.Duration(u.Recheck)); err != nil && u.Recheck != 0 {
		return fmt.Errorf("recheck: %w", err)
	}
	texts := []string{u.Subject}
	for _, c := range u.Claims {
		texts = append(texts, c.Name, c.From)
	}
	return cmp.Or(
		adapt.RefusePlaceholders("base", []string{u.Base}),
		adapt.RefusePlaceholders("filter", []string{u.Filter}),
		adapt.RefusePlaceholders("claim", texts),
	)
}

// Interface guard
var _ oauthserver.Extension = (*Users)(nil)
