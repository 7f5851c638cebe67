package oauthserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Client is a client of the configuration (RFC 6749 §2).
type Client struct {
	// The client_id: up to 128 visible ASCII characters or spaces (RFC 6749 appendix A.1).
	// Required.
	ID string `json:"id"`

	// The secrets, each of which authenticates the client. Give two while one is being replaced.
	// Without a secret the client is public (RFC 6749 §2.1).
	Secrets []Secret `json:"secrets,omitempty"`

	// How the client must authenticate (RFC 7591 §2): client_secret_basic, client_secret_post or
	// none. Default: client_secret_basic or client_secret_post for a client with a secret, none for
	// one without.
	AuthMethod string `json:"auth_method,omitempty"`

	// The grant types it may use: client_credentials (RFC 6749 §4.4), and token_exchange, which is
	// short for urn:ietf:params:oauth:grant-type:token-exchange (RFC 8693). Default: none.
	Grants []string `json:"grants,omitempty"`

	// The scope tokens that it may ask for (RFC 6749 §3.3). Default: none.
	Scope []string `json:"scope,omitempty"`

	// The scope of its tokens when it asks for none. Default: all of scope.
	DefaultScope []string `json:"default_scope,omitempty"`

	// The resources that its tokens may be for (RFC 8707), which become their aud. Default: the
	// server's audience.
	Audience []string `json:"audience,omitempty"`

	// The lifetime of its access tokens. Default: that of the server, also for 0.
	AccessTokenTTL caddy.Duration `json:"access_token_ttl,omitempty"`

	// The other clients whose access tokens it may exchange (RFC 8693), or "*" for all. It may
	// always exchange its own. Default: none.
	ExchangeFrom []string `json:"exchange_from,omitempty"`
}

// Secret is a client secret (RFC 6749 §2.3.1): its hash, or where to find it.
type Secret struct {
	// A hash as "caddy hash-password" makes it (argon2id or bcrypt), or one placeholder, {env.NAME}
	// or {file./path}, for the secret or its hash. Required. A literal secret is an error here; in
	// a Caddyfile, adapting turns it into a hash.
	Value string `json:"value"`

	// When the secret expires. Default: never.
	Expires time.Time `json:"expires,omitzero"`
}

// clients returns the configured clients as the library has them. Resolved secrets go nowhere else.
func (s *AuthorizationServer) clients() ([]tokenep.Client, error) {
	clients := make([]tokenep.Client, 0, len(s.Clients))
	for _, c := range s.Clients {
		if c == nil {
			return nil, errors.New("a client must not be null")
		}
		client, err := c.resolve(s.name)
		if err != nil {
			return nil, fmt.Errorf("client %q: %w", c.ID, err)
		}
		if err := checkClient(&client); err != nil {
			return nil, err
		}
		clients = append(clients, client)
	}
	return clients, nil
}

// checkClient is stricter with a configured client than the library is with a registered one: what
// can never work is a mistake in the configuration.
func checkClient(c *tokenep.Client) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Public() && c.May(grant.ClientCredentialsType) {
		return fmt.Errorf("client %q: the grant client_credentials needs a secret (RFC 6749 §4.4): add one, or remove the grant", c.ID)
	}
	return nil
}

// resolve returns the client with its placeholders resolved.
func (c *Client) resolve(serverName string) (client tokenep.Client, err error) {
	if client, err = c.literal(); err != nil {
		return client, err
	}
	if client.Audience, err = adapt.ResolveAll("audience", c.Audience); err != nil {
		return client, err
	}
	for i, secret := range c.Secrets {
		if client.Secrets[i].Hash, err = secret.resolve(serverName, c.ID); err != nil {
			return client, err
		}
	}
	return client, nil
}

// literal returns what is known of the client without resolving placeholders: all but the hashes of
// its secrets.
func (c *Client) literal() (client tokenep.Client, err error) {
	client = tokenep.Client{
		ID: c.ID, AuthMethod: c.AuthMethod, TokenTTL: time.Duration(c.AccessTokenTTL), From: c.ExchangeFrom, Audience: adapt.Literals(c.Audience),
	}
	for _, name := range c.Grants {
		grantType, ok := grantTypes[name]
		if !ok {
			return client, fmt.Errorf("grants: %q is unknown; expected client_credentials or token_exchange", name)
		}
		if !slices.Contains(client.Grants, grantType) {
			client.Grants = append(client.Grants, grantType)
		}
	}
	if client.Scope, err = parseScope("scope", c.Scope); err != nil {
		return client, err
	}
	if client.Default, err = parseScope("default_scope", c.DefaultScope); err != nil {
		return client, err
	}
	for _, secret := range c.Secrets {
		client.Secrets = append(client.Secrets, tokenep.Secret{Expires: secret.Expires})
	}
	return client, adapt.RefusePlaceholders("exchange_from", c.ExchangeFrom)
}

func parseScope(option string, tokens []string) (verify.Scope, error) {
	scope, err := verify.ParseScope(strings.Join(tokens, " "))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return scope, adapt.RefusePlaceholders(option, tokens)
}

// GrantType returns the grant_type (RFC 6749 §1.3) that a name in a configuration stands for.
func GrantType(name string) (grantType string, ok bool) {
	grantType, ok = grantTypes[name]
	return grantType, ok
}

// grantTypes are the grant types by the names that a configuration may use.
var grantTypes = map[string]string{
	grant.ClientCredentialsType: grant.ClientCredentialsType,
	grant.TokenExchangeType:     grant.TokenExchangeType,
	"token_exchange":            grant.TokenExchangeType,
}
