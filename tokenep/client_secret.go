package tokenep

import (
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
)

// Secret is a client secret (RFC 6749 §2.3.1), as a hash.
type Secret struct {
	// $sha256$… for a secret that the server made; argon2id or bcrypt, as "caddy hash-password"
	// makes it, for one that a person chose. In a configuration of Caddy it may also be one
	// placeholder, {env.NAME} or {file./path}, for the secret or its hash. Required.
	Hash string `json:"hash"`

	// When the secret stops being good. Default: never.
	Expires time.Time `json:"expires,omitzero"`

	// The secret itself, of a client that authenticates by client_secret_jwt: it is the key of an
	// HMAC (OpenID Connect Core §9). It is in memory alone.
	Key []byte `json:"-"`
}

// GeneratedHash begins the hash of a secret that this server made.
const GeneratedHash = "$sha256$"

// HashSecret returns what is kept of a generated secret: SHA-256 is enough for 256 random bits. It
// is not for secrets that people choose.
func HashSecret(secret string) string {
	return GeneratedHash + record.HashID(secret)
}
