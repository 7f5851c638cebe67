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

	// Renew access tokens by exchange, at the paths of oauth_token that do, for so long after the
	// first token of a chain was issued: at least 1m. Whoever holds a token and can renew it has
	// access for as long, and revocations and keys are kept for as long. Default: 0, nothing is
	// renewed.
	MaxChain caddy.Duration `json:"max_chain,omitempty"`

	// Accept API tokens, which are long-lived credentials of people and scripts. Default: none.
	APITokens *APITokenRules `json:"api_tokens,omitempty"`
}

func (e *TokenExchange) config() server.Exchange {
	if e == nil {
		return server.Exchange{}
	}
	return server.Exchange{Enabled: true, Anonymous: e.Anonymous, APITokens: e.APITokens.config(), MaxChain: time.Duration(e.MaxChain)}
}
