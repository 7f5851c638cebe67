package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Config describes an issuer.
type Config struct {
	Name      string            // tells the servers of one process apart; may be empty
	Issuer    string            // the URL that is iss; https, or http on a loopback host
	Store     store.Store       // what must outlive the process
	Memory    *Memory           // what must outlive a change of configuration; nil: new
	Clients   []tokenep.Client  // configured clients; those in the store come beside them
	Audience  []string          // aud of a token that was asked for no target; default: the issuer
	TokenTTL  time.Duration     // life of an access token; default: 1 h
	Algorithm string            // of new signing keys; default: ES256
	Exchange  Exchange          // RFC 8693
	Subjects  []*subject.Source // of tokens that others have issued; the server completes them
	Origins   tokenep.CORS      // web origins that may call the endpoints

	// User says which person a request to the authorization endpoint comes from. nil: there is no
	// such endpoint, and nobody can allow a client anything.
	User User

	// Users is where people and their passwords are known. Without User, this server signs people
	// in itself. nil: it signs nobody in.
	Users    *tokenep.UserSource
	Sessions Sessions     // of those who have signed in here
	Pages    page.Options // how its pages look

	// PasswordGrant lets clients that are registered for it send a user's name and password (RFC
	// 6749 §4.3), which RFC 9700 §2.4 says must not be done. It needs Users.
	PasswordGrant bool

	RefreshTokens RefreshTokens
	Health        bool // an endpoint says whether this server can do its work: see endpoint.Health
	RequirePAR    bool // clients must push their authorization requests (RFC 9126)

	// ConsentPage is a path or URL of the issuer's host where people are asked whether they allow
	// it; empty: this server asks them.
	ConsentPage string

	// OpenID offers ID tokens (OpenID Connect Core) to clients that are registered at run time. A
	// configured client of the authorization code grant with the scope openid does so as well.
	OpenID bool

	// UserClaims are the claims of users that clients are told (OpenID Connect Core §5.4). Their
	// values come from User. Empty: sub alone.
	UserClaims tokenep.UserClaims

	// SignIn are those of auth_time, acr and amr that User says.
	SignIn []string

	ForeignKeys func() []endpoint.ForeignKeys // that others here trust, for Health; may be nil

	DeviceCode DeviceCode // RFC 8628

	// Registration lets clients register themselves (RFC 7591). nil: they cannot.
	Registration *Registration

	// Grants are grants beside those of package grant, and Endpoints are endpoints beside those of
	// package endpoint. Each function is called by New, when the other parts of the server are
	// there: its store (Config.Store), clock (Config.Now), Revocations and Verifier.
	Grants    []func(*Server) (tokenep.Grant, error)
	Endpoints []func(*Server) (tokenep.Endpoint, error)

	// SigningKeys are signing keys that the operator rotates: the first one signs, all are
	// published. None: the server makes and rotates its own.
	SigningKeys []*keys.Key

	// EncryptionKeys protect signing keys in the store: the first one encrypts, each decrypts.
	// None: they are stored in clear. See keys.Options.
	EncryptionKeys [][]byte

	// RevocationInterval is how often this process asks the store for revocations made on other
	// nodes, and so how long a token that was revoked there may still pass here: 10 ms to 1 s; 0:
	// state.DefaultInterval. Each time costs one Load.
	RevocationInterval time.Duration

	// RevocationMaxAge is how long verifiers of this process accept tokens while revocations cannot
	// be read from the store; after it they answer 503. At least 5 s; 0: for ever, so that
	// verification goes on while the store is away.
	RevocationMaxAge time.Duration

	// CompareHash reports whether a secret that a person chose has this hash, and Decoy returns
	// another hash of the same cost: see clientauth.SecretOptions. Both nil: there are none.
	CompareHash func(hash, secret []byte) (bool, error)
	Decoy       func(hash []byte) []byte

	// ClientCertificates lets clients authenticate by TLS (RFC 8705 §2). nil: they cannot.
	ClientCertificates *ClientCertificates

	DPoP DPoP // proofs of clients (RFC 9449)

	// Received returns the method and the target of a request as the client sent it, where others
	// may have changed them before the server: DPoP proofs are of those (RFC 9449 §4.3). Default:
	// those of the request.
	Received Received

	KeyAddresses []netip.Prefix    // special-use, for keys of clients: see verify.URLKeysOptions
	RateLimit    tokenep.RateLimit // of failed authentication, of clients and of people

	// ClientAddress is where a request comes from: failed authentication is counted for it, and API
	// tokens can be bound to it. Default: the peer.
	ClientAddress func(*http.Request) netip.Addr

	Observe func(context.Context, tokenep.Outcome) // is told of each request; may be nil
	Trace   tokenep.Trace                          // of the token endpoint's phases; nil: none

	// APITokenEvent is told of what happens to API tokens, once a minute if one is denied or used
	// too often, and must return at once; may be nil.
	APITokenEvent func(context.Context, state.APITokenEvent)

	Logger *slog.Logger     // default: slog.Default()
	Now    func() time.Time // default: time.Now

	// LogQuota bounds the lines about refused requests, of all servers and others that share it;
	// nil: one of its own.
	LogQuota *tokenep.LogQuota
}

// Exchange says which token exchanges (RFC 8693) are offered. The zero value offers none.
type Exchange struct {
	Enabled   bool
	Anonymous bool           // an API token needs no client beside it
	APITokens *APITokenRules // nil: there are none

	// MaxChain lets access tokens be renewed by exchange, where a path of the token endpoint does
	// (tokenep.Dialect.Renew): nothing that came of a token is good any longer than this after the
	// token was issued. Revocations and keys are kept for as long. At least a minute; 0: nothing is
	// renewed.
	MaxChain time.Duration
}

// Server is an authorization server. Its exported parts are for management, and for grants and
// endpoints from outside.
type Server struct {
	Config      Config
	Keys        *keys.Ring
	Clients     registry.Registry
	APITokens   state.APITokens
	Codes       state.Codes
	Consents    state.Consents // of people
	Families    state.Families // of refresh tokens
	Sessions    state.Sessions // of people who have signed in here
	Revocations *state.Revocations
	Verifier    *verify.Verifier // of this issuer's tokens, for any audience

	idTokenKeys   map[string]*keys.Ring // by algorithm
	before        *keys.Ring            // of the configuration from which it took over
	lenient       *verify.Verifier      // as expired, with the most leeway, revoked or not
	expired       *verify.Verifier      // as introspecting, expired or not; nil: nothing is renewed
	introspecting *verify.Verifier      // as Verifier, without proof of possession
	toItself      *verify.Verifier      // as Verifier, for the issuer as audience
	foreign       map[subject.Form]subject.Foreign
	passwords     *tokenep.Passwords // nil: there are none
	usersAsked    usersAsked
	pages         *page.Set
	paths         atomic.Pointer[map[string]string] // of endpoints, as they were mounted first
	possessions   tokenep.Possessions
	minter        *tokenep.Minter
	front         *tokenep.Front
	methods       []tokenep.ClientAuth
	grants        []tokenep.Grant
	endpoints     []tokenep.Endpoint          // all but the token endpoint and the metadata
	tokenURLs     atomic.Pointer[[]string]    // of all mounts: see mount.go
	chain         atomic.Pointer[state.Chain] // nil: not started
	ready         chan struct{}
}

// New checks the configuration and puts the parts together. It does no I/O: that begins with Start.
func New(c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	c.Clients = slices.Clone(c.Clients) // their grants are completed below
	s := &Server{Config: c, ready: make(chan struct{})}
	if err := s.addRings(); err != nil {
		return nil, err
	}
	s.Revocations = state.NewRevocations(c.Store, c.Memory.Revocations, c.Now, c.Logger)
	s.Revocations.Interval = c.RevocationInterval
	s.Clients = registry.Registry{Store: c.Store, Now: c.Now, Complete: s.completeAdded, Revocations: s.Revocations, TokenLife: s.TokenLife}
	s.minter = &tokenep.Minter{Issuer: c.Issuer, Keys: s.Keys, IDTokenKeys: s.idTokenKeys, Cache: c.Memory.Cache, Now: c.Now}
	if err := s.addPossessions(); err != nil {
		return nil, err
	}
	if err := s.trustItself(); err != nil {
		return nil, err
	}
	if err := s.remember(); err != nil {
		return nil, err
	}
	if c.Users != nil {
		s.Config.Users = s.usersAsked.watch(c.Users, c.Now)
		s.passwords = &tokenep.Passwords{Source: s.Config.Users, Active: s.active, Limiter: c.signInLimiter(), Limit: c.RateLimit, Now: c.Now}
	}
	if err := s.addGrants(); err != nil {
		return nil, err
	}
	s.methods = s.authMethods()
	configured, err := s.configuredClients()
	if err != nil {
		return nil, err
	}
	s.front = &tokenep.Front{
		Authenticator: &tokenep.Authenticator{
			Methods: s.methods, Clients: s.clients(configured), Limiter: c.limiter(), Limit: c.RateLimit, Address: c.ClientAddress,
		},
		Origins: c.Origins, Possessions: s.possessions, Wait: s.Wait, Observe: c.Observe, Now: c.Now, Trace: c.Trace,
		Log: &tokenep.RequestLog{Logger: c.Logger, Now: c.Now, Quota: c.LogQuota},
	}
	if s.pages, err = c.Memory.pageSet(c.Pages); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if err := s.addEndpoints(); err != nil {
		return nil, err
	}
	if s.Keys.Inherited() {
		s.open()
	}
	return s, nil
}

// complete fills in the defaults and checks what is left.
func (c *Config) complete() error {
	if err := CheckIssuer(c.Issuer); err != nil {
		return err
	}
	if c.Store == nil {
		return errors.New("a store is required")
	}
	c.addParts()
	if c.TokenTTL == 0 {
		c.TokenTTL = time.Hour
	}
	if err := tokenep.CheckLife(c.TokenTTL); err != nil {
		return fmt.Errorf("access tokens: %w", err)
	}
	if err := c.checkConsentPage(); err != nil {
		return err
	}
	if err := c.completeRevocation(); err != nil {
		return err
	}
	if len(c.SigningKeys) > 0 && c.SigningKeys[0] != nil {
		c.Algorithm = c.SigningKeys[0].Algorithm
	}
	if c.Algorithm == "" {
		c.Algorithm = "ES256"
	}
	if len(c.Audience) == 0 {
		c.Audience = []string{c.Issuer}
	}
	if err := CheckAudience(c.Audience); err != nil {
		return err
	}
	if err := c.RateLimit.Validate(); err != nil {
		return fmt.Errorf("rate limit: %w", err)
	}
	if err := c.completePeople(); err != nil {
		return err
	}
	if err := c.completeRegistration(); err != nil {
		return err
	}
	if chain := c.Exchange.MaxChain; chain != 0 {
		if err := CheckMaxChain(chain); err != nil {
			return err
		}
	}
	return c.Exchange.APITokens.complete()
}

// Start loads the keys, making the first ones if there are none, and catches up with revocations;
// both go on until ctx is done. Requests that came before wait for it. A configuration that takes
// over from another needs no store for its start: it answers requests at once and, while the store
// is away, goes on with what is in Memory.
func (s *Server) Start(ctx context.Context) error {
	if err := s.startRings(ctx); err != nil {
		return err
	}
	if err := s.loadRefreshKey(ctx); err != nil {
		return err
	}
	if err := s.loadChain(ctx); err != nil {
		return err
	}
	if s.Keys.Inherited() {
		s.Revocations.Resume(ctx)
	} else {
		if err := s.Revocations.Start(ctx); err != nil {
			return err
		}
		if err := s.loadImports(ctx); err != nil {
			return err
		}
		s.open()
		go s.finishOthers(ctx)
	}
	if s.asks() {
		go s.recheck(ctx)
	}
	s.before = s.Config.Memory.ring.Swap(s.Keys)
	s.followAPITokens(ctx)
	return nil
}

// Close withdraws a server that was started but will not be used: the next one takes over from the
// one before it. It also logs how many refusals have not been logged.
func (s *Server) Close() {
	s.Config.Memory.ring.CompareAndSwap(s.Keys, s.before)
	s.front.Log.Flush()
}
