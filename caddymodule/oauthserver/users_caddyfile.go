package oauthserver

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

// parseUsers reads where people and their passwords are known. Syntax:
//
//	users <module> …
//
// The module reads what follows its name.
func (s *AuthorizationServer) parseUsers(d *caddyfile.Dispenser) error {
	places := adapt.PlacesIn(d)
	if !d.NextArg() {
		return d.Err("users takes the name of a module, such as inline, htpasswd, http or ldap")
	}
	name := d.Val()
	module, err := adapt.Module(d, UsersNamespace, name)
	if err != nil {
		return err
	}
	s.UsersRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	places.Remember(s.UsersRaw, nil)
	return nil
}

// ParseClaim reads a line of a users module. Syntax:
//
//	claim <name> <attribute or member> [<scope token>]
//
// what is the second word of it, for errors.
func ParseClaim(d *caddyfile.Dispenser, into *tokenep.ClaimSources, what string) error {
	args := d.RemainingArgs()
	if len(args) != 2 && len(args) != 3 || slices.Contains(args, "") {
		return d.Errf("claim takes a name and %s, and a scope-token where no standard names one", what)
	}
	c := tokenep.ClaimSource{Name: args[0], From: args[1]}
	if len(args) == 3 {
		c.Scope = args[2]
	}
	*into = append(*into, c)
	return adapt.Located(d, into.Validate())
}

// ParseRecheck reads a line of a users module. Syntax:
//
//	recheck <duration> | off
func ParseRecheck(d *caddyfile.Dispenser, into *caddy.Duration) error {
	line := *d
	if args := line.RemainingArgs(); len(args) == 1 && args[0] == "off" {
		*d, *into = line, -1
		return nil
	}
	return adapt.Duration(d, into, CheckRecheck)
}

// CheckRecheck returns what is wrong with a recheck that is set.
func CheckRecheck(d time.Duration) error {
	if d < time.Second && d >= 0 {
		return errRecheck
	}
	return nil
}

// Recheck returns the recheck of a source on another machine.
func Recheck(d caddy.Duration) time.Duration {
	switch {
	case d < 0:
		return 0
	case d == 0:
		return tokenep.DefaultRecheck
	}
	return time.Duration(d)
}
