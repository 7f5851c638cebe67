package oauthserver

import "github.com/tokenep/caddy-tokenep/tokenep/server"

// TokenExchange says which tokens can be exchanged for an access token (RFC 8693). A client can
// always exchange the server's own access tokens.
type TokenExchange struct {
	// Accept an API token without client authentication. Default: false, a client must
	// authenticate.
	Anonymous bool `json:"anonymous,omitempty"`

	// Accept API tokens, which are long-lived credentials of people and scripts. Default: none.
	APITokens *APITokenRules `json:"api_tokens,omitempty"`
}

func (e *TokenExchange) config() server.Exchange {
	if e == nil {
		return server.Exchange{}
	}
	return server.Exchange{Enabled: true, Anonymous: e.Anonymous, APITokens: e.APITokens.config()}
}
