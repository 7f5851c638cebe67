package server

import (
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

// secrets returns what compares secrets with their hashes.
func (c *Config) secrets() *clientauth.Secrets {
	return clientauth.NewSecrets(clientauth.SecretOptions{
		Compare: c.CompareHash, Decoy: c.Decoy, Clients: c.Clients, Turns: c.Memory.Turns, Now: c.Now,
	})
}
