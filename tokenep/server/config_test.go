package server_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// What is wrong with a configuration is said before anything starts.
func TestConfig(t *testing.T) {
	tokens := func(rules server.APITokenRules) func(*server.Config) {
		return func(c *server.Config) { c.Exchange = server.Exchange{Enabled: true, APITokens: &rules} }
	}
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
		{"a client that cannot be", func(c *server.Config) { c.Clients = []tokenep.Client{{}} }, "must have an id"},
		{"a client twice", func(c *server.Config) {
			c.Clients = []tokenep.Client{{ID: "a", AuthMethod: "none"}, {ID: "a", AuthMethod: "none"}}
		}, "twice"},
		{"a prefix with an underscore", tokens(server.APITokenRules{Prefix: "a_b"}), "prefix"},
		{"API tokens that are never good", tokens(server.APITokenRules{MaxAge: -time.Hour}), "age"},
		{"fewer than no API tokens", tokens(server.APITokenRules{MaxPerUser: -1}), "one user"},
	} {
		c := server.Config{Issuer: issuer, Store: memory.New(memory.Options{})}
		row.change(&c)
		_, err := server.New(c)
		if (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v, want %q", row.name, err, row.wrong)
		}
	}
}

// Each endpoint has a path of its own, which a router can take literally.
func TestConfigPaths(t *testing.T) {
	f := tokeneptest.New(t)
	for name, p := range map[string]server.Paths{
		"twice":           {Token: []server.TokenPath{{Path: "/a"}, {Path: "/a"}}},
		"of two kinds":    {Moved: map[string][]string{"jwks": {"/a"}, "revocation": {"/a"}}},
		"relative":        {Moved: map[string][]string{"jwks": {"a"}}},
		"with a query":    {Moved: map[string][]string{"revocation": {"/a?b"}}},
		"with a wildcard": {Moved: map[string][]string{"metadata": {"/a/*"}}},
	} {
		if routes, err := f.Mount(p); err == nil {
			t.Errorf("%s: %q", name, routes.Paths())
		}
	}
}

// Every request is told to the observer, once, with how it ended.
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
