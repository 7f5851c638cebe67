package ldapusers

import (
	"cmp"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/user/directory"
)

// UnmarshalCaddyfile reads how the directory is asked. Syntax:
//
//	users ldap <urls…> {
//	    bind     <name> {env.<name>} | {file.<path>}
//	    base     <name>
//	    filter   <filter with {name}>
//	    subject  <attribute>
//	    claim    <name> <attribute> [<scope token>]
//	    groups   <base> <filter with {dn}> [<attribute>]
//	    recheck  <duration> | off
//	    timeout  <duration>
//	    requests <count>
//	    ca       <path>
//	    insecure_plain
//	}
//
// claim may be repeated.
func (u *Users) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if err := adapt.Some(d, &u.URLs, checkURLs); err != nil {
		return err
	}
	block := *d
	err := adapt.Block(d, func(option string) error {
		line := *d
		if err := u.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(&line, cmp.Or(u.checkOptions(), u.literal().ValidateParts()))
	}, "claim")
	if err != nil {
		return err
	}
	return adapt.Located(&block, u.literal().Validate())
}

func checkURLs(urls []string) error {
	for _, url := range urls {
		if err := directory.CheckURL(url); err != nil {
			return err
		}
	}
	return nil
}

func (u *Users) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "bind":
		return u.parseBind(d)
	case "base":
		return adapt.One(d, &u.Base)
	case "filter":
		return adapt.One(d, &u.Filter)
	case "subject":
		return adapt.One(d, &u.Subject)
	case "claim":
		return oauthserver.ParseClaim(d, &u.Claims, "an attribute")
	case "groups":
		return u.parseGroups(d)
	case "recheck":
		return oauthserver.ParseRecheck(d, &u.Recheck)
	case "timeout":
		return adapt.Duration(d, &u.Timeout, directory.CheckTimeout)
	case "requests":
		return adapt.Count(d, &u.Requests)
	case "ca":
		return adapt.One(d, &u.CA)
	case "insecure_plain":
		return adapt.Flag(d, &u.InsecurePlain)
	default:
		return adapt.Unknown(d)
	}
}

// parseBind never puts a word of its line into an error.
func (u *Users) parseBind(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("bind takes a name, and its password as {env.NAME} or {file./path}")
	}
	u.Bind, u.Password = args[0], args[1]
	return nil
}

func (u *Users) parseGroups(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 && len(args) != 3 || slices.Contains(args, "") {
		return d.Err("groups takes the entry below which groups are, a filter such as (member={dn}), and the attribute that names them if it is not cn")
	}
	u.Groups = &Groups{Base: args[0], Filter: args[1]}
	if len(args) == 3 {
		u.Groups.Attribute = args[2]
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Users)(nil)
