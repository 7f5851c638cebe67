package oauthserver

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// TokenExchange is which tokens the server takes in exchange for an access token (RFC 8693). Its own access tokens it always takes, from clients only.
type TokenExchange struct {
	// Take an API token from whoever has it, with no client authenticated beside it. Default: a client must authenticate.
	Anonymous bool `json:"anonymous,omitempty"`

	// Take API tokens: long-lived credentials of people and scripts. Default: there are none.
	APITokens *APITokenRules `json:"api_tokens,omitempty"`
}

// APITokenRules is the rules for API tokens, whose text is <prefix>_<id>_<secret><checksum>.
type APITokenRules struct {
	// What the tokens begin with, so that people and secret scanners know them: a lower-case letter and up to 15 more letters or digits. Default: api.
	Prefix string `json:"prefix,omitempty"`

	// How many live tokens one owner may have, up to 500. Default: 500.
	MaxPerUser int `json:"max_per_user,omitempty"`

	// The longest life of a token, which is also its life when none is asked for. Default: 730d.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// The token type identifiers (RFC 8693 §3) that mean an API token. Default: urn:tokenep:params:oauth:token-type:api_token.
	TokenTypes []string `json:"token_types,omitempty"`
}

func (e *TokenExchange) config() server.Exchange {
	if e == nil {
		return server.Exchange{}
	}
	return server.Exchange{Enabled: true, Anonymous: e.Anonymous, APITokens: e.APITokens.config()}
}

func (t *APITokenRules) config() *server.APITokenRules {
	if t == nil {
		return nil
	}
	return &server.APITokenRules{Types: t.TokenTypes, Prefix: t.Prefix, MaxPerUser: t.MaxPerUser, MaxAge: time.Duration(t.MaxAge)}
}
