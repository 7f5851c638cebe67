package server

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/verify"
)

// health returns the endpoint that says whether this server can do its work.
func (s *Server) health() tokenep.Endpoint {
	c := &s.Config
	e := &endpoint.Health{
		Rings: s.Rings(), Store: c.Store, Revocations: c.Memory.Revocations, RevocationMaxAge: c.RevocationMaxAge,
		KeySets: s.ForeignKeys, Now: c.Now,
	}
	if c.Users != nil {
		e.Users = s.UsersAsked
	}
	return e.Endpoint()
}

// ForeignKeys returns the keys that are fetched of issuers whose tokens can be exchanged, and those
// of Config.ForeignKeys.
func (s *Server) ForeignKeys() (sets []endpoint.ForeignKeys) {
	if s.Config.ForeignKeys != nil {
		sets = s.Config.ForeignKeys()
	}
	for _, source := range s.Config.Subjects {
		if source.Issuer == nil {
			continue
		}
		fetched, ok := source.Issuer.Keys.(*verify.URLKeys)
		set := endpoint.ForeignKeys{Issuer: source.Issuer.Name, Keys: fetched}
		if ok && !slices.Contains(sets, set) {
			sets = append(sets, set)
		}
	}
	return sets
}

// UsersAsked returns when the source of users was asked last, and why it did not know; the zero
// time: it never was.
func (s *Server) UsersAsked() (at time.Time, err error) { return s.usersAsked.last() }

// usersAsked is how the source of users has answered last.
type usersAsked struct{ outcome atomic.Pointer[usersOutcome] }

type usersOutcome struct {
	at  time.Time
	err error // nil: it knew
}

// last returns when the source was asked last, and why it did not know; the zero time: never.
func (a *usersAsked) last() (at time.Time, err error) {
	if o := a.outcome.Load(); o != nil {
		return o.at, o.err
	}
	return at, nil
}

// note takes an answer, unless whoever asked has left before it.
func (a *usersAsked) note(ctx context.Context, now time.Time, err error) {
	switch {
	case errors.Is(err, tokenep.ErrNoUser):
		err = nil
	case err != nil && ctx.Err() != nil:
		return
	}
	a.outcome.Store(&usersOutcome{now, err})
}

// watch returns a source whose answers are noted.
func (a *usersAsked) watch(source *tokenep.UserSource, now func() time.Time) *tokenep.UserSource {
	watched := *source
	watched.Authenticate = func(ctx context.Context, name, password string) (tokenep.User, error) {
		user, err := source.Authenticate(ctx, name, password)
		a.note(ctx, now(), err)
		return user, err
	}
	if source.Find != nil {
		watched.Find = func(ctx context.Context, subject string) (tokenep.User, error) {
			user, err := source.Find(ctx, subject)
			a.note(ctx, now(), err)
			return user, err
		}
	}
	return &watched
}
