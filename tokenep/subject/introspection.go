package subject

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
)

// IntrospectionOptions say how another authorization server is asked about its tokens (RFC 7662).
type IntrospectionOptions struct {
	introspection.Options

	// Audience are the names of which aud must have one. Empty: InsecureAnyAudience must say so.
	Audience            []string
	InsecureAnyAudience bool

	Address Address // that a request comes from
}

var (
	errNoAudience = errors.New("audience is missing: of which names aud must have one, so that no token for another service is taken; " +
		"or insecure_any_audience, if its tokens have no aud")
	errTwoAudiences = errors.New("audience and insecure_any_audience exclude each other")
)

// Validate returns what is wrong with the options.
func (o IntrospectionOptions) Validate() error {
	if err := o.Options.Validate(); err != nil {
		return err
	}
	switch {
	case len(o.Audience) == 0 && !o.InsecureAnyAudience:
		return errNoAudience
	case len(o.Audience) > 0 && o.InsecureAnyAudience:
		return errTwoAudiences
	}
	return nil
}

// Introspection asks another authorization server about its tokens (RFC 7662).
type Introspection struct {
	*introspection.Server

	o     IntrospectionOptions
	queue queue
}

// NewIntrospection returns an Introspection.
func NewIntrospection(o IntrospectionOptions) (*Introspection, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s, err := introspection.New(o.Options)
	if err != nil {
		return nil, err
	}
	return &Introspection{Server: s, o: o, queue: newQueue(o.Connection, o.Address)}, nil
}

// Prove is that of a Source.
func (i *Introspection) Prove(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error) {
	t, err := i.IntrospectAt(ctx, token, i.queue.turn(r))
	if err != nil {
		return nil, err
	}
	return t, i.accepts(t)
}

// accepts returns why an active token is not for this server.
func (i *Introspection) accepts(t *verify.Token) error {
	if !i.o.InsecureAnyAudience && !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(i.o.Audience, a) }) {
		return fmt.Errorf("%w: %w: %q, expected one of %q", ErrBadToken, errAudience, t.Audience, i.o.Audience)
	}
	return nil
}
