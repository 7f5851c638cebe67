package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/verify"
)

// openID reports whether there are ID tokens (OpenID Connect Core): people can allow things, and a
// client may ask who they are.
func (c *Config) openID() bool {
	registered := c.Registration.asksPeople() && c.Registration.Template.Scope.Has(tokenep.OpenIDScope)
	return c.people() && (c.OpenID || registered || slices.ContainsFunc(c.Clients, func(client tokenep.Client) bool { return asksWho(&client) }))
}

// people reports whether people can allow things, here or in front of this server.
func (c *Config) people() bool { return c.User != nil || c.Users != nil }

// asksWho reports whether a client may get ID tokens.
func asksWho(c *tokenep.Client) bool {
	return c.Scope.Has(tokenep.OpenIDScope) && (c.May(grant.AuthorizationCodeType) || c.May(grant.PasswordType))
}

// idTokenAlgs returns the algorithms that sign ID tokens. RS256 is always among them, which OpenID
// Connect Discovery §3 demands.
func (s *Server) idTokenAlgs() []string {
	if !s.Config.openID() {
		return []string{s.Config.Algorithm}
	}
	algs := []string{tokenep.DefaultIDTokenAlg}
	for i := range s.Config.Clients {
		c := &s.Config.Clients[i]
		asks := asksWho(c) || c.Scope.Has(tokenep.OpenIDScope) && c.May(grant.TokenExchangeType)
		if alg := c.IDTokenAlgorithm(); asks && !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}

// addRings makes the rings of signing keys: one for access tokens, and one for ID tokens of each
// algorithm. So no ID token is signed by a key that an access token could be.
func (s *Server) addRings() (err error) {
	memory := s.Config.Memory
	if s.Keys, err = s.ring(keys.Options{Given: s.Config.SigningKeys, Algorithm: s.Config.Algorithm, Before: memory.ring.Load()}); err != nil {
		return err
	}
	if !s.Config.openID() {
		return nil
	}
	s.idTokenKeys = make(map[string]*keys.Ring)
	for _, alg := range s.idTokenAlgs() {
		o := keys.Options{Record: "id_token " + alg, Algorithm: alg}
		if before, ok := memory.idTokenRings.Load(alg); ok {
			o.Before = before.(*keys.Ring)
		}
		if s.idTokenKeys[alg], err = s.ring(o); err != nil {
			return err
		}
	}
	return nil
}

// jwksMaxAge is how long other verifiers may cache the key set.
const jwksMaxAge = 5 * time.Minute

// ring makes a ring, over what all rings have in common.
func (s *Server) ring(o keys.Options) (*keys.Ring, error) {
	c := &s.Config
	o.Store, o.Server, o.EncryptionKeys, o.Now, o.Logger = c.Store, c.Name, c.EncryptionKeys, c.Now, c.Logger
	o.MaxAge, o.Retain = jwksMaxAge, c.longestChain()+verify.MaxLeeway+jwksMaxAge
	return keys.New(o)
}

// Rings returns the rings of signing keys: that of access tokens, and then those of ID tokens.
func (s *Server) Rings() []*keys.Ring {
	rings := []*keys.Ring{s.Keys}
	for _, alg := range tokenep.IDTokenAlgs {
		if ring := s.idTokenKeys[alg]; ring != nil {
			rings = append(rings, ring)
		}
	}
	return rings
}

// startRings loads the keys of all rings.
func (s *Server) startRings(ctx context.Context) error {
	for _, ring := range s.Rings() {
		if err := ring.Start(ctx); err != nil {
			return err
		}
	}
	for alg, ring := range s.idTokenKeys {
		s.Config.Memory.idTokenRings.Store(alg, ring)
	}
	return nil
}

// checkOpenID returns what is wrong with a client that wants ID tokens.
func (s *Server) checkOpenID(c *tokenep.Client) error {
	switch {
	case !asksWho(c):
		return nil
	case !s.Config.openID():
		return fmt.Errorf("client %q: the server offers no OpenID Connect, which the scope openid asks for: set openid", c.ID)
	case s.idTokenKeys[c.IDTokenAlgorithm()] == nil:
		return fmt.Errorf("client %q: the server has no key for ID tokens by %s; a client of the configuration with this id_token_alg makes it have one",
			c.ID, c.IDTokenAlgorithm())
	}
	return nil
}
