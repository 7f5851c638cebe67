package tokenep

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// OpenIDScope is the scope-token by which a client asks for an ID token (OpenID Connect Core
// §3.1.2.1).
const OpenIDScope = "openid"

// DefaultIDTokenAlg signs the ID token of a client that has not registered another algorithm
// (OpenID Connect Core §2).
const DefaultIDTokenAlg = "RS256"

// IDTokenAlgs are the algorithms that a client may register for its ID tokens.
var IDTokenAlgs = []string{DefaultIDTokenAlg, "ES256", "EdDSA"}

// IDTokenAlgorithm returns the algorithm of the client's ID tokens.
func (c *Client) IDTokenAlgorithm() string {
	if c.IDTokenAlg == "" {
		return DefaultIDTokenAlg
	}
	return c.IDTokenAlg
}

// MintIDToken signs an ID token (OpenID Connect Core §2) for a client, about the subject of the
// access token that is issued with it, and as long as that is good; empty: none is. further are its
// other claims.
func (m *Minter) MintIDToken(client *Client, c *Claims, accessToken string, further map[string]any) (string, error) {
	ring := m.IDTokenKeys[client.IDTokenAlgorithm()]
	if ring == nil {
		ring = m.Keys
	}
	key, err := active(ring)
	if err != nil {
		return "", err
	}
	claims := map[string]any{
		"iss": m.Issuer, "sub": c.Subject, "aud": client.ID, "exp": c.Expires.Unix(), "iat": c.IssuedAt.Unix(),
	}
	if accessToken != "" {
		claims["at_hash"] = accessTokenHash(key.Algorithm, accessToken)
	}
	if !c.SignIn.Time.IsZero() {
		claims["auth_time"] = c.SignIn.Time.Unix()
	}
	if c.SignIn.Class != "" {
		claims["acr"] = c.SignIn.Class
	}
	if len(c.SignIn.Methods) > 0 {
		claims["amr"] = c.SignIn.Methods
	}
	for name, value := range further {
		if _, set := claims[name]; set {
			return "", fmt.Errorf("a grant must not set the claim %q of an ID token", name)
		}
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("the claims of an ID token: %w", err)
	}
	return sign(key, idTokenTyp, payload)
}

// accessTokenHash returns at_hash: the left half of the hash of the access token that goes with the
// algorithm (OpenID Connect Core §3.1.3.6). That of Ed25519 is SHA-512.
func accessTokenHash(alg, accessToken string) string {
	h := sha256.New()
	switch {
	case strings.HasSuffix(alg, "384"):
		h = sha512.New384()
	case strings.HasSuffix(alg, "512"), alg == "EdDSA":
		h = sha512.New()
	}
	h.Write([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:h.Size()/2])
}
