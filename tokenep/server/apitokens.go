package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

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
