package oauthserver

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// clients returns the configured clients with what their placeholders stand for. Resolved secrets
// go nowhere else.
func (s *AuthorizationServer) clients(logger *slog.Logger) ([]tokenep.Client, error) {
	clients := make([]tokenep.Client, 0, len(s.Clients))
	for _, c := range s.Clients {
		if c == nil {
			return nil, errors.New("a client must not be null")
		}
		client, err := resolveClient(s.name, c)
		if err != nil {
			return nil, adapt.Of("client "+c.ID, fmt.Errorf("client %q: %w", c.ID, err))
		}
		if err := checkClient(&client); err != nil {
			return nil, adapt.Of("client "+c.ID, err)
		}
		warnOfShort(logger, c)
		clients = append(clients, client)
	}
	return clients, nil
}

// resolveClient returns a copy of the client with what its placeholders stand for.
func resolveClient(serverName string, c *tokenep.Client) (client tokenep.Client, err error) {
	client = *c
	if err := checkLiterals(c); err != nil {
		return client, err
	}
	if err := checkSecretJWT(c); err != nil {
		return client, err
	}
	if client.Audience, err = adapt.ResolveAudience(c.Audience); err != nil {
		return client, err
	}
	if err := resolveKeys(&client); err != nil {
		return client, err
	}
	client.Secrets = slices.Clone(c.Secrets)
	for i := range client.Secrets {
		if client.Secrets[i].Hash, err = resolveSecret(serverName, c.ID, c.Secrets[i].Hash); err != nil {
			return client, err
		}
		if c.Authenticates(tokenep.AuthSecretJWT) {
			if client.Secrets[i].Key, err = resolveSecretKey(c.Secrets[i].Hash); err != nil {
				return client, err
			}
		}
	}
	return client, nil
}

// resolveKeys resolves where the keys of a client are. A file is read, so that a wrong one is an
// error now and not at the first request; nothing is fetched, since the client's own host need not
// be there for the configuration to load.
func resolveKeys(c *tokenep.Client) (err error) {
	if c.JWKSURI != "" {
		if c.JWKSURI, err = adapt.Resolve("jwks_uri", c.JWKSURI, verify.CheckJWKSURI); err != nil {
			return err
		}
	}
	if c.JWKSFile == "" {
		return nil
	}
	path, err := adapt.Resolve("jwks_file", c.JWKSFile)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return err
	}
	c.JWKSFile = path
	if err := verify.NewFileKeys(path, verify.FileKeysOptions{}).Load(); err != nil {
		return adapt.Of("jwks_file", fmt.Errorf("jwks_file: %w", err))
	}
	return nil
}

// checkLiterals refuses placeholders where nobody would resolve them, and commas between names.
func checkLiterals(c *tokenep.Client) error {
	for _, o := range []struct {
		option string
		values []string
	}{{"client", []string{c.ID}}, {"name", []string{c.Name}}, {"scope", c.Scope}, {"default_scope", c.DefaultScope}, {"exchange_from", c.ExchangeFrom}, {"exchange_to", c.ExchangeTo}, {"may_act_for", c.MayActFor}, {"actor_from", c.ActorFrom}, {"may_act", c.MayAct},
		{"grants", c.GrantTypes}, {"redirect_uris", c.RedirectURIs},
		{"post_logout_redirect_uris", c.PostLogoutRedirectURIs},
		{"introspect", c.Introspect}, {"tls_client_auth_subject_dn", []string{c.TLSSubjectDN}}, {"tls_client_auth_san_dns", []string{c.TLSSANDNS}},
		{"tls_client_auth_san_uri", []string{c.TLSSANURI}}, {"tls_client_auth_san_email", []string{c.TLSSANEmail}}} {
		if err := adapt.RefusePlaceholders(o.option, o.values); err != nil {
			return err
		}
	}
	return cmp.Or(
		adapt.CheckScope(c.Scope, adapt.Line("scope")),
		adapt.CheckScope(c.DefaultScope, adapt.Line("default_scope")),
		adapt.CheckNames(c.GrantTypes, "grants", adapt.Line("grants")),
		adapt.CheckNames(c.ExchangeFrom, "clients", adapt.Line("exchange_from")),
		adapt.CheckAudience(c.ExchangeTo, adapt.Line("exchange_to")),
		adapt.CheckNames(c.MayActFor, "names", adapt.Line("may_act_for")),
		adapt.CheckNames(c.ActorFrom, "names", adapt.Line("actor_from")),
		adapt.CheckNames(c.MayAct, "members", adapt.Line("may_act")),
		adapt.CheckRedirectURIs(c.RedirectURIs, adapt.Line("redirect_uris")),
		adapt.CheckRedirectURIs(c.PostLogoutRedirectURIs, adapt.Line("post_logout_redirect_uris")),
	)
}

// checkSecretJWT refuses a secret of client_secret_jwt of which a configuration would have a hash:
// it is the key of an HMAC.
func checkSecretJWT(c *tokenep.Client) error {
	for _, secret := range c.Secrets {
		if c.Authenticates(tokenep.AuthSecretJWT) && !secretPlaceholder.MatchString(secret.Hash) {
			return fmt.Errorf("client %q: %w", c.ID, errSecretKey)
		}
	}
	return nil
}

// checkClient holds a configured client to more than one that is registered at run time: what can
// never work was not meant.
func checkClient(c *tokenep.Client) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Public() && c.May(grant.ClientCredentialsType) {
		return fmt.Errorf("client %q: the grant client_credentials needs a secret (RFC 6749 §4.4): "+
			"add one, or remove the grant", c.ID)
	}
	return nil
}
