package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// RefreshTokens are the rules for refresh tokens (RFC 6749 §6). The zero value has the defaults.
type RefreshTokens struct {
	// Rotation says whose are rotated; default: those of public clients.
	Rotation grant.Rotation

	// Grace is how long one that was rotated gets its successor again; 0: state.DefaultGrace;
	// negative: not at all.
	Grace time.Duration

	Idle     time.Duration // from use to use; default: state.DefaultIdle
	Absolute time.Duration // from the user's decision; default: state.DefaultAbsolute
}

// Validate returns what is wrong with the rules.
func (t RefreshTokens) Validate() error {
	if err := t.Rotation.Validate(); err != nil {
		return err
	}
	idle, absolute := t.Idle, t.Absolute
	if idle == 0 {
		idle = state.DefaultIdle
	}
	if absolute == 0 {
		absolute = state.DefaultAbsolute
	}
	switch {
	case idle < time.Minute || absolute < time.Minute:
		return errors.New("they must live for a minute at least")
	case t.Idle > absolute:
		return fmt.Errorf("they cannot be idle for %s when they end after %s", idle, absolute)
	case t.Grace > time.Hour || t.Grace >= min(idle, absolute):
		return fmt.Errorf("a grace of %s is too long: it must be an hour at most, and less than they live", t.Grace)
	}
	return nil
}

// User says which person a request comes from. See endpoint.Authorize.
type User = func(*http.Request) (tokenep.User, error)

// remember puts together what is remembered of users: codes, consents, and families of refresh
// tokens.
func (s *Server) remember() {
	c := &s.Config
	s.Families = state.Families{
		Store: c.Store, Revocations: s.Revocations, MAC: &c.Memory.refreshMAC, Now: c.Now, TokenLife: s.TokenLife,
		Grace: c.RefreshTokens.Grace, Idle: c.RefreshTokens.Idle, Absolute: c.RefreshTokens.Absolute,
	}
	s.Codes = state.Codes{Store: c.Store, Families: s.Families, Now: c.Now}
	s.Consents = state.Consents{Store: c.Store, Families: s.Families, Now: c.Now}
}

// authorization returns the authorization endpoint, and what stands around it.
func (s *Server) authorization() []tokenep.Endpoint {
	e := endpoint.Authorize{
		Front: s.front, Issuer: s.Config.Issuer, Clients: s.front.Authenticator.Clients, Codes: s.Codes, Consents: s.Consents,
		Seen:  state.Seen{Store: s.Config.Store, Now: s.Config.Now},
		Pages: &s.Config.Memory.pages, User: s.Config.User, Audience: s.Config.Audience, Now: s.Config.Now,
		Pushed: state.PushedRequests{Store: s.Config.Store, Now: s.Config.Now}, RequirePAR: s.Config.RequirePAR,
	}
	return []tokenep.Endpoint{e.Endpoint(), endpoint.PushedAuthorization{Authorize: e}.Endpoint()}
}

// loadRefreshKey reads the key of refresh tokens, from which that of pages is derived; if there is
// none, it makes one. A configuration that takes over from another goes on with the key in memory
// while the store is away.
func (s *Server) loadRefreshKey(ctx context.Context) error {
	memory := s.Config.Memory
	seals, err := seal.New(s.Config.EncryptionKeys, s.Config.Name)
	if err != nil {
		return err
	}
	key, err := state.RefreshKey(ctx, s.Config.Store, seals)
	switch {
	case errors.Is(err, store.ErrUnavailable) && s.Keys.Inherited():
		s.Config.Logger.Error("the key of refresh tokens was not read; that of the previous configuration stays in use", "error", err)
		return nil
	case err != nil:
		return err
	}
	memory.pages.SetKey(key)
	return memory.refreshMAC.SetKey(key)
}
