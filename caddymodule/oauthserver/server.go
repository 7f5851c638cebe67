package oauthserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// AuthorizationServer is one OAuth 2.0 authorization server: an issuer of access tokens (RFC 6749,
// RFC 9068).
type AuthorizationServer struct {
	// The issuer identifier (RFC 8414 §2): the iss of every token, and the URL from which the URLs
	// of the endpoints are derived. It must be an https URL without query and fragment; http is
	// accepted for loopback hosts only. It never comes from a request: behind another proxy, write
	// the URL that clients see. Placeholders such as {env.ISSUER} are resolved when the
	// configuration is loaded. Required.
	Issuer string `json:"issuer,omitempty"`

	// Where signing keys, run-time clients, API tokens and revocations are kept. Default: bolt,
	// with a file under Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=oauth_server.stores inline_key=module"`

	// The lifetime of an access token. A stolen token is good for no longer than that. Default: 1h,
	// also for 0.
	AccessTokenTTL caddy.Duration `json:"access_token_ttl,omitempty"`

	// The algorithm (RFC 7518 §3.1, RFC 8037) of new signing keys: ES256, ES384, ES512, EdDSA,
	// RS256, RS384, RS512, PS256, PS384 or PS512. After a change, the old key stays published until
	// the last token that it signed has expired. Default: ES256.
	SigningAlg string `json:"signing_alg,omitempty"`

	// Signing keys in files, which replace the keys that the server generates. One of them signs,
	// and all are published. To rotate them, load a configuration with other files. Keys that the
	// server generated earlier stay published until their tokens have expired. Default: none, and
	// the server generates its keys.
	SigningKeys []SigningKey `json:"signing_keys,omitempty"`

	// The keys that encrypt the signing keys in the store (AES-256-GCM). Each is a placeholder,
	// {env.…} or {file.…}, for 32 random bytes in base64 or hex. The first one encrypts; all of
	// them decrypt. To replace a key, first add the new one at the end on all machines, then move
	// it to the front, then remove the old one. Signing keys that are stored in clear are encrypted
	// at the next start. Default: none, and signing keys are stored in clear.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// How often the server looks for revocations that were made on other machines, from 10ms to 1s.
	// A token that was revoked there is accepted here for no longer than that. Each look is one
	// read of the store. Default: 250ms.
	RevocationInterval caddy.Duration `json:"revocation_interval,omitempty"`

	// How long oauth_verify accepts this server's tokens while revocations cannot be read from the
	// store, 5s or more. After that it answers 503 until they can be read again. Default: no limit,
	// and errors in the log, so that an outage of the store is not an outage of everything behind
	// oauth_verify.
	RevocationMaxAge caddy.Duration `json:"revocation_max_age,omitempty"`

	// How often authentication may fail before further attempts are slowed down and refused (RFC
	// 6749 §10.10), that of clients, and that of people by name and password. Default: 20 failures
	// of one client, or for one name, at one address in 200 seconds.
	RateLimit tokenep.RateLimit `json:"rate_limit,omitzero"`

	// The aud of a token that was requested without a resource (RFC 9068 §3). It is better to give
	// each client an audience. Default: the issuer.
	Audience []string `json:"audience,omitempty"`

	// The web origins (RFC 6454) whose scripts may call the token and revocation endpoints, such as
	// https://app.example.com, or "*" for all. Default: none.
	CORSOrigins []string `json:"cors_origins,omitempty"`

	// The placeholder that says who sits in front of the browser at the authorization endpoint
	// (RFC 6749 §3.1): whatever authenticates people in front of oauth_token has set it, such as
	// basic_auth. Where it is empty or unknown, nobody is let in. Default: with users none, and
	// people sign in on a page of this server; else {http.auth.user.id}, if a client of the
	// configuration, or one that registers itself, may use the authorization code grant; else none,
	// and there is no such endpoint.
	Identity string `json:"identity,omitempty"`

	// The same for a placeholder that whoever sends the request can write, such as
	// {http.request.header.Remote-User}: only if requests reach this server through a proxy alone
	// that sets it. Default: none.
	InsecureIdentity string `json:"insecure_identity,omitempty"`

	// What else is known of that person. Default: nothing.
	User *UserAttributes `json:"user,omitempty"`

	// Where people and their passwords are known: inline, htpasswd, ldap, http, or a module of
	// another plugin. Default: this server signs nobody in.
	UsersRaw json.RawMessage `json:"users,omitempty" caddy:"namespace=oauth_server.users inline_key=module"`

	// Where tokens come from that others have issued and that are exchanged for access tokens here
	// (RFC 8693, RFC 7523 §2.1), each with policies that say what comes of them. Default: none.
	SubjectsRaw []json.RawMessage `json:"subjects,omitempty" caddy:"namespace=oauth_server.subjects inline_key=kind"`

	// Offer the password grant (RFC 6749 §4.3) to the clients that are registered for it: they ask
	// a user for name and password, which RFC 9700 §2.4 says must not be done. It needs users. It
	// is for clients that cannot be changed yet. Default: false.
	PasswordGrant bool `json:"password_grant,omitempty"`

	// Whether clients must push their authorization requests (RFC 9126 §5), so that no browser can
	// change or show them. A client can be held to it alone. Default: false.
	RequirePAR bool `json:"require_par,omitempty"`

	// The page on which people are asked whether they allow it: a path or URL of the issuer's host.
	// The browser is sent there with the parameter consent_token. The page reads what is asked at
	// <path of the issuer>/oauth/consent/<consent_token>, and sends the answer to /oauth/grants:
	// whatever authenticates people must stand before these two as well. Default: a page of this
	// server, at the authorization endpoint.
	ConsentPage string `json:"consent_page,omitempty"`

	// The rules for refresh tokens. Default: see there.
	RefreshTokens *RefreshTokens `json:"refresh_tokens,omitempty"`

	// Devices without a browser that wait for a user (RFC 8628). Default: offered if a client of
	// the configuration may use the grant device_code.
	DeviceCode *DeviceCode `json:"device_code,omitempty"`

	// The rules for the sessions of people who sign in here. Default: see there.
	Sessions *Sessions `json:"sessions,omitempty"`

	// How the pages look that people see. Default: plain, and nobody's.
	Pages *Pages `json:"pages,omitempty"`

	// Where the certificates of clients come from that authenticate by TLS (RFC 8705). Default: no
	// certificates are looked at.
	ClientCertificates *ClientCertificates `json:"client_certificates,omitempty"`

	// The rules for proofs by which clients have their tokens bound to a key (RFC 9449). Default:
	// see there.
	DPoP *DPoP `json:"dpop,omitempty"`

	// Special-use addresses (RFC 6890), or blocks of them such as 10.0.0.0/8, from which the keys
	// of clients may be fetched. Default: none, but those of the loopback interface for a jwks_uri
	// on localhost.
	KeyAddresses []string `json:"key_addresses,omitempty"`

	// Offer ID tokens and the userinfo endpoint (OpenID Connect Core) to clients that are
	// registered at run time. Default: false, unless a client of the configuration that may use the
	// authorization code grant has the scope openid.
	OpenID bool `json:"openid,omitempty"`

	// Serve an endpoint at <path of the issuer>/oauth/health that says in JSON whether the signing
	// keys, the store, the log of revocations, the key sets of other issuers and the source of
	// users are good. It is 503 where this process can neither issue nor verify tokens, else 200,
	// without a secret in it; anybody can read it whom the site lets. Default: false.
	Health bool `json:"health,omitempty"`

	// The clients of the configuration. Others may be added at run time. Default: none.
	Clients []*tokenep.Client `json:"clients,omitempty"`

	// Clients that register themselves (RFC 7591). Default: none can.
	Registration *ClientRegistration `json:"registration,omitempty"`

	// Token exchange (RFC 8693). Default: not offered.
	TokenExchange *TokenExchange `json:"token_exchange,omitempty"`

	// Grants that other plugins bring, by the names of their modules. Default: none.
	GrantsRaw caddy.ModuleMap `json:"grants,omitempty" caddy:"namespace=oauth_server.grants"`

	app       *App
	name      string
	storeName string
	poolKey   string
	shared    *shared // nil until provisioned
	quota     *tokenep.LogQuota
	released  bool // the shared state has been released
	core      *server.Server
	events    *events
	tokens    sync.Map // of tokenMetrics, by grant and error code

	places       *adapt.Places
	unknownGrant error // of a client in the Caddyfile: it may be that of a plugin

	takesOver bool // the memory of an earlier configuration has all that it needs
	volatile  bool // of the store: see StoreOpener
}

// RetryStart is how long a client should wait before it asks a server again that has not started.
const RetryStart = 5 * time.Second

// Name returns the name by which the handlers refer to the server.
func (s *AuthorizationServer) Name() string { return s.name }

// Server returns the library's server, which was made of the configuration.
func (s *AuthorizationServer) Server() *server.Server { return s.core }

// provision resolves and checks the configuration and makes the server of it. It does not touch the
// store.
func (s *AuthorizationServer) provision(ctx caddy.Context, app *App, name string) error {
	s.app, s.name = app, name
	logger := adapt.Logger(ctx).With("server", name)
	config := server.Config{
		Name:               name,
		TokenTTL:           time.Duration(s.AccessTokenTTL),
		Algorithm:          s.SigningAlg,
		RevocationInterval: time.Duration(s.RevocationInterval),
		RevocationMaxAge:   time.Duration(s.RevocationMaxAge),
		RateLimit:          s.RateLimit,
		Exchange:           s.TokenExchange.config(),
		User:               s.user(),
		UserClaims:         s.User.claims(),
		SignIn:             s.User.signIn(),
		OpenID:             s.OpenID,
		RefreshTokens:      s.RefreshTokens.config(),
		Sessions:           s.Sessions.config(),
		DeviceCode:         s.DeviceCode.config(),
		DPoP:               s.DPoP.config(),
		Received:           adapt.Received,
		RequirePAR:         s.RequirePAR,
		Origins:            tokenep.CORS(s.CORSOrigins),
		ClientAddress:      adapt.ClientAddress,
		Observe:            s.observe, Trace: adapt.Trace,
		Logger: s.places.Logger(logger), // until it is loaded
	}
	err := s.check()
	if err != nil {
		return err
	}
	if config.Issuer, err = adapt.Resolve("issuer", s.Issuer, server.CheckIssuer); err != nil {
		return err
	}
	if config.Audience, err = adapt.ResolveAudience(s.Audience); err != nil {
		return err
	}
	if err := cmp.Or(s.provisionPages(&config), CheckOrigins(s.CORSOrigins)); err != nil {
		return err
	}
	if err := s.provisionClients(&config); err != nil {
		return err
	}
	if config.SigningKeys, err = s.signingKeys(); err != nil {
		return err
	}
	if config.EncryptionKeys, err = s.encryptionKeys(); err != nil {
		return err
	}
	if config.Registration, err = s.Registration.config(); err != nil {
		return err
	}
	if err := s.listen(ctx, &config); err != nil {
		return err
	}
	s.warnOf(config.Logger)
	config.CompareHash, config.Decoy, config.Health, config.ForeignKeys = compareHash, decoy, s.Health, s.foreignKeys
	if err := s.acquireStore(ctx); err != nil {
		return err
	}
	config.Store, config.Memory, config.LogQuota = s.shared, s.shared.memory, s.quota
	if err := s.extend(ctx, &config); err != nil {
		return err
	}
	config.Logger = logger
	if s.core, err = server.New(config); err != nil {
		return err
	}
	s.takesOver = s.core.Ready()
	return nil
}

// warnOf logs what is loose, or will soon not work.
func (s *AuthorizationServer) warnOf(logger *slog.Logger) {
	s.Registration.warn(logger)
	s.warnIdle(logger)
	if s.InsecureIdentity != "" {
		logger.Warn("insecure_identity: whoever can send requests to this server can say who they are", "placeholder", s.InsecureIdentity)
	}
}

// provisionPages adds the pages that people see.
func (s *AuthorizationServer) provisionPages(config *server.Config) (err error) {
	if s.ConsentPage != "" {
		if config.ConsentPage, err = adapt.Resolve("consent_page", s.ConsentPage, server.CheckConsentPage); err != nil {
			return err
		}
	}
	config.Pages, err = s.Pages.options()
	shown := pagesShown.MustCurryWith(prometheus.Labels{"server": s.name})
	config.Pages.Shown = func(name string) { shown.WithLabelValues(name).Inc() }
	return err
}

// provisionClients adds the clients, and what they authenticate with.
func (s *AuthorizationServer) provisionClients(config *server.Config) (err error) {
	if config.Clients, err = s.clients(config.Logger); err != nil {
		return err
	}
	if config.KeyAddresses, err = verify.ParseAddresses(s.KeyAddresses); err != nil {
		return fmt.Errorf("key_addresses: %w", err)
	}
	config.ClientCertificates, err = s.ClientCertificates.config()
	return err
}

// start opens the store and loads the keys. What runs in the background ends when ctx is done.
func (s *AuthorizationServer) start(ctx caddy.Context) error {
	if err := s.shared.open(); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	s.warnOfClearKeys()
	go s.events.run(ctx)
	if err := s.core.Start(ctx); err != nil {
		return err
	}
	running.started(s)
	return nil
}

// Ready returns when the server can answer. That is at once if it takes over from an earlier
// configuration: then no request fails even if this configuration fails to start. Otherwise it is
// when the app has started. The error is that of the start, or of ctx.
func (s *AuthorizationServer) Ready(ctx context.Context) error {
	if s.takesOver {
		return nil
	}
	return s.app.ready(ctx)
}

// cleanup releases the store, once, however far provision got.
func (s *AuthorizationServer) cleanup() error {
	if s.shared == nil || s.released {
		return nil
	}
	s.released = true
	running.stopped(s)
	if s.core != nil {
		s.core.Close()
	}
	_, err := pool.Delete(s.poolKey)
	return errors.Join(err, ReleaseLogQuota())
}
