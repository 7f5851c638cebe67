package server

import (
	"net/http"
	"net/netip"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
)

// limiter returns what limits guessing at secrets (RFC 6749 §10.10); nil: nothing does.
func (c *Config) limiter() *tokenep.Limiter {
	if c.RateLimit.Off {
		return nil
	}
	return c.Memory.Limiter
}

// signInLimiter returns what limits guessing at the passwords of people; nil: nothing does.
func (c *Config) signInLimiter() *tokenep.Limiter {
	if c.RateLimit.Off {
		return nil
	}
	return c.Memory.SignIns
}

// address returns the address that failures are counted for.
func (s *Server) address(r *http.Request) netip.Addr { return s.front.Authenticator.RemoteAddress(r) }

// secrets returns what compares secrets with their hashes.
func (c *Config) secrets() *clientauth.Secrets {
	return clientauth.NewSecrets(clientauth.SecretOptions{
		Compare: c.CompareHash, Decoy: c.Decoy, Clients: c.Clients, Turns: c.Memory.Turns, Now: c.Now,
	})
}
