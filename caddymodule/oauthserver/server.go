package oauthserver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// AuthorizationServer is one OAuth 2.0 authorization server: an issuer of access tokens (RFC 6749, RFC 9068).
type AuthorizationServer struct {
	// The issuer identifier (RFC 8414 §2): the iss of every token, and the URL that the endpoints are derived from. An https URL without query and
	// fragment; http is accepted for loopback hosts alone. It never comes from a request, so behind another proxy it is what clients see. Required.
	// Placeholders such as {env.ISSUER} are resolved when the configuration is loaded.
	Issuer string `json:"issuer,omitempty"`

	// Where keys, run-time clients, API tokens and revocations are kept. Default: bolt, a file under Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=oauth_server.stores inline_key=module"`

	// The life of an access token. Default: 1h, also for 0. Short lives bound what a stolen token is good for.
	AccessTokenTTL caddy.Duration `json:"access_token_ttl,omitempty"`

	// The algorithm (RFC 7518 §3.1, RFC 8037) of new signing keys: ES256, ES384, ES512, EdDSA, RS256, PS256 and their larger kin. Default: ES256.
	// After a change the old key goes on verifying until the last token it signed is dead.
	SigningAlg string `json:"signing_alg,omitempty"`

	// Signing keys in files, instead of keys that the server makes: one signs, all are published, and they turn over by loading a configuration with
	// others. Keys that the server made before stay published until their tokens are dead.
	SigningKeys []SigningKey `json:"signing_keys,omitempty"`

	// What signing keys are encrypted under in the store (AES-256-GCM): placeholders, {env.…} or {file.…}, for 32 random bytes in base64 or hex.
	// The first one encrypts, each decrypts. To replace one, add the new one last on all machines, then put it first, then drop the old one. What is
	// stored in clear is encrypted at the next start. Default: none, and signing keys are in clear.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// How often revocations made on other machines are looked for, and so how long a token revoked there may still pass here: 10ms to 1s. Each time costs
	// the store one read. Default: 250ms.
	RevocationInterval caddy.Duration `json:"revocation_interval,omitempty"`

	// For how long oauth_verify takes this server's tokens when revocations cannot be read from the store: after that it answers 503 until they can be.
	// At least 5s. Default: for ever, with an error in the log, so that an outage of the store does not become one of everything behind oauth_verify.
	RevocationMaxAge caddy.Duration `json:"revocation_max_age,omitempty"`

	// The aud of a token that was asked for no resource in particular (RFC 9068 §3). Default: the issuer. Better give each client an audience.
	Audience []string `json:"audience,omitempty"`

	// The web origins whose scripts may call the token and revocation endpoints, such as https://app.example.com, or "*" for all. Default: none.
	CORSOrigins []string `json:"cors_origins,omitempty"`

	// The clients that are known from the configuration. Others may be added at run time.
	Clients []*tokenep.Client `json:"clients,omitempty"`

	// Token exchange (RFC 8693). Default: not offered.
	TokenExchange *TokenExchange `json:"token_exchange,omitempty"`

	// Further grants by the names of their modules, which other plugins bring. Default: none.
	GrantsRaw caddy.ModuleMap `json:"grants,omitempty" caddy:"namespace=oauth_server.grants"`

	app       *App
	name      string
	storeName string
	poolKey   string
	shared    *shared // nil until provisioned
	released  bool    // the shared state is given back
	core      *server.Server

	takesOver bool // it has what it needs from the configuration before
	volatile  bool // the store is in memory, and nobody else can read it
}

// RetryStart is when to ask again for a server that has not started.
const RetryStart = 5 * time.Second

// Name returns the name by which the handlers refer to the server.
func (s *AuthorizationServer) Name() string { return s.name }

// Server returns the library's server, which the configuration describes.
func (s *AuthorizationServer) Server() *server.Server { return s.core }

// provision resolves and checks the configuration, and puts the server together without I/O.
func (s *AuthorizationServer) provision(ctx caddy.Context, app *App, name string) error {
	s.app, s.name = app, name
	config := server.Config{
		Name:               name,
		TokenTTL:           time.Duration(s.AccessTokenTTL),
		Algorithm:          s.SigningAlg,
		RevocationInterval: time.Duration(s.RevocationInterval),
		RevocationMaxAge:   time.Duration(s.RevocationMaxAge),
		Exchange:           s.TokenExchange.config(),
		Origins:            tokenep.CORS(s.CORSOrigins),
		ClientAddress:      adapt.ClientAddress,
		Observe:            s.observe,
		Logger:             ctx.Slogger().With("server", name),
	}
	var err error
	if err := s.check(); err != nil {
		return err
	}
	if config.Issuer, err = adapt.Resolve("issuer", s.Issuer, server.CheckIssuer); err != nil {
		return err
	}
	if config.Audience, err = adapt.ResolveAll("audience", s.Audience); err != nil {
		return err
	}
	if err := checkOrigins(s.CORSOrigins); err != nil {
		return err
	}
	if config.Clients, err = s.clients(); err != nil {
		return err
	}
	if config.SigningKeys, err = s.signingKeys(); err != nil {
		return err
	}
	if config.EncryptionKeys, err = s.encryptionKeys(); err != nil {
		return err
	}
	warnClients(config.Logger, config.Clients, time.Now())
	config.CompareHash, config.DecoyHash = comparison(config.Clients)
	if err := s.acquireStore(ctx); err != nil {
		return err
	}
	config.Store, config.Memory = s.shared, s.shared.memory
	if err := s.extend(ctx, &config); err != nil {
		return err
	}
	if s.core, err = server.New(config); err != nil {
		return err
	}
	s.takesOver = s.core.Ready()
	return nil
}

// start opens the store and loads the keys; both outlive it until ctx is done.
func (s *AuthorizationServer) start(ctx context.Context) error {
	if err := s.shared.open(); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	s.warnOfClearKeys()
	return s.core.Start(ctx)
}

// Ready returns when the server can answer: at once when it takes over from an earlier configuration, which may fail to start without any request failing
// for it, and else when the app has started.
func (s *AuthorizationServer) Ready(ctx context.Context) error {
	if s.takesOver {
		return nil
	}
	return s.app.ready(ctx)
}

// cleanup gives the store back, once, however far provision got.
func (s *AuthorizationServer) cleanup() error {
	if s.shared == nil || s.released {
		return nil
	}
	s.released = true
	if s.core != nil {
		s.core.Close()
	}
	_, err := pool.Delete(s.poolKey)
	return err
}
