package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
)

// addGrants makes the list of grants.
func (s *Server) addGrants() error {
	if s.Config.PasswordGrant && s.passwords == nil {
		return errors.New("the password grant is for users whose passwords somebody knows: set users")
	}
	exchange, assertions, err := s.subjects()
	if err != nil {
		return err
	}
	s.grants = grant.Offer{
		Users:             s.Config.people(),
		ClientCredentials: grant.ClientCredentials{Use: s.Clients.Use},
		AuthorizationCode: grant.AuthorizationCode{Codes: s.Codes},
		RefreshToken:      grant.RefreshToken{Families: s.Families, Rotation: s.Config.RefreshTokens.Rotation, Exchanged: s.exchanged},
		Refreshes:         s.Config.refreshesExchanged(),
		Password:          s.passwordGrant(),
		Devices:           s.Config.devices(),
		DeviceCode:        grant.DeviceCode{Devices: s.devices()},
		TokenExchange:     exchange,
		JWTBearer:         assertions,
	}.All()
	for _, add := range s.Config.Grants {
		g, err := add(s)
		if err != nil {
			return err
		}
		name := tokenep.GrantName(g.Type())
		if name == "" {
			return fmt.Errorf("grant_type %q: it must have a name at its end", g.Type())
		}
		if slices.ContainsFunc(s.grants, func(other tokenep.Grant) bool { return tokenep.NamesGrant(name, other.Type()) }) {
			return fmt.Errorf("grant_type %s: there is another grant of the name %s", g.Type(), name)
		}
		s.grants = append(s.grants, g)
	}
	return nil
}

// passwordGrant returns the password grant; its SignIn is nil where it is not offered.
func (s *Server) passwordGrant() grant.Password {
	if !s.Config.PasswordGrant {
		return grant.Password{}
	}
	return grant.Password{
		SignIn: s.signIn, Families: s.Families, Users: s.users(), Claims: s.Config.UserClaims,
	}
}

// signIn signs a person in for a client, from the address that the request comes from.
func (s *Server) signIn(r *tokenep.Request, name, password string) (tokenep.User, error) {
	return s.passwords.SignIn(r.Context(), s.address(r.Request), name, password)
}

// apiTokens returns the API tokens of the server; nil: it has none.
func (s *Server) apiTokens() *state.APITokens {
	if s.Config.Exchange.APITokens == nil || !s.Config.Exchange.Enabled {
		return nil
	}
	return &s.APITokens
}

// ownSubjects returns the kinds of token of this server that can be exchanged.
func (s *Server) ownSubjects() []tokenep.SubjectTokens {
	kinds := []tokenep.SubjectTokens{subject.Own{Verifier: s.introspecting, Expired: s.expired, Since: s.chainsSince, Now: s.Config.Now}}
	if t := s.Config.Exchange.APITokens; t != nil {
		s.APITokens = state.APITokens{
			Store: s.Config.Store, Revocations: s.Revocations, Now: s.Config.Now,
			Prefix: t.Prefix, MaxPerUser: t.MaxPerUser, MaxAge: t.MaxAge, AllowNever: t.AllowNever, EndReused: t.EndReused, TokenLife: s.TokenLife,
			Rates: s.Config.Memory.Rates, Uses: &s.Config.Memory.uses, OwnerScope: t.ownerScope(), Event: s.apiTokenEvent,
			Imports: &s.Config.Memory.imports, Patterns: t.Patterns,
		}
		if s.Config.CompareHash != nil {
			s.APITokens.Compare = s.compareAPIToken
		}
		for _, identifier := range t.Types {
			kinds = append(kinds, subject.APIToken{Tokens: s.APITokens, Identifier: identifier, Address: s.Config.ClientAddress})
		}
	}
	if slices.ContainsFunc(s.Config.Clients, func(c tokenep.Client) bool { return c.InsecureUnsecuredSubject }) {
		kinds = append(kinds, subject.Unsecured{Now: s.Config.Now})
	}
	return kinds
}
