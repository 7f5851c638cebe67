package record

import (
	"crypto/sha256"
	"encoding/base64"
)

// Hash is the SHA-256 that a record has in place of a secret.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// HashID is the id of a record that is found by a secret, or by a name of any length: its SHA-256
// in base64url, 43 characters.
func HashID(text string) string { return base64.RawURLEncoding.EncodeToString(Hash(text)) }
