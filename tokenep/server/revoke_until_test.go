package server_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
)

// A revocation by client or by user spares what is issued later. A token and an authorization stay
// revoked. A revocation is kept until the last token that it means has expired.
func TestRevocationsUntilNow(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	exp := now.Add(time.Minute)
	token := func(claim string, issued time.Time) *verify.Token {
		v := &verify.Token{IssuedAt: issued}
		switch claim {
		case "jti":
			v.ID = "a"
		case "client_id":
			v.ClientID = "a"
		case "sub":
			v.Subject = "a"
		case "grant_id":
			v.GrantID = "a"
		}
		return v
	}
	for _, c := range []struct {
		name   string
		revoke func(s *server.Server) error
		claims []string
		spares bool      // what is issued later
		last   time.Time // without the leeway; zero: as long as a token lives
	}{
		{"a token", func(s *server.Server) error { return s.RevokeToken(t.Context(), "a", exp) },
			[]string{"jti"}, false, exp},
		{"a token whose exp is not known", func(s *server.Server) error { return s.RevokeToken(t.Context(), "a", time.Time{}) },
			[]string{"jti"}, false, time.Time{}},
		{"an authorization", func(s *server.Server) error { return s.RevokeGrant(t.Context(), "a") },
			[]string{"grant_id"}, false, time.Time{}},
		{"a client", func(s *server.Server) error { return s.RevokeClient(t.Context(), "a") },
			[]string{"client_id"}, true, time.Time{}},
		{"a subject", func(s *server.Server) error { return s.RevokeSubject(t.Context(), "a") },
			[]string{"sub"}, true, time.Time{}},
	} {
		clock := func() time.Time { return now }
		s, err := server.New(server.Config{
			Issuer: "https://as.example", Store: memory.New(memory.Options{Now: clock}), Now: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.revoke(s); err != nil {
			t.Fatal(err)
		}
		set := s.Config.Memory.Revocations
		if set.Len() != len(c.claims) {
			t.Errorf("%s: %d entries, want %v", c.name, set.Len(), c.claims)
		}
		for _, claim := range c.claims {
			if !set.Revoked(token(claim, now)) {
				t.Errorf("%s: a token with its %s passes", c.name, claim)
			}
			if spared := !set.Revoked(token(claim, now.Add(time.Second))); spared != c.spares {
				t.Errorf("%s: what is issued later is spared: %v", c.name, spared)
			}
		}
		last := c.last
		if last.IsZero() {
			last = now.Add(s.TokenLife())
		}
		last = last.Add(verify.MaxLeeway)
		if set.Sweep(last.Add(-time.Second)); set.Len() != len(c.claims) {
			t.Errorf("%s: it is forgotten before its tokens are dead", c.name)
		}
		if set.Sweep(last.Add(time.Second)); set.Len() != 0 {
			t.Errorf("%s: it is kept when its tokens are dead", c.name)
		}
	}
}
