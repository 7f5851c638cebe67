package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// tokenPath is the default path of the token endpoint, below that of the issuer.
const tokenPath = "/oauth/token"

// tokenEndpoint returns the token endpoint under one dialect.
func (s *Server) tokenEndpoint(d *tokenep.Dialect) *tokenep.Endpoint {
	return &tokenep.Endpoint{
		Name: tokenep.TokenEndpointName, Path: tokenPath, Member: "token_endpoint",
		Methods: []string{http.MethodPost},
		Handler: s.pipeline(d),
	}
}

// pipeline returns the ten phases under one dialect.
func (s *Server) pipeline(d *tokenep.Dialect) *tokenep.TokenEndpoint {
	return &tokenep.TokenEndpoint{
		Front: s.front, Minter: s.minter, Grants: s.grants, Dialect: d,
		Active: s.active, Enabled: s.enabled, Verifier: s.Verifier,
		TokenTTL: s.Config.TokenTTL, LongestTTL: s.Config.LongestTTL(), Audience: s.Config.Audience,
	}
}

// completeDialect finds out which kind of token an exchange brings that does not say so, and warns
// if it is one that nobody takes: then each such exchange is refused.
func (s *Server) completeDialect(t *TokenPath, logger *slog.Logger) {
	var taken []string
	for _, g := range s.grants {
		if exchange, ok := g.(grant.TokenExchange); ok {
			taken = exchange.Types()
		}
	}
	identifier := t.Dialect.SubjectTokenType
	switch rules := s.Config.Exchange.APITokens; {
	case identifier == "", slices.Contains(taken, identifier):
	case identifier == phraseTokenType && rules != nil && s.Config.Exchange.Enabled:
		t.Dialect.SubjectTokenType = rules.Types[0]
	default:
		logger.Warn("token_endpoint "+t.Path+": subject_token_type names tokens that this server does not take, so that an exchange at this path is refused "+
			"which does not say what it brings: offer api_tokens in token_exchange, or a subject of that token_type, or name one of those that are taken",
			"path", t.Path, "subject_token_type", identifier, "taken", taken)
	}
}

// checkDialect returns what a dialect needs and this server does not have.
func (s *Server) checkDialect(t *TokenPath) error {
	if t.Dialect.Renew && s.Config.Exchange.MaxChain == 0 {
		return fmt.Errorf("token endpoint %s renews access tokens: say for how long, by max_chain of token_exchange, such as max_chain 24h", t.Path)
	}
	if !t.Dialect.BearerClient {
		return nil
	}
	for i := range s.Config.Clients {
		if c := &s.Config.Clients[i]; c.ProvesKey() && c.May(tokenep.TokenExchangeType) {
			return fmt.Errorf("token endpoint %s: bearer_client would let the client %q, which is registered for keys or certificates alone, "+
				"authenticate by an access token: take bearer_client away there, or the grant token_exchange from the client", t.Path, c.ID)
		}
	}
	return nil
}
