package oauthserver

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// ClientRegistration lets clients register themselves (RFC 7591), and says what they may be at the
// most. Whatever a client asks for beyond that, it does not get.
type ClientRegistration struct {
	// Anybody may register a client. Default: false, and only whoever has an initial access token.
	Open bool `json:"open,omitempty"`

	// The initial access tokens (RFC 7591 §3), any of which registers clients. Each is random, of
	// 22 characters or more: its hash, $sha256$…, or a placeholder, {env.…} or {file.…}, for it.
	// Default: none.
	InitialAccessTokens []string `json:"initial_access_tokens,omitempty"`

	// The grants that a client may have: authorization_code, refresh_token and client_credentials.
	// Default: authorization_code.
	GrantTypes []string `json:"grant_types,omitempty"`

	// The scope that a client may ask for, and has if it asks for none. Default: none.
	Scope verify.Scope `json:"scope,omitempty"`

	// The resources that the tokens of a client may be for (RFC 8707). Default: the server's
	// audience.
	Audience []string `json:"audience,omitempty"`

	// The redirect URIs that a client may have: each is a URI, or an https URI with * in the place
	// of one label of its host, but for the last two, or of the rest of its path. At loopback hosts
	// any port will do, and * for the rest of the path. Required for authorization_code.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// How long a registration is kept that nobody uses, 1h or more. Default: 30d.
	Unused caddy.Duration `json:"unused,omitempty"`

	// A client may read, change and delete its registration (RFC 7592). Default: false.
	Management bool `json:"management,omitempty"`
}

// initialAccessToken is a token as RFC 6750 §2.1 writes it, too long to be guessed.
var initialAccessToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]{22,}=*$`)

var (
	errInitialAccessToken = errors.New("an initial access token must be 22 characters or more of A-Z, a-z, 0-9 and -._~+/, and random: " +
		"make one with openssl rand -base64 32")
	errLiteralInitialAccessToken = errors.New("initial_access_tokens in JSON must be hashes or placeholders")
)

// hashInitialAccessToken returns the hash of a token, which may be one already.
func hashInitialAccessToken(value string) (string, error) {
	switch {
	case sha256Hash.MatchString(value):
		return value, nil
	case !initialAccessToken.MatchString(value):
		return "", errInitialAccessToken
	}
	return tokenep.HashSecret(value), nil
}

// config returns the registration with what its placeholders stand for.
func (r *ClientRegistration) config() (*server.Registration, error) {
	if r == nil {
		return nil, nil
	}
	c := r.unresolved()
	var err error
	if c.Template.Audience, err = adapt.ResolveAudience(r.Audience); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	for i, value := range c.InitialAccessTokens {
		switch {
		case secretPlaceholder.MatchString(value):
			if value, err = adapt.Resolve("initial_access_token", value); err != nil {
				return nil, fmt.Errorf("registration: %w", err)
			}
			if c.InitialAccessTokens[i], err = hashInitialAccessToken(value); err != nil {
				return nil, fmt.Errorf("registration: initial_access_token %s: %w", r.InitialAccessTokens[i], err)
			}
		case !sha256Hash.MatchString(value):
			return nil, fmt.Errorf("registration: %w", errLiteralInitialAccessToken)
		}
	}
	return &c, nil
}

// unresolved returns the registration as it is written.
func (r *ClientRegistration) unresolved() server.Registration {
	c := server.Registration{
		Open: r.Open, InitialAccessTokens: slices.Clone(r.InitialAccessTokens), Unused: time.Duration(r.Unused), Management: r.Management,
		Template: endpoint.RegistrationTemplate{GrantTypes: r.GrantTypes, Scope: r.Scope, Audience: r.Audience},
	}
	for _, pattern := range r.RedirectURIs {
		c.Template.RedirectURIs = append(c.Template.RedirectURIs, tokenep.RedirectPattern(pattern))
	}
	return c
}

// check returns what is wrong with a registration, before its placeholders are resolved.
func (r *ClientRegistration) check() error {
	if r == nil {
		return nil
	}
	c := r.unresolved()
	c.Template.Audience = adapt.Literals(r.Audience)
	for i := range c.InitialAccessTokens { // which need not be known yet
		c.InitialAccessTokens[i] = tokenep.GeneratedHash
	}
	if err := cmp.Or(
		adapt.RefusePlaceholders("scope", r.Scope),
		adapt.RefusePlaceholders("grants", r.GrantTypes),
		adapt.RefusePlaceholders("redirect_uris", r.RedirectURIs),
		adapt.CheckScope(r.Scope, adapt.Line("scope")),
		adapt.CheckNames(r.GrantTypes, "grants", adapt.Line("grants")),
		c.Validate(),
	); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	return nil
}

// asksPeople reports whether clients that register themselves may ask people for something.
func (r *ClientRegistration) asksPeople() bool {
	return r != nil && (len(r.GrantTypes) == 0 || slices.Contains(r.GrantTypes, grant.AuthorizationCodeType))
}

// warn logs what is allowed, and seldom meant.
func (r *ClientRegistration) warn(logger *slog.Logger) {
	if r != nil && r.Open && slices.Contains(r.GrantTypes, grant.ClientCredentialsType) {
		logger.Warn("registration: with open and client_credentials anybody can get an access token", "scope", r.Scope.String(), "audience", r.Audience)
	}
}
