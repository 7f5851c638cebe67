package tokeneptest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// The issuer, and two resources that its tokens are for.
const (
	Issuer   = "https://as.example"
	Orders   = "https://api.example/orders"
	Invoices = "https://api.example/invoices"
)

// Paths of the endpoints. The token endpoint has three, each with a dialect of its own, and
// IcebergPath where access tokens are renewed (Renewing).
const (
	TokenPath  = "/oauth/token"
	JSONPath   = "/v2/oauth/token" // takes JSON bodies as well
	PhrasePath = "/phrase/token"   // for callers that send a bare API token
	RevokePath = "/oauth/revoke"
	JWKSPath   = "/oauth/jwks"

	IcebergPath = "/v1/oauth/tokens" // for clients of Iceberg's REST catalog
)

// Start is the time that a new server's clock shows. It is not a whole second, so that a test
// notices what is not rounded down.
var Start = time.Date(2026, 3, 4, 5, 6, 7, 900e6, time.UTC)

// Server is an authorization server with everything that a test may want to turn.
type Server struct {
	*server.Server

	// URL is that of the listener, without a slash at its end. If it is empty, Send calls Handler
	// without a connection in between.
	URL     string
	Handler http.Handler // answers 404 at paths that are none of the server's

	Clock *verifytest.Clock
	Store *Store
	Log   *Log
}

// Change changes a configuration before a server is made of it.
type Change func(*server.Config)

// New returns a server that is started and listens until the end of the test. Failed client
// authentication is not slowed down, unless Limited is among the changes.
func New(t testing.TB, changes ...Change) *Server {
	t.Helper()
	s := &Server{Clock: verifytest.NewClock(Start), Log: new(Log)}
	s.Store = &Store{Store: memory.New(memory.Options{Now: s.Clock.Now})}
	c := Config(s.Store, s.Clock.Now)
	c.Logger = slog.New(slog.NewTextHandler(s.Log, nil))
	c.Memory.Limiter, c.Memory.SignIns, c.Memory.Registrations = nil, nil, nil
	for _, change := range changes {
		change(&c)
	}
	s.mount(t, c)
	s.listen(t)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Next returns a server of another configuration that shares the clock, the store and the log of s,
// as after a reload. It listens, and has not been started.
func (s *Server) Next(t testing.TB, c server.Config) *Server {
	t.Helper()
	next := &Server{Clock: s.Clock, Store: s.Store, Log: s.Log}
	next.mount(t, c)
	next.listen(t)
	return next
}

// NewUnstarted returns a server that neither has been started nor listens. Its Clock and Log are
// nil, and its Store is too unless the configuration has a *Store.
func NewUnstarted(t testing.TB, c server.Config) *Server {
	t.Helper()
	s := new(Server)
	s.Store, _ = c.Store.(*Store)
	s.mount(t, c)
	return s
}

// Config returns the configuration of New: token exchange is offered, with API tokens, which need
// no client beside them, and access tokens live four hours. Nothing is logged.
func Config(s store.Store, now func() time.Time) server.Config {
	return server.Config{
		Issuer: Issuer, Store: s, Memory: server.NewMemory(now), Clients: Clients(), TokenTTL: 4 * time.Hour,
		Exchange: server.Exchange{Enabled: true, Anonymous: true, APITokens: &server.APITokenRules{Prefix: "demo"}},
		Logger:   slog.New(slog.DiscardHandler), Now: now,
	}
}

// Paths returns the places of the token endpoint: TokenPath, JSONPath and PhrasePath.
func Paths() server.Paths {
	return server.Paths{Token: []server.TokenPath{
		{Path: TokenPath},
		{Path: JSONPath, Dialect: tokenep.Dialect{JSON: true}},
		{Path: PhrasePath, Dialect: tokenep.Dialect{
			SubjectTokenType: server.APITokenType, SubjectTokenError: tokenep.InvalidGrant,
			Ignore: []string{"resource", "audience", "scope", "actor_token", "actor_token_type"},
		}},
	}}
}

func (s *Server) mount(t testing.TB, c server.Config) {
	t.Helper()
	var err error
	if s.Server, err = server.New(c); err != nil {
		t.Fatal(err)
	}
	paths := Paths()
	if c.Exchange.MaxChain > 0 {
		paths.Token = append(paths.Token, server.TokenPath{Path: IcebergPath, Dialect: Iceberg()})
	}
	routes, err := s.Mount(paths)
	if err != nil {
		t.Fatal(err)
	}
	s.Handler = counted(routes.Handler(http.NotFoundHandler()))
}

func (s *Server) listen(t testing.TB) {
	listener := httptest.NewServer(s.Handler)
	t.Cleanup(listener.Close)
	s.URL = listener.URL
}

// WithGrant adds a grant.
func WithGrant(g tokenep.Grant) Change {
	return func(c *server.Config) {
		c.Grants = append(c.Grants, func(*server.Server) (tokenep.Grant, error) { return g, nil })
	}
}

// WithEndpoint adds an endpoint.
func WithEndpoint(e tokenep.Endpoint) Change {
	return func(c *server.Config) {
		c.Endpoints = append(c.Endpoints, func(*server.Server) (tokenep.Endpoint, error) { return e, nil })
	}
}

// Iceberg returns the dialect of IcebergPath.
func Iceberg() tokenep.Dialect {
	return tokenep.Dialect{
		DefaultScope: verify.Scope{"catalog"}, Renew: true, RenewExpired: time.Hour, BearerClient: true, BasicErrors: true,
	}
}

// MaxChain is how long a chain of exchanges may last on a server that is Renewing.
const MaxChain = 24 * time.Hour

// Renewing is a Change: there is an IcebergPath, at which access tokens are renewed.
func Renewing(c *server.Config) { c.Exchange.MaxChain = MaxChain }

// Alter is a Change of one client.
func Alter(id string, change func(*tokenep.Client)) Change {
	return func(c *server.Config) {
		for i := range c.Clients {
			if c.Clients[i].ID == id {
				change(&c.Clients[i])
			}
		}
	}
}

// AnyActor is a Change: billing may bring any token as an actor token.
var AnyActor = Alter("billing", func(c *tokenep.Client) { c.ActorFrom = []string{"*"} })

// WithClients adds clients.
func WithClients(clients ...tokenep.Client) Change {
	return func(c *server.Config) { c.Clients = append(c.Clients, clients...) }
}

// Peer is the address that every request comes from, for a server that is Limited.
var Peer = netip.MustParseAddr("192.0.2.1")

// Limited is a Change: failed client authentication is slowed down.
func Limited(c *server.Config) {
	c.Memory.Limiter, c.Memory.SignIns = &tokenep.Limiter{Now: c.Now}, &tokenep.Limiter{Now: c.Now}
	c.ClientAddress = func(*http.Request) netip.Addr { return Peer }
}
