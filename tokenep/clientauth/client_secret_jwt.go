package clientauth

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// SecretJWT is client_secret_jwt (RFC 7523 §2.2, OpenID Connect Core §9): an assertion as that of
// PrivateKeyJWT, whose signature is an HMAC by the client's secret. The server needs the secret
// itself for that, and keeps no secret: so it is for clients of a configuration whose secret is
// somewhere else, and in this process in memory alone.
type SecretJWT struct{ PrivateKeyJWT }

// Method returns client_secret_jwt.
func (SecretJWT) Method() string { return tokenep.AuthSecretJWT }

// Credentials returns nil: PrivateKeyJWT finds the assertion.
func (SecretJWT) Credentials(*tokenep.Request) (*tokenep.Credentials, error) { return nil, nil }

// Takes reports whether the assertion is one of this client by its secret. A client that may do
// both says by alg which one it does.
func (SecretJWT) Takes(c *tokenep.Client, cr *tokenep.Credentials) bool {
	return cr.Assertion != nil && c.Authenticates(tokenep.AuthSecretJWT) &&
		(!c.Authenticates(tokenep.AuthPrivateKeyJWT) || isMAC(cr.Assertion.Claims().Header.Algorithm))
}

// Verify checks the assertion, as PrivateKeyJWT does.
func (s SecretJWT) Verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	rules := s.rules(c, cr)
	for _, secret := range c.Secrets {
		if len(secret.Key) > 0 && (secret.Expires.IsZero() || s.Now().Before(secret.Expires)) {
			rules.Secrets = append(rules.Secrets, secret.Key)
		}
	}
	if len(rules.Secrets) == 0 {
		rules.Keys = decoyKeys{}
	}
	return s.check(ctx, c, cr, rules)
}
