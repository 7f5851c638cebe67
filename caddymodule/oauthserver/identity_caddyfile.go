package oauthserver

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// parsePeople reads the options for people who allow clients something.
func (s *AuthorizationServer) parsePeople(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "identity", "insecure_identity":
		return s.parseIdentity(d, option)
	case "users":
		return s.parseUsers(d)
	case "password_grant":
		return adapt.Flag(d, &s.PasswordGrant)
	case "require_par":
		return adapt.Flag(d, &s.RequirePAR)
	case "consent_page":
		return adapt.One(d, &s.ConsentPage, server.CheckConsentPage)
	case "refresh_tokens":
		return s.parseRefreshTokens(d)
	case "device_code":
		return s.parseDeviceCode(d)
	case "sessions":
		return s.parseSessions(d)
	case "pages":
		return s.parsePages(d)
	case "registration":
		return s.parseRegistration(d)
	case "openid":
		return adapt.Flag(d, &s.OpenID)
	default:
		return adapt.Unknown(d)
	}
}

// parseIdentity reads who a user is, and what else is known. Syntax:
//
//	identity [<placeholder>] {
//	    auth_time <placeholder>
//	    acr       <placeholder>
//	    amr       <placeholder>
//	    claim     <name> <placeholder> [<scope token>]
//	}
//
// insecure_identity, which must have its placeholder, is written likewise. claim may be repeated.
func (s *AuthorizationServer) parseIdentity(d *caddyfile.Dispenser, option string) error {
	into := &s.Identity
	if option == "insecure_identity" {
		into = &s.InsecureIdentity
	}
	line := *d
	if args := line.RemainingArgs(); len(args) == 0 && option == "identity" {
		*into = defaultIdentity
	} else if err := adapt.One(d, into); err != nil {
		return err
	}
	if err := adapt.Located(d, s.checkIdentity()); err != nil {
		return err
	}
	return s.parseUser(d)
}

// parseUser reads the block of an identity, if it has one; see parseIdentity for the syntax.
func (s *AuthorizationServer) parseUser(d *caddyfile.Dispenser) error {
	block := *d
	u := new(UserAttributes)
	read := func(option string) error {
		s.User = u
		switch option {
		case "auth_time":
			return adapt.One(d, &u.AuthTime)
		case "acr":
			return adapt.One(d, &u.ACR)
		case "amr":
			return adapt.One(d, &u.AMR)
		case "claim":
			args := d.RemainingArgs()
			if len(args) != 2 && len(args) != 3 || slices.Contains(args, "") {
				return d.Err("claim takes a name and a placeholder, and a scope-token where no standard names one")
			}
			c := UserClaim{Name: args[0], Value: args[1]}
			if len(args) == 3 {
				c.Scope = args[2]
			}
			u.Claims = append(u.Claims, c)
			return adapt.Located(d, s.checkUser())
		default:
			return adapt.Unknown(d)
		}
	}
	if err := adapt.Block(d, read, "claim"); err != nil {
		return err
	}
	return adapt.Located(&block, s.checkUser())
}

// parseRefreshTokens reads the rules for refresh tokens. Syntax:
//
//	refresh_tokens {
//	    rotation public | always | never
//	    grace    <duration> | off
//	    idle     <duration>
//	    absolute <duration>
//	}
func (s *AuthorizationServer) parseRefreshTokens(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("refresh_tokens takes no argument")
	}
	t := new(RefreshTokens)
	s.RefreshTokens = t
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "rotation":
			return adapt.Choice(d, &t.Rotation, string(grant.RotatePublic), string(grant.RotateAlways), string(grant.RotateNever))
		case "grace":
			return parseGrace(d, &t.Grace)
		case "idle":
			return adapt.Duration(d, &t.Idle, checkRefreshLife)
		case "absolute":
			return adapt.Duration(d, &t.Absolute, checkRefreshLife)
		default:
			return adapt.Unknown(d)
		}
	})
	if err != nil {
		return err
	}
	return adapt.Located(&block, t.check())
}

// parseGrace reads "grace <duration>" and "grace off".
func parseGrace(d *caddyfile.Dispenser, into *caddy.Duration) error {
	line := *d
	if args := line.RemainingArgs(); len(args) == 1 && args[0] == "off" {
		*d, *into = line, -1
		return nil
	}
	return adapt.Duration(d, into, func(grace time.Duration) error {
		if grace == 0 { // the default, in JSON
			return errGraceZero
		}
		return nil
	})
}
