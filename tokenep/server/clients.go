package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// configuredClients returns the clients of the configuration by their ids.
func (s *Server) configuredClients() (map[string]*tokenep.Client, error) {
	configured := make(map[string]*tokenep.Client, len(s.Config.Clients))
	alone := ""
	for i := range s.Config.Clients {
		client := &s.Config.Clients[i]
		if err := s.CompleteClient(client); err != nil {
			return nil, err
		}
		if configured[client.ID] != nil {
			return nil, fmt.Errorf("client %q is configured twice", client.ID)
		}
		configured[client.ID] = client
		if client.SecretWithoutID && alone != "" {
			return nil, fmt.Errorf("clients %q and %q: only one can be meant by a secret without client_id", alone, client.ID)
		}
		if client.SecretWithoutID {
			alone = client.ID
		}
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
	if err := s.checkAuth(c); err != nil {
		return err
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

// completeAdded is CompleteClient for a client that is added at run time.
func (s *Server) completeAdded(c *tokenep.Client) error {
	if c.SecretWithoutID || c.InsecureUnsecuredSubject {
		return fmt.Errorf("client %q: secret_without_id and insecure_unsecured_subject are for clients of the configuration", c.ID)
	}
	return s.CompleteClient(c)
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

// ClientCertificates says where the certificates of clients come from (RFC 8705). The zero value is
// for TLS connections that end here and have verified their chains.
type ClientCertificates struct {
	// Forwarded returns the certificates that a trusted proxy says its client has presented: see
	// clientauth.Certificates.
	Forwarded func(*http.Request) (chain []*x509.Certificate, ok bool, err error)

	// Roots verify the chains of certificates here; nil: the connection has done so.
	Roots *x509.CertPool
}

// authMethods returns the methods by which clients may authenticate: all, but those for which
// something must have been configured.
func (s *Server) authMethods() []tokenep.ClientAuth {
	c := &s.Config
	keys := &clientauth.Keys{Fetcher: c.Memory.Fetcher, Addresses: c.KeyAddresses, Logger: c.Logger, Now: c.Now}
	assertions := &clientauth.Assertions{
		Issuer: c.Issuer, Origin: c.origin(), TokenEndpoints: s.tokenEndpoints,
		Keys: keys, Seen: state.Seen{Store: c.Store, Now: c.Now}, Now: c.Now,
	}
	certificates := &clientauth.Certificates{Keys: keys, Now: c.Now}
	if c.ClientCertificates != nil {
		certificates.Forwarded, certificates.Roots = c.ClientCertificates.Forwarded, c.ClientCertificates.Roots
	}
	return slices.DeleteFunc(clientauth.All(c.secrets(), assertions, certificates), func(m tokenep.ClientAuth) bool {
		switch m.Method() {
		case tokenep.AuthSecretJWT:
			return !slices.ContainsFunc(c.Clients, func(c tokenep.Client) bool { return c.Authenticates(tokenep.AuthSecretJWT) })
		case tokenep.AuthTLS, tokenep.AuthSelfSignedTLS:
			return c.ClientCertificates == nil
		}
		return false
	})
}

// checkAuth returns what is wrong with how a client authenticates: each of its methods must be one
// of this server's, and have what it needs here.
func (s *Server) checkAuth(c *tokenep.Client) error {
	offered := clientauth.Methods()
	for _, m := range s.methods {
		offered = slices.DeleteFunc(offered, func(name string) bool { return name == m.Method() })
	}
	for _, missing := range offered {
		switch {
		case !c.Authenticates(missing):
		case missing == tokenep.AuthSecretJWT:
			return fmt.Errorf("client %q: client_secret_jwt is for clients of the configuration", c.ID)
		default:
			return fmt.Errorf("client %q: the server looks at no client certificates, which %s needs: set client_certificates", c.ID, missing)
		}
	}
	if c.CertificateBound && s.possessions.Certificate == nil {
		return fmt.Errorf("client %q: the server looks at no client certificates, which tls_client_certificate_bound_access_tokens needs: set client_certificates", c.ID)
	}
	least := verify.MACKeySize(c.AuthSigningAlg)
	if c.Authenticates(tokenep.AuthSecretJWT) && slices.ContainsFunc(c.Secrets, func(secret tokenep.Secret) bool { return len(secret.Key) < least }) {
		return fmt.Errorf("client %q: client_secret_jwt needs the secret itself, of %d bytes or more (RFC 7518 §3.2): "+
			"write {env.NAME} or {file.path}, and there no hash", c.ID, least)
	}
	return nil
}
