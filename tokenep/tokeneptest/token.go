package tokeneptest

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Mint signs an access token as the server does, with claims that perhaps no request leads to. What
// is left out is as in a token of alice, issued to billing for Orders, that lives an hour.
func (s *Server) Mint(t testing.TB, c tokenep.Claims) string {
	t.Helper()
	if c.Subject == "" {
		c.Subject = "alice"
	}
	if c.ClientID == "" {
		c.ClientID = "billing"
	}
	if c.Audience == nil {
		c.Audience = []string{Orders}
	}
	c.IssuedAt = s.Config.Now().Truncate(time.Second)
	if c.Expires.IsZero() {
		c.Expires = c.IssuedAt.Add(time.Hour)
	}
	minted, err := (&tokenep.Minter{Issuer: s.Config.Issuer, Keys: s.Keys, Now: s.Config.Now}).Mint(&c)
	if err != nil {
		t.Fatal(err)
	}
	return minted.Token
}

// NewAPIToken makes an API token. Its owner is alice and its service Orders, unless want says
// otherwise.
func (s *Server) NewAPIToken(t testing.TB, want state.APIToken) (text string, made state.APIToken) {
	t.Helper()
	if want.Owner == "" {
		want.Owner = "alice"
	}
	if want.Service == "" {
		want.Service = Orders
	}
	text, made, err := s.APITokens.Create(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return text, made
}

// NewVerifier returns a verifier of the server's tokens, for any audience, without a cache.
func (s *Server) NewVerifier(t testing.TB, changes ...func(*verify.Config)) *verify.Verifier {
	t.Helper()
	trusted := s.Trusted()
	trusted.InsecureAnyAudience = true
	c := verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: s.Config.Now}
	for _, change := range changes {
		change(&c)
	}
	v, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Verify returns what a token says to a verifier that knows nothing but the key set and what was
// revoked.
func (s *Server) Verify(t testing.TB, token string) (*verify.Token, error) {
	t.Helper()
	return s.NewVerifier(t).Verify(t.Context(), verify.Presentation{Token: token})
}

// EqualJSON reports whether two values have the same JSON.
func EqualJSON(a, b any) bool {
	left, err1 := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(left, right)
}
