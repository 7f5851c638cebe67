package oauthserver

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// TokenExchange says which tokens can be exchanged for an access token (RFC 8693). A client can
// always exchange the server's own access tokens.
type TokenExchange struct {
	// Accept an API token without client authentication. Default: false, a client must
	// authenticate.
	Anonymous bool `json:"anonymous,omitempty"`

	// Accept API tokens, which are long-lived credentials of people and scripts. Default: none.
	APITokens *APITokenRules `json:"api_tokens,omitempty"`
}

// APITokenRules are the rules for API tokens. The text of a token is
// <prefix>_<id>_<secret><checksum>.
type APITokenRules struct {
	// The prefix by which people and secret scanners recognize the tokens: a lower-case letter and
	// up to 15 more letters or digits. Default: api.
	Prefix string `json:"prefix,omitempty"`

	// How many live tokens one owner may have, from 1 to 500. Default: 500.
	MaxPerUser int `json:"max_per_user,omitempty"`

	// The longest lifetime of a token, and its lifetime where none is asked for. Default: 730d.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// The token type identifiers (RFC 8693 §3) that mean an API token. Default:
	// urn:tokenep:params:oauth:token-type:api_token.
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
