package oauthserver

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// parseRegistration reads how clients register themselves. Syntax:
//
//	registration {
//	    open
//	    initial_access_token <token> | {env.<name>} | {file.<path>} …
//	    grants        authorization_code | refresh_token | client_credentials …
//	    scope         <scope tokens…>
//	    audience      <values…>
//	    redirect_uris <patterns…>
//	    unused        <duration>
//	    management
//	}
//
// It has either open or initial_access_token, which may be repeated. A literal token is hashed
// right here.
func (s *AuthorizationServer) parseRegistration(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("registration takes no argument")
	}
	r := new(ClientRegistration)
	s.Registration = r
	block := *d // stays where the block begins
	if err := adapt.Block(d, func(option string) error { return r.parseOption(d, option) }, "initial_access_token"); err != nil {
		return err
	}
	return adapt.Located(&block, r.check())
}

func (r *ClientRegistration) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "open":
		return adapt.Flag(d, &r.Open)
	case "initial_access_token":
		return r.parseInitialAccessTokens(d)
	case "grants":
		return adapt.Some(d, &r.GrantTypes, func(names []string) error { return adapt.CheckNames(names, "grants", adapt.Line(option)) })
	case "scope":
		return r.parseScope(d)
	case "audience":
		return adapt.Audience(d, &r.Audience)
	case "redirect_uris":
		return adapt.Some(d, &r.RedirectURIs, func(uris []string) error { return adapt.CheckRedirectURIs(uris, adapt.Line(option)) })
	case "unused":
		return adapt.Duration(d, &r.Unused, server.CheckUnused)
	case "management":
		return adapt.Flag(d, &r.Management)
	default:
		return adapt.Unknown(d)
	}
}

// parseInitialAccessTokens never puts a word of its line into an error.
func (r *ClientRegistration) parseInitialAccessTokens(d *caddyfile.Dispenser) error {
	var values []string
	if err := adapt.Some(d, &values); err != nil {
		return err
	}
	for _, value := range values {
		if !secretPlaceholder.MatchString(value) {
			var err error
			if value, err = hashInitialAccessToken(value); err != nil {
				return d.WrapErr(err)
			}
		}
		r.InitialAccessTokens = append(r.InitialAccessTokens, value)
	}
	return nil
}

func (r *ClientRegistration) parseScope(d *caddyfile.Dispenser) error {
	var tokens []string
	err := adapt.Some(d, &tokens, func(tokens []string) error { return adapt.CheckScope(tokens, adapt.Line("scope")) })
	if err != nil {
		return err
	}
	if r.Scope, err = verify.ParseScope(strings.Join(tokens, " ")); err != nil {
		return d.Errf("scope: %w", err)
	}
	return nil
}
