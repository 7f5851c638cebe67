package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A bad configuration is refused before anything starts.
func TestConfig(t *testing.T) {
	tokens := func(rules server.APITokenRules) func(*server.Config) {
		return func(c *server.Config) { c.Exchange = server.Exchange{Enabled: true, APITokens: &rules} }
	}
	with := func(client tokenep.Client) func(*server.Config) {
		return func(c *server.Config) { c.Clients = []tokenep.Client{client} }
	}
	key := verifytest.New(issuer, "x").JWKS()
	for _, row := range []struct {
		name   string
		change func(*server.Config)
		wrong  string // a part of the error; empty: none
	}{
		{"the least there can be", func(*server.Config) {}, ""},
		{"API tokens by default", tokens(server.APITokenRules{}), ""},
		{"an IPv6 loopback", func(c *server.Config) { c.Issuer = "http://[::1]:8080" }, ""},
		{"no store", func(c *server.Config) { c.Store = nil }, "store"},
		{"http", func(c *server.Config) { c.Issuer = "http://as.example" }, "https"},
		{"an unknown algorithm", func(c *server.Config) { c.Algorithm = "HS256" }, "HS256"},
		{"a life of no second", func(c *server.Config) { c.TokenTTL = time.Millisecond }, "a second at least"},
		{"a negative life", func(c *server.Config) { c.TokenTTL = -time.Hour }, "a second at least"},
		{"more audiences than a verifier reads", func(c *server.Config) { c.Audience = slices.Repeat([]string{"a"}, 65) }, "audience"},
		{"access tokens for API tokens", tokens(server.APITokenRules{Types: []string{apiToken, accessToken}}), "must not be among them"},
		{"an API token type that is no URI", tokens(server.APITokenRules{Types: []string{"api_token"}}), "must be a URI"},
		{"an API token type that no error can name", tokens(server.APITokenRules{Types: []string{"urn:example:ä"}}), "must be a URI"},
		{"a client that cannot be", func(c *server.Config) { c.Clients = []tokenep.Client{{}} }, "must have an id"},
		{"a client twice", func(c *server.Config) {
			c.Clients = []tokenep.Client{{ID: "a", AuthMethod: "none"}, {ID: "a", AuthMethod: "none"}}
		}, "twice"},
		{"a client with neither secret nor key", with(tokenep.Client{ID: "a"}), "auth_method none"},
		{"a client with a key", with(tokenep.Client{ID: "a", JWKS: key}), ""},
		{"the same, said so", with(tokenep.Client{ID: "a", JWKS: key, AuthMethod: tokenep.AuthPrivateKeyJWT}), ""},
		{"a client of a grant that there is not", with(tokenep.Client{ID: "a", AuthMethod: "none", GrantTypes: []string{"implicit"}}), "client_credentials, authorization_code, refresh_token, password, device_code, token_exchange or jwt_bearer"},
		{"a client of a grant that is not offered", with(tokenep.Client{ID: "a", AuthMethod: "none", GrantTypes: []string{exchange}}), ""},
		{"a prefix with an underscore", tokens(server.APITokenRules{Prefix: "a_b"}), "prefix"},
		{"API tokens that are never good", tokens(server.APITokenRules{MaxAge: -time.Hour}), "age"},
		{"fewer than no API tokens", tokens(server.APITokenRules{MaxPerUser: -1}), "one user"},
		{"the most API tokens", tokens(server.APITokenRules{MaxPerUser: state.MaxOwned}), ""},
		{"more API tokens than a record holds", tokens(server.APITokenRules{MaxPerUser: state.MaxOwned + 1}), "one user"},
	} {
		c := server.Config{Issuer: issuer, Store: memory.New(memory.Options{})}
		row.change(&c)
		_, err := server.New(c)
		if (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v, want %q", row.name, err, row.wrong)
		}
	}
}

// The short names of grants become their grant_type.
func TestConfigGrantNames(t *testing.T) {
	s, err := server.New(server.Config{Issuer: issuer, Store: memory.New(memory.Options{}), Clients: []tokenep.Client{
		{ID: "a", AuthMethod: "none", GrantTypes: []string{"token_exchange", "client_credentials", exchange}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Config.Clients[0].GrantTypes; !slices.Equal(got, []string{exchange, cc}) {
		t.Errorf("grant types: %q", got)
	}
}

// Each endpoint has a path of its own, without wildcards.
func TestConfigPaths(t *testing.T) {
	f := tokeneptest.New(t)
	for name, p := range map[string]server.Paths{
		"twice":           {Token: []server.TokenPath{{Path: "/a"}, {Path: "/a"}}},
		"of two kinds":    {Moved: map[string][]string{"jwks": {"/a"}, "revocation": {"/a"}}},
		"relative":        {Moved: map[string][]string{"jwks": {"a"}}},
		"with a query":    {Moved: map[string][]string{"revocation": {"/a?b"}}},
		"with a wildcard": {Moved: map[string][]string{"metadata": {"/a/*"}}},
		"with dots":       {Moved: map[string][]string{"metadata": {"/a/../b"}}},
	} {
		if routes, err := f.Mount(p); err == nil {
			t.Errorf("%s: %q", name, routes.Paths())
		}
	}
	// Clients send these as they are.
	for _, path := range []string{"//token", "/a//b/", "/.a/..b", "/"} {
		if _, err := f.Mount(server.Paths{Token: []server.TokenPath{{Path: path}}}); err != nil {
			t.Error(err)
		}
	}
}

// The observer is told of every request once, and how it ended.
func TestConfigObserve(t *testing.T) {
	var mu sync.Mutex
	var outcomes []tokenep.Outcome
	f := tokeneptest.New(t, func(c *server.Config) {
		c.Observe = func(_ context.Context, o tokenep.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			outcomes = append(outcomes, o)
		}
	})
	text, made := f.NewAPIToken(t, anyToken)
	for _, row := range []struct {
		name          string
		request       request
		grant, client string
		code          tokenep.Code
	}{
		{"a token", plain.By("billing"), cc, "billing", ""},
		{"a token without a client", redeem(text), exchange, "", ""},
		{"a wrong secret", plain.Basic("billing", "x"), cc, "", tokenep.InvalidClient},
		{"a grant that there is not", post("grant_type", "x").By("billing"), "", "billing", tokenep.UnsupportedGrantType},
		{"a wrong scope", post("grant_type", cc, "scope", "x").By("billing"), cc, "billing", tokenep.InvalidScope},
		{"no form", raw("%zz"), "", "", tokenep.InvalidRequest},
	} {
		mu.Lock()
		outcomes = nil
		mu.Unlock()
		f.Send(t, row.request)
		mu.Lock()
		if len(outcomes) != 1 {
			t.Fatalf("%s: %d outcomes", row.name, len(outcomes))
		}
		o := outcomes[0]
		mu.Unlock()
		client := ""
		if o.Client != nil {
			client = o.Client.ID
		}
		if o.Grant != row.grant || client != row.client || (o.Err == nil) != (row.code == "") || o.Err != nil && o.Err.Code != row.code {
			t.Errorf("%s: %+v", row.name, o)
		}
		if (o.ID != "") != (row.code == "") {
			t.Errorf("%s: jti %q", row.name, o.ID)
		}
	}
	for _, want := range []string{
		"token issued", "client=billing", "client=api_token:" + made.ID, "token refused", "wrong or expired secret",
	} {
		if !strings.Contains(f.Log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, f.Log)
		}
	}
}

// A bad grant or endpoint from outside is refused before anything starts.
func TestConfigFromOutside(t *testing.T) {
	good := tokenep.Endpoint{
		Name: "papers", Path: "/oauth/papers", Methods: []string{http.MethodPost},
		Call: func(context.Context, *tokenep.Request) (any, error) { return nil, nil },
	}
	with := func(change func(*tokenep.Endpoint)) tokeneptest.Change {
		e := good
		change(&e)
		return tokeneptest.WithEndpoint(e)
	}
	twice := func(c *server.Config) {
		tokeneptest.WithEndpoint(good)(c)
		tokeneptest.WithEndpoint(good)(c)
	}
	failing := errors.New("there is no paper")
	for _, row := range []struct {
		name   string
		change tokeneptest.Change
		wrong  string // a part of the error; empty: none
	}{
		{"an endpoint", tokeneptest.WithEndpoint(good), ""},
		{"without a name", with(func(e *tokenep.Endpoint) { e.Name = "" }), "lower-case letters"},
		{"named as the token endpoint", with(func(e *tokenep.Endpoint) { e.Name = "token" }), "a name of its own"},
		{"named as the metadata", with(func(e *tokenep.Endpoint) { e.Name = "metadata" }), "a name of its own"},
		{"named as another", with(func(e *tokenep.Endpoint) { e.Name = "jwks" }), "a name of its own"},
		{"twice", twice, "a name of its own"},
		{"without anything to call", with(func(e *tokenep.Endpoint) { e.Call = nil }), "either Call or Handler"},
		{"with both", with(func(e *tokenep.Endpoint) { e.Handler = teapot }), "either Call or Handler"},
		{"with a capital in its name", with(func(e *tokenep.Endpoint) { e.Name = "Papers" }), "lower-case letters"},
		{"without a method", with(func(e *tokenep.Endpoint) { e.Methods, e.Call, e.Handler = nil, nil, teapot }), "at least one method"},
		{"a form by GET", with(func(e *tokenep.Endpoint) { e.Methods = []string{"GET"} }), "must be POST"},
		{"a handler with callers", with(func(e *tokenep.Endpoint) {
			e.Call, e.Handler, e.Callers = nil, teapot, tokenep.ConfidentialClients
		}), "it has a Handler"},
		{"without a path", with(func(e *tokenep.Endpoint) { e.Path = "" }), "must begin with a slash"},
		{"with an escaped path", with(func(e *tokenep.Endpoint) { e.Path = "/a%20b" }), "without percent-encoding"},
		{"that cannot be made", func(c *server.Config) {
			c.Endpoints = append(c.Endpoints, func(*server.Server) (tokenep.Endpoint, error) { return good, failing })
		}, "there is no paper"},
		{"a grant that there is", tokeneptest.WithGrant(grant.ClientCredentials{}), "another grant"},
		{"a grant that cannot be made", func(c *server.Config) {
			c.Grants = append(c.Grants, func(*server.Server) (tokenep.Grant, error) { return nil, failing })
		}, "there is no paper"},
	} {
		c := tokeneptest.Config(memory.New(memory.Options{}), time.Now)
		row.change(&c)
		_, err := server.New(c)
		if (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v, want %q", row.name, err, row.wrong)
		}
	}
}
