package server_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// A registration that cannot work, or that says more than it may, is refused before anything
// starts.
func TestConfigOfRegistration(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(c *server.Config, r *server.Registration)
		wrong  string // a part of the error; empty: none
	}{
		{"for everybody", func(*server.Config, *server.Registration) {}, ""},
		{"by invitation", func(_ *server.Config, r *server.Registration) {
			r.Open, r.InitialAccessTokens = false, []string{tokenep.HashSecret("x")}
		}, ""},
		{"for nobody", func(_ *server.Config, r *server.Registration) { r.Open = false }, "either open"},
		{"for everybody by invitation", func(_ *server.Config, r *server.Registration) {
			r.InitialAccessTokens = []string{tokenep.HashSecret("x")}
		}, "either open"},
		{"a token in clear", func(_ *server.Config, r *server.Registration) { r.Open, r.InitialAccessTokens = false, []string{"x"} }, "as its hash"},
		{"without users", func(c *server.Config, _ *server.Registration) { c.User, c.Clients = nil, nil }, "nothing says who they are"},
		{"for programs, without users", func(c *server.Config, r *server.Registration) {
			c.User, c.Clients, r.Template.GrantTypes = nil, nil, []string{"client_credentials"}
		}, ""},
		{"the default grant, without redirect URIs", func(_ *server.Config, r *server.Registration) { r.Template.RedirectURIs = nil }, "at least one of redirect_uris"},
		{"a bad pattern", func(_ *server.Config, r *server.Registration) { r.Template.RedirectURIs[0] = "https://*" }, "last two labels"},
		{"token exchange", func(_ *server.Config, r *server.Registration) { r.Template.GrantTypes = []string{exchange} }, "unknown grant"},
		{"a refresh token of nothing", func(_ *server.Config, r *server.Registration) { r.Template.GrantTypes = []string{"refresh_token"} }, "authorization_code beside it"},
		{"a scope twice", func(_ *server.Config, r *server.Registration) { r.Template.Scope = verify.Scope{"a", "a"} }, "repeats a token"},
		{"a scope that is two", func(_ *server.Config, r *server.Registration) { r.Template.Scope = verify.Scope{"a b"} }, "repeats a token"},
		{"no scope-token", func(_ *server.Config, r *server.Registration) { r.Template.Scope = verify.Scope{`"`} }, "malformed"},
		{"more than a token holds", func(_ *server.Config, r *server.Registration) { r.Template.Audience = make([]string, 100) }, "fit into a token"},
		{"ends at once", func(_ *server.Config, r *server.Registration) { r.Unused = time.Minute }, "1h or more"},
	} {
		c := tokeneptest.Config(memory.New(memory.Options{}), time.Now)
		tokeneptest.WithPeople(&c)
		c.Registration = &server.Registration{Open: true, Template: endpoint.RegistrationTemplate{RedirectURIs: []tokenep.RedirectPattern{"https://app.example/*"}}}
		row.change(&c, c.Registration)
		given := *c.Registration
		_, err := server.New(c)
		if (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v, want %q", row.name, err, row.wrong)
		}
		if !reflect.DeepEqual(given, *c.Registration) {
			t.Errorf("%s: the configuration was changed", row.name)
		}
	}
}

// While the store is away nobody is registered, and nothing is said of the metadata; and a client
// that cannot be noted as used gets nothing yet.
func TestRegistrationWhileTheStoreIsAway(t *testing.T) {
	var faulty *storetest.Faulty
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		faulty = storetest.NewFaulty(c.Store)
		c.Store = faulty
		c.Registration = &server.Registration{Open: true, Template: endpoint.RegistrationTemplate{GrantTypes: []string{cc}}}
	})
	register := raw(`{}`).With("Content-Type", "application/json").At("/oauth/register")
	a := s.Send(t, register)
	id, _ := a.JSON["client_id"].(string)
	secret, _ := a.JSON["client_secret"].(string)
	if a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	faulty.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Insert" || call.Verb == "Swap" {
			return storetest.Away
		}
		return storetest.None
	})
	s.Send(t, register).Refused(t, 503, tokenep.TemporarilyUnavailable)
	s.Send(t, plain.Basic(id, secret)).Refused(t, 503, tokenep.TemporarilyUnavailable)
	faulty.Fail(nil)
	s.Granted(t, plain.Basic(id, secret))
	if c, err := s.Clients.Load(t.Context(), id); err != nil || c.UnusedUntil != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := s.Clients.Remove(t.Context(), id); err != nil || errors.Is(err, tokenep.InvalidClient) {
		t.Error(err)
	}
}
