package oauthserver

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// APITokenRules are the rules for API tokens. The text of a token is
// <prefix>_<id>_<secret><checksum>.
type APITokenRules struct {
	// The prefix by which people and secret scanners recognize the tokens: a lower-case letter and
	// up to 15 more letters or digits. Default: api.
	Prefix string `json:"prefix,omitempty"`

	// How many live tokens one owner may have, from 1 to 500. Default: 500.
	MaxPerUser int `json:"max_per_user,omitempty"`

	// The longest lifetime of a token. Where none is asked for it is 90d, or this if this is
	// shorter. Default: 730d.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Let tokens be made that never expire. Default: false.
	AllowNever bool `json:"allow_never,omitempty"`

	// When an old secret of a token that was rolled is used after its end, end the token: somebody
	// has a copy. Without it that is an event, old_secret. Default: false.
	EndReused bool `json:"end_reused,omitempty"`

	// The token type identifiers (RFC 8693 §3) that mean an API token. What clients bring to a path
	// of oauth_token with dialect phrase is one as well. Default:
	// urn:tokenep:params:oauth:token-type:api_token.
	TokenTypes []string `json:"token_types,omitempty"`

	// The services that tokens can be made for. Tokens that were made before are held to them as
	// well, each time that they are exchanged. Default: any service, and any scope.
	Services []APITokenService `json:"services,omitempty"`

	// Regular expressions (RE2) for whole tokens that other systems have handed out, each with a
	// group (?P<id>…) for the part by which such a token is found. They are needed for tokens that
	// are imported with a salted hash, by bcrypt or argon2id. Default: none.
	TokenPatterns []string `json:"token_patterns,omitempty"`
}

// APITokenService is a service that API tokens can be made for.
type APITokenService struct {
	// The audience of the service: aud of the access tokens. Required.
	Audience string `json:"audience"`

	// The scope tokens that an API token for the service can have. Default: none.
	Scope []string `json:"scope,omitempty"`
}

func (t *APITokenRules) config() *server.APITokenRules {
	if t == nil {
		return nil
	}
	rules := &server.APITokenRules{
		Types: t.TokenTypes, Prefix: t.Prefix, MaxPerUser: t.MaxPerUser, MaxAge: time.Duration(t.MaxAge), AllowNever: t.AllowNever,
		EndReused: t.EndReused,
	}
	for _, s := range t.Services {
		rules.Services = append(rules.Services, server.APITokenService{Audience: s.Audience, Scope: s.Scope})
	}
	for _, text := range t.TokenPatterns {
		if p, err := state.ParseTokenPattern(text); err == nil { // or check has refused it
			rules.Patterns = append(rules.Patterns, p)
		}
	}
	return rules
}

// check refuses what is no list of names but could pass for one, and placeholders that nobody
// resolves.
func (t *APITokenRules) check() error {
	if t == nil {
		return nil
	}
	if err := adapt.CheckURNs(t.TokenTypes, adapt.Line("token_type")); err != nil {
		return err
	}
	for _, text := range t.TokenPatterns {
		if _, err := state.ParseTokenPattern(text); err != nil {
			return fmt.Errorf("token_pattern %.80q: %w", text, err)
		}
	}
	for _, s := range t.Services {
		if err := s.check(); err != nil {
			return fmt.Errorf("service: %w", err)
		}
	}
	return nil
}

func (s *APITokenService) check() error {
	service := func(scope ...string) string {
		return strings.Join(append([]string{"service", s.Audience}, scope...), " ")
	}
	if err := adapt.RefusePlaceholders("service", append([]string{s.Audience}, s.Scope...)); err != nil {
		return err
	}
	one := func(services []string) string {
		return "a line for each: service " + strings.Join(services, ", then service ")
	}
	if err := adapt.CheckAudience([]string{s.Audience}, one); err != nil {
		return err
	}
	return adapt.CheckScope(s.Scope, func(tokens []string) string { return service(tokens...) })
}
