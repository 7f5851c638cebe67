package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// A configuration that takes over answers before it has started, even if it never does, and can be
// loaded while the store is away.
func TestNextConfigurationTakesOverWithoutTheStore(t *testing.T) {
	old := tokeneptest.New(t)
	live, revoked := old.Mint(t, tokenep.Claims{}), old.Mint(t, tokenep.Claims{Subject: "bob"})
	if err := old.Revocations.Add(t.Context(), verify.Revocation{Claim: "sub", Value: "bob", Expires: old.Clock.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	old.Store.SetAway(true)
	c := old.Config
	c.TokenTTL /= 2
	next := old.Next(t, c)
	for _, when := range []string{"before its start", "after it"} {
		if a := next.Send(t, plain.By("billing")); a.Status != http.StatusOK {
			t.Errorf("%s: status %d %s", when, a.Status, a.Body)
		}
		if _, err := next.Verify(t, live); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if _, err := next.Verify(t, revoked); err == nil {
			t.Errorf("%s: a revoked token passes", when)
		}
		if when == "before its start" {
			if err := next.Start(t.Context()); err != nil {
				t.Fatalf("the start while the store is away: %v", err)
			}
		}
	}
	fresh := old.Config
	fresh.Memory = server.NewMemory(old.Clock.Now)
	s, err := server.New(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("without keys in memory or in the store it started")
	}
}

// If a configuration was started and then withdrawn, because of something else in it, the next one
// takes over from the one before it, since nobody rotates the keys of the withdrawn one.
func TestConfigurationThatIsGivenUp(t *testing.T) {
	running := tokeneptest.New(t)
	begin := func() *server.Server {
		s, err := server.New(running.Config)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	begin().Close()
	if err := running.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	running.Store.SetAway(true)
	next, err := server.New(running.Config)
	if err != nil {
		t.Fatal(err)
	}
	active := func(s *server.Server) string { return s.Keys.Current().List()[0].ID }
	if active(next) != active(running.Server) {
		t.Error("it has the keys of the one that was given up")
	}
}
