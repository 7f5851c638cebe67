package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// APITokenRules are the rules for API tokens.
type APITokenRules struct {
	Types      []string      // token type identifiers that mean an API token; default: APITokenType
	Prefix     string        // what the tokens begin with; default: api
	MaxPerUser int           // live tokens of one owner; default: state.MaxOwned, and never more
	MaxAge     time.Duration // longest life; default: 730 days
	AllowNever bool          // they may have no end at all
	EndReused  bool          // see state.APITokens

	// Patterns say where, in tokens that other systems have handed out, their names stand. They are
	// needed for those of which there is a salted hash.
	Patterns []state.TokenPattern

	// Services are the services that tokens can be made for, with the most scope that they can have
	// there; none: any service, and any scope. A token that was made before is held to them as
	// well.
	Services []APITokenService

	// OwnerScope bounds what one owner may have besides: see state.APITokens. nil: nothing does.
	OwnerScope func(ctx context.Context, owner, service string) (verify.Scope, error)
}

// APITokenService is a service that API tokens can be made for.
type APITokenService struct {
	Audience string
	Scope    verify.Scope
}

// APITokenType is the token type identifier (RFC 8693 §3) of API tokens unless another is
// configured.
const APITokenType = "urn:tokenep:params:oauth:token-type:api_token"

// phraseTokenType is what API tokens are called where clients were written for Phrase. Where a path
// of the token endpoint has it as its default, it means those of this server, under whatever
// identifier they are.
const phraseTokenType = "urn:phrase:params:oauth:token-type:api_token"

// ownerScope returns what bounds the tokens of an owner; nil: nothing does.
func (t *APITokenRules) ownerScope() func(ctx context.Context, owner, service string) (verify.Scope, error) {
	if len(t.Services) == 0 {
		return t.OwnerScope
	}
	return func(ctx context.Context, owner, service string) (verify.Scope, error) {
		i := slices.IndexFunc(t.Services, func(s APITokenService) bool { return s.Audience == service })
		if i < 0 {
			return nil, state.ErrNotAllowed
		}
		scope := t.Services[i].Scope
		if t.OwnerScope == nil {
			return scope, nil
		}
		own, err := t.OwnerScope(ctx, owner, service)
		return scope.Intersect(own), err
	}
}

// HasTokenType reports whether a token type identifier means an API token.
func HasTokenType(t *APITokenRules, identifier string) bool {
	return t != nil && slices.Contains(t.Types, identifier)
}

// checkServices returns what is wrong with the services.
func (t *APITokenRules) checkServices() error {
	for i, s := range t.Services {
		switch {
		case s.Audience == "":
			return fmt.Errorf("API tokens: a service must have a name, which is its audience")
		case slices.ContainsFunc(t.Services[:i], func(other APITokenService) bool { return other.Audience == s.Audience }):
			return fmt.Errorf("API tokens: the service %s occurs twice", s.Audience)
		}
		if _, err := verify.ParseScope(s.Scope.String()); err != nil {
			return fmt.Errorf("API tokens: the scope of the service %s: %w", s.Audience, err)
		}
	}
	return nil
}

// endsReused reports whether an exchange that is refused may end an API token.
func (s *Server) endsReused() bool {
	t := s.apiTokens()
	return t != nil && t.EndReused
}

// accountTokens returns what people can do with their API tokens.
func (s *Server) accountTokens() endpoint.AccountTokens {
	tokens, rules := s.apiTokens(), s.Config.Exchange.APITokens
	if tokens == nil {
		return endpoint.AccountTokens{}
	}
	a := endpoint.AccountTokens{
		Tokens: tokens, MaxAge: rules.MaxAge, Never: rules.AllowNever, Type: rules.Types[0], Anonymous: s.Config.Exchange.Anonymous,
	}
	for _, service := range rules.Services {
		a.Services = append(a.Services, page.Service{Audience: service.Audience, Scope: service.Scope})
	}
	return a
}
