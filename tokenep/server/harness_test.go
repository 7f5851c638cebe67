package server_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const (
	issuer     = "https://as.example"
	orders     = "https://api.example/orders"
	invoices   = "https://api.example/invoices"
	tokenPath  = "/oauth/token"
	jsonPath   = "/v2/oauth/token" // a dialect with JSON bodies
	phrasePath = "/phrase/token"   // a dialect for callers that send a bare API token
	revokePath = "/oauth/revoke"

	cc          = grant.ClientCredentialsType
	exchange    = grant.TokenExchangeType
	accessToken = grant.AccessTokenType
	apiToken    = server.APITokenType
)

// start is not a whole second, so that what ought to be rounded down is seen to be.
var start = time.Date(2026, 3, 4, 5, 6, 7, 900e6, time.UTC)

// fixture is a server with everything that a test may want to turn.
type fixture struct {
	*server.Server
	url     string
	handler http.Handler
	clock   *verifytest.Clock
	store   *breakable
	log     *log
}

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newFixture starts a server. Failures of client authentication are not limited, unless a change to the configuration says so.
func newFixture(t *testing.T, changes ...func(*server.Config)) *fixture {
	t.Helper()
	f := &fixture{clock: verifytest.NewClock(start), log: new(log)}
	f.store = &breakable{Store: memory.New(memory.Options{Now: f.clock.Now})}
	c := f.config(f.clock.Now)
	c.Memory.Limiter = nil
	for _, change := range changes {
		change(&c)
	}
	f.serve(t, c)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) config(now func() time.Time) server.Config {
	return server.Config{
		Issuer: issuer, Store: f.store, Memory: server.NewMemory(now), Clients: slices.Clone(clients), TokenTTL: 4 * time.Hour,
		Exchange: server.Exchange{Enabled: true, Anonymous: true, APITokens: &server.APITokenRules{Prefix: "demo"}},
		Logger:   slog.New(slog.NewTextHandler(f.log, nil)), Now: now,
	}
}

// serve mounts a server that has not been started, and listens.
func (f *fixture) serve(t *testing.T, c server.Config) {
	t.Helper()
	f.mount(t, c)
	listener := httptest.NewServer(f.handler)
	t.Cleanup(listener.Close)
	f.url = listener.URL
}

// mount makes a server that is called without a connection in between.
func (f *fixture) mount(t *testing.T, c server.Config) {
	t.Helper()
	var err error
	if f.Server, err = server.New(c); err != nil {
		t.Fatal(err)
	}
	routes, err := f.Mount(server.Paths{Token: []server.TokenPath{
		{Path: tokenPath},
		{Path: jsonPath, Dialect: tokenep.Dialect{JSON: true}},
		{Path: phrasePath, Dialect: tokenep.Dialect{
			SubjectTokenType: apiToken, SubjectTokenError: tokenep.InvalidGrant,
			Ignore: []string{"resource", "audience", "scope", "actor_token", "actor_token_type"},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = routes.Handler(http.NotFoundHandler())
}

// limited gives a server a limiter that sees every request come from one address.
func limited(c *server.Config) {
	c.Memory.Limiter = &tokenep.Limiter{Now: c.Now}
	c.ClientAddress = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
}

// mint signs a token as the server would, with claims that no request leads to. What is left out is that of a token of billing.
func (f *fixture) mint(t *testing.T, c tokenep.Claims) string {
	t.Helper()
	if c.Subject == "" {
		c.Subject = "alice"
	}
	if c.ClientID == "" {
		c.ClientID = "billing"
	}
	if c.Audience == nil {
		c.Audience = []string{orders}
	}
	c.IssuedAt = f.clock.Now().Truncate(time.Second)
	if c.Expires.IsZero() {
		c.Expires = c.IssuedAt.Add(time.Hour)
	}
	minted, err := (&tokenep.Minter{Issuer: issuer, Keys: f.Keys, Now: f.clock.Now}).Mint(&c)
	if err != nil {
		t.Fatal(err)
	}
	return minted.Token
}

// anyToken is an API token of which nothing in particular is asked.
var anyToken state.APIToken

func first[T, U any](t T, _ U) T { return t }

// apiToken makes an API token of alice for orders, unless it is said otherwise.
func (f *fixture) apiToken(t *testing.T, want state.APIToken) (string, state.APIToken) {
	t.Helper()
	if want.Owner == "" {
		want.Owner = "alice"
	}
	if want.Service == "" {
		want.Service = orders
	}
	text, made, err := f.APITokens.Create(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return text, made
}
