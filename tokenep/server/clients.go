package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// configuredClients returns the clients of the configuration by their ids.
func (s *Server) configuredClients() (map[string]*tokenep.Client, error) {
	configured := make(map[string]*tokenep.Client, len(s.Config.Clients))
	for i := range s.Config.Clients {
		client := &s.Config.Clients[i]
		if err := s.CompleteClient(client); err != nil {
			return nil, err
		}
		if configured[client.ID] != nil {
			return nil, fmt.Errorf("client %q is configured twice", client.ID)
		}
		configured[client.ID] = client
	}
	return configured, nil
}

// CompleteClient returns what is wrong with a client of this server, be it configured or registered
// at run time: it must be good in itself, and ask for no method or grant that there is not. Short
// names of grants become their grant_type.
func (s *Server) CompleteClient(c *tokenep.Client) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := s.checkOpenID(c); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.methods, func(m tokenep.ClientAuth) bool { return c.Authenticates(m.Method()) }) {
		return fmt.Errorf("client %q: the server does not offer the auth_method of this client", c.ID)
	}
	var types []string
	for _, name := range c.GrantTypes {
		grantType, err := FindGrant(name, s.grantTypes())
		if err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
		if !slices.Contains(types, grantType) {
			types = append(types, grantType)
		}
	}
	c.GrantTypes = types
	return nil
}

// grantTypes returns the grants that a client may be registered for. One that this server merely
// does not offer may be offered again by its next configuration.
func (s *Server) grantTypes() []string {
	types := grant.Types()
	for _, g := range s.grants {
		if !slices.Contains(types, g.Type()) {
			types = append(types, g.Type())
		}
	}
	return types
}

// clients finds configured clients first, and then those of the store.
func (s *Server) clients(static map[string]*tokenep.Client) tokenep.Clients {
	return func(ctx context.Context, id string) (*tokenep.Client, error) {
		if c := static[id]; c != nil {
			return c, nil
		}
		return s.Clients.Load(ctx, id)
	}
}

// assertions returns what verifies the assertions of clients (RFC 7523 §3).
func (s *Server) assertions() *clientauth.Assertions {
	c := &s.Config
	return &clientauth.Assertions{
		Issuer: c.Issuer, Origin: c.origin(), TokenEndpoints: s.tokenEndpoints,
		Keys: &clientauth.Keys{Fetcher: c.Memory.Fetcher, Addresses: c.KeyAddresses, Logger: c.Logger, Now: c.Now},
		Seen: state.Seen{Store: c.Store, Now: c.Now}, Now: c.Now,
	}
}
