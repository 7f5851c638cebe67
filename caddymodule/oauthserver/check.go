package oauthserver

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
)

// check returns an error if something is missing, or if two parts contradict each other.
func (s *AuthorizationServer) check() error {
	if s.Issuer == "" {
		return errors.New("issuer is missing: the URL by which clients know the server, such as https://auth.example.com")
	}
	for _, c := range s.Clients {
		if c != nil && s.TokenExchange == nil && s.SubjectsRaw == nil && c.May(grant.TokenExchangeType) {
			return fmt.Errorf("client %q has the grant token_exchange, but the oauth_server has no token_exchange: "+
				"add it, or remove the grant", c.ID)
		}
		if c != nil && s.SubjectsRaw == nil && c.May(grant.JWTBearerType) {
			return fmt.Errorf("client %q has the grant jwt_bearer, but the oauth_server accepts no assertions: "+
				"add a subject with a policy that has grants jwt_bearer, or remove the grant", c.ID)
		}
		if c != nil && s.ClientCertificates == nil && (c.Authenticates(tokenep.AuthTLS) || c.Authenticates(tokenep.AuthSelfSignedTLS)) {
			return fmt.Errorf("client %q authenticates by a TLS certificate, and the oauth_server looks at none: "+
				"add client_certificates, or another auth_method", c.ID)
		}
	}
	if s.TokenExchange != nil {
		if err := s.TokenExchange.APITokens.check(); err != nil {
			return err
		}
	}
	return cmp.Or(
		s.Registration.check(), s.ClientCertificates.Check(), s.DPoP.check(), s.checkIdentity(), s.checkUser(), s.checkUsers(),
		s.Sessions.check(), s.Pages.check(), s.DeviceCode.check(), s.RefreshTokens.check(),
	)
}

// warnClients logs what is probably a mistake, but not always. An expired secret is no error, since
// a configuration must not stop loading from one day to the next; and a name may be that of a
// client that is added at run time.
func warnClients(logger *slog.Logger, config *server.Config, now time.Time) {
	for i := range config.Clients {
		c := &config.Clients[i]
		if isIdle(c) {
			logger.Warn("the client can get no token: give it grants other than refresh_token, or introspect if it is a protected resource", "client", c.ID)
		}
		if time.Duration(c.AccessTokenTTL) > longLife {
			logger.Warn("access_token_ttl: whoever steals an access token has it for longer than a year, and keys and revocations are kept for as long; "+
				"make it shorter, and have clients ask again", "client", c.ID, "access_token_ttl", c.AccessTokenTTL.String())
		}
		for _, secret := range c.Secrets {
			if !secret.Expires.IsZero() && !now.Before(secret.Expires) {
				logger.Warn("a secret has expired; remove it", "client", c.ID, "expired", secret.Expires)
			}
			if cost := hashCost([]byte(secret.Hash)); cost > maxDecoyCost {
				logger.Warn("checking a secret takes long: by the time of a refusal others can tell that the client exists; "+
					"make its hash cheaper, or let the server generate the secret", "client", c.ID, "about", cost, "most", maxDecoyCost)
			}
		}
		warnLoose(logger, c)
		warnUnused(logger, c)
		warnNames(logger, config, c)
	}
}

// warnUnused logs which options of a client do nothing, for want of the grant that they are for.
func warnUnused(logger *slog.Logger, c *tokenep.Client) {
	for _, o := range []struct {
		option string
		set    bool
		grant  string
	}{
		{"redirect_uris", len(c.RedirectURIs) > 0, grant.AuthorizationCodeType},
		{"skip_consent", c.SkipConsent, grant.AuthorizationCodeType},
		{"require_par", c.RequirePAR, grant.AuthorizationCodeType},
		{"require_offline_access", c.RequireOfflineAccess, grant.RefreshTokenType},
		{"exchange_from", len(c.ExchangeFrom) > 0, grant.TokenExchangeType},
		{"exchange_to", len(c.ExchangeTo) > 0, grant.TokenExchangeType},
		{"actor_from", len(c.ActorFrom) > 0, grant.TokenExchangeType},
	} {
		if o.set && !c.May(o.grant) {
			logger.Warn(o.option+" does nothing without the grant "+tokenep.GrantName(o.grant)+": give the client the grant, or remove the option",
				"client", c.ID, "option", o.option)
		}
	}
}

// longLife is longer than anybody means an access token to live.
const longLife = 366 * 24 * time.Hour

// warnNames logs which clients a client names that nobody knows. What a policy has issued without a
// client has a client_id as well.
func warnNames(logger *slog.Logger, config *server.Config, c *tokenep.Client) {
	known := func(id string) bool {
		name, ofPolicy := strings.CutPrefix(id, tokenep.PolicyClientPrefix)
		return id == "*" || findClient(config, id) != nil || ofPolicy && slices.ContainsFunc(config.Subjects, func(source *subject.Source) bool {
			return slices.ContainsFunc(source.Policies, func(p subject.Policy) bool { return p.Name == name })
		})
	}
	for _, id := range c.ExchangeFrom {
		if !known(id) {
			logger.Warn("exchange_from names a client that is not in the configuration", "client", c.ID, "exchange_from", id)
		}
	}
	for _, o := range []struct {
		option  string
		entries []string
	}{{"may_act_for", c.MayActFor}, {"actor_from", c.ActorFrom}} {
		for _, entry := range o.entries {
			if id, ok := strings.CutPrefix(entry, "client_id="); ok && !known(id) {
				logger.Warn(o.option+" names a client that is not in the configuration", "client", c.ID, o.option, entry)
			}
		}
	}
}

// findClient returns a client of the configuration; nil: there is none of that id.
func findClient(config *server.Config, id string) *tokenep.Client {
	i := slices.IndexFunc(config.Clients, func(c tokenep.Client) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &config.Clients[i]
}

// warnIdle logs what is set for people and can do nothing. A client that may use the device code
// grant may be added at run time: none that registers itself has it.
func (s *AuthorizationServer) warnIdle(logger *slog.Logger) {
	placeholder, _ := s.identity()
	switch {
	case s.DeviceCode == nil:
	case placeholder == "" && s.UsersRaw == nil:
		logger.Warn("device_code does nothing: nobody can allow a device; add users, or identity", "option", "device_code")
	case !slices.ContainsFunc(s.Clients, func(c *tokenep.Client) bool { return c != nil && c.May(grant.DeviceCodeType) }):
		logger.Warn("device_code does nothing until a client is added that has the grant device_code: give it to one, or remove the option", "option", "device_code")
	}
	if x := s.TokenExchange; x != nil && x.Anonymous && x.APITokens == nil {
		logger.Warn("token_exchange: anonymous does nothing without api_tokens, which are all that needs no client: add api_tokens, or remove it", "option", "anonymous")
	}
	codes := func(c *tokenep.Client) bool { return c != nil && c.May(grant.AuthorizationCodeType) }
	if i := slices.IndexFunc(s.Clients, codes); i >= 0 && placeholder == defaultIdentity && s.Identity == "" && s.InsecureIdentity == "" {
		logger.Warn("authorization_code: nothing says how people sign in, and without it no client gets a code; add users, "+
			"or the option identity if a directive in front of oauth_token signs them in, such as basic_auth", "client", s.Clients[i].ID)
	}
	if s.Sessions != nil && (placeholder != "" || s.UsersRaw == nil) {
		logger.Warn("sessions does nothing: this server signs nobody in; add users, and leave out identity, or remove the option", "option", "sessions")
	}
}

// isIdle reports whether a client can do nothing: a refresh token comes of another grant.
func isIdle(c *tokenep.Client) bool {
	begins := func(name string) bool { return !tokenep.NamesGrant(name, grant.RefreshTokenType) }
	return len(c.Introspect) == 0 && !slices.ContainsFunc(c.GrantTypes, begins)
}

// CheckOrigins returns an error if no browser would send such an Origin (RFC 6454 §7). The usual
// mistake is a slash at the end.
func CheckOrigins(origins []string) error {
	if err := adapt.CheckNames(origins, "origins", adapt.Line("cors_origins")); err != nil {
		return err
	}
	for _, origin := range origins {
		if origin != "*" && !isOrigin(origin) {
			return fmt.Errorf("cors_origins: %q must be * or an origin such as https://app.example.com: scheme and host in lower case, "+
				"and the port if it is not the default of the scheme", origin)
		}
	}
	return nil
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != text {
		return false
	}
	usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return !strings.ContainsFunc(text, func(r rune) bool { return r > '~' || r >= 'A' && r <= 'Z' || r == '*' || r == '{' }) &&
		!strings.HasSuffix(text, ":") && (usual == "" || u.Port() != usual)
}

// warnLoose logs what a client is allowed that weakens it.
func warnLoose(logger *slog.Logger, c *tokenep.Client) {
	if c.InsecurePlainPKCE {
		logger.Warn("insecure_plain_pkce: whoever reads an authorization request of this client can redeem its code", "client", c.ID)
	}
	if c.InsecureNoPKCE {
		logger.Warn("insecure_no_pkce: nothing ties a code of this client to the browser that asked for it", "client", c.ID)
	}
	if c.InsecureUnsecuredSubject {
		logger.Warn("insecure_unsecured_subject: this client can get tokens of any user, by writing down the name", "client", c.ID)
	}
}
