package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Registration says who may register clients dynamically (RFC 7591), and what these may be at the
// most. It is for everybody, or for whoever has an initial access token.
type Registration struct {
	Open                bool
	InitialAccessTokens []string // their hashes: see tokenep.HashSecret
	Template            endpoint.RegistrationTemplate
	Unused              time.Duration // the life of one that nobody uses; default: 30 days
	Management          bool          // clients may change and delete theirs (RFC 7592)
}

// How many clients may register, and how often they may change what they registered. An hour with
// so many, for as long as unused registrations live, is what a store must have room for.
const (
	registrationsPerAddress = 20
	registrationsInAll      = 500
	registrationsPer        = time.Hour
)

const defaultUnused = 30 * 24 * time.Hour

// CheckUnused returns what is wrong with Registration.Unused: a user must have time to decide.
func CheckUnused(d time.Duration) error {
	if d < time.Hour {
		return fmt.Errorf("the time must be 1h or more; it is %s", d)
	}
	return nil
}

// Validate returns what is wrong with a registration that is set.
func (r Registration) Validate() error { return r.complete() }

// complete fills in the defaults and checks what is left. Short names of grants become their
// grant_type.
func (r *Registration) complete() error {
	if r == nil {
		return nil
	}
	if r.Unused == 0 {
		r.Unused = defaultUnused
	}
	if err := CheckUnused(r.Unused); err != nil {
		return fmt.Errorf("unused registrations: %w", err)
	}
	if err := r.completeGrants(); err != nil {
		return err
	}
	t := &r.Template
	for _, pattern := range t.RedirectURIs {
		if err := pattern.Validate(); err != nil {
			return err
		}
	}
	code := slices.Contains(t.GrantTypes, grant.AuthorizationCodeType)
	switch parsed, err := verify.ParseScope(t.Scope.String()); {
	case r.Open == (len(r.InitialAccessTokens) > 0):
		return errors.New("it must be either open, or for those who have an initial access token")
	case slices.ContainsFunc(r.InitialAccessTokens, func(hash string) bool { return !strings.HasPrefix(hash, tokenep.GeneratedHash) }):
		return errors.New("an initial access token must be given as its hash")
	case code && len(t.RedirectURIs) == 0:
		return errors.New("the grant authorization_code needs at least one of redirect_uris")
	case !code && slices.Contains(t.GrantTypes, grant.RefreshTokenType):
		return errors.New("the grant refresh_token needs authorization_code beside it")
	case err != nil || len(parsed) != len(t.Scope):
		return fmt.Errorf("the scope %q is malformed, or repeats a token", t.Scope)
	case !tokenep.FitsToken(t.Scope, t.Audience):
		return errors.New("its scope and audience do not fit into a token")
	}
	return nil
}

func (r *Registration) completeGrants() error {
	names := r.Template.GrantTypes
	if len(names) == 0 {
		names = []string{grant.AuthorizationCodeType}
	}
	var types []string
	for _, name := range names {
		grantType, err := FindGrant(name, endpoint.RegistrationGrants())
		if err != nil {
			return err
		}
		if !slices.Contains(types, grantType) {
			types = append(types, grantType)
		}
	}
	r.Template.GrantTypes = types
	return nil
}

// asksPeople reports whether clients that register themselves may ask users for something.
func (r *Registration) asksPeople() bool {
	return r != nil && slices.Contains(r.Template.GrantTypes, grant.AuthorizationCodeType)
}

// completeRegistration does so for what the rest of the configuration is needed for.
func (c *Config) completeRegistration() error {
	if c.Registration == nil {
		return nil
	}
	r := *c.Registration // it is not ours
	c.Registration = &r
	if err := r.complete(); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	if r.asksPeople() && !c.people() {
		return errors.New("registration: the grant authorization_code is for users, and nothing says who they are")
	}
	return nil
}

// registration returns the registration endpoint.
func (s *Server) registration() tokenep.Endpoint {
	r := s.Config.Registration
	return endpoint.Registration{
		Front: s.front, Registry: s.Clients, Origin: s.Config.origin(), Template: r.Template, Unused: r.Unused,
		Managed: r.Management, InitialAccessTokens: r.InitialAccessTokens, Pace: s.Config.Memory.Registrations,
	}.Endpoint()
}
