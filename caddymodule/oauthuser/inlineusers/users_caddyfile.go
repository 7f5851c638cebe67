package inlineusers

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
)

// UnmarshalCaddyfile reads the people. Syntax:
//
//	users inline {
//	    user <name> <hash> {
//	        <attribute> <values…>
//	    }
//	    claim <name> <attribute> [<scope token>]
//	}
//
// user and claim may be repeated.
func (u *Users) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if d.NextArg() {
		return d.Err("inline takes no argument; the people are in its block")
	}
	block := *d
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "user":
			return u.parseUser(d)
		case "claim":
			return oauthserver.ParseClaim(d, &u.Claims, "an attribute of the users")
		default:
			return adapt.Unknown(d)
		}
	}, "user", "claim")
	if err != nil {
		return err
	}
	return adapt.Located(&block, u.check())
}

// parseUser never puts a hash, which might be a password, into an error.
func (u *Users) parseUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("user takes a name, and a hash from caddy hash-password")
	}
	user := User{Name: args[0]}
	err := adapt.Located(d, u.checkName(user.Name, u.Users))
	if err != nil {
		return err
	}
	if user.Hash, err = oauthserver.CheckPasswordHash(args[1]); err != nil {
		return d.Errf("user %q: %w", user.Name, err)
	}
	err = adapt.Block(d, func(attribute string) error {
		if user.Attributes == nil {
			user.Attributes = make(map[string][]string)
		}
		values := d.RemainingArgs()
		if len(values) == 0 {
			return d.Errf("user %q: the attribute %s has no value", user.Name, attribute)
		}
		user.Attributes[attribute] = values
		return nil
	})
	u.Users = append(u.Users, user)
	return err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Users)(nil)
