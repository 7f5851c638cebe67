package oauthserver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

var errRecheck = errors.New("the time must be 1s or more; off for never")

// UsersNamespace is the namespace of the modules that know people and their passwords. Each is an
// Extension that calls AddUsers.
const UsersNamespace = "oauth_server.users"

// addUsers loads the users module, and has it add to the configuration.
func (s *AuthorizationServer) addUsers(ctx caddy.Context, c *server.Config) error {
	c.PasswordGrant = s.PasswordGrant
	s.warnPasswords(c.Logger)
	if s.UsersRaw == nil {
		return nil
	}
	if err := addModule(ctx, c, s.UsersRaw, func(ctx caddy.Context) (any, error) { return ctx.LoadModule(s, "UsersRaw") }); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	return nil
}

// AddUsers adds a source of users to the configuration, and the claims that it knows. A claim that
// the identity of the server has too must have the same scope-token.
func AddUsers(c *server.Config, source *tokenep.UserSource, claims tokenep.ClaimSources) error {
	if err := claims.Validate(); err != nil {
		return err
	}
	all := maps.Clone(claims.Claims())
	for name, scope := range c.UserClaims {
		if all == nil {
			all = make(tokenep.UserClaims)
		}
		if other := all[name]; other != "" && other != scope {
			return fmt.Errorf("claim %s: it has the scope-token %s here, and %s under identity", name, other, scope)
		}
		all[name] = scope
	}
	c.Users, c.UserClaims = source, all
	for _, claim := range []string{"auth_time", "amr"} { // see tokenep.Passwords
		if !slices.Contains(c.SignIn, claim) {
			c.SignIn = append(c.SignIn, claim)
		}
	}
	return nil
}

// checkUsers returns what is wrong with the users, before their module is loaded.
func (s *AuthorizationServer) checkUsers() error {
	if s.PasswordGrant && s.UsersRaw == nil {
		return errors.New("password_grant needs users, whose passwords are checked: add users")
	}
	for _, c := range s.Clients {
		if c != nil && c.May(grant.PasswordType) && !s.PasswordGrant {
			return fmt.Errorf("client %q has the grant password, and the oauth_server does not offer it: "+
				"add password_grant, or remove the grant", c.ID)
		}
	}
	return nil
}

// warnPasswords logs what RFC 9700 says of the password grant.
func (s *AuthorizationServer) warnPasswords(logger *slog.Logger) {
	if !s.PasswordGrant {
		return
	}
	var clients []string
	for _, c := range s.Clients {
		if c.May(grant.PasswordType) {
			clients = append(clients, c.ID)
		}
	}
	logger.Warn("password_grant: clients see the passwords of users, which RFC 9700 section 2.4 says must not be; "+
		"move them to authorization_code", "clients", clients)
}
