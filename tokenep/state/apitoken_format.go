package state

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
)

// The text of an API token is <prefix>_<id>_<secret><crc32>. The prefix lets people and secret
// scanners see what it is; the id finds the record; the checksum, over all before it, finds a typo
// without a look-up. Each token has exactly one spelling: what parses is, byte for byte, what
// formatAPIToken writes.
const (
	maxPrefix    = 16
	idLength     = 12 // base62 characters: 71 bits, so that ids do not collide
	secretLength = 43 // base62 characters: 256 bits
	crcLength    = 6  // base62 characters: enough for 32 bits
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// formatAPIToken writes the token with its checksum.
func formatAPIToken(prefix, id, secret string) string {
	body := prefix + "_" + id + "_" + secret
	return body + checksum(body)
}

// parseAPIToken is the inverse of formatAPIToken, and refuses everything else. A token with one
// changed character never parses: a CRC finds every error within 32 consecutive bits.
func parseAPIToken(token string) (prefix, id, secret string, ok bool) {
	cut := len(token) - crcLength
	if cut < 0 || len(token) > maxPrefix+1+idLength+1+secretLength+crcLength {
		return "", "", "", false
	}
	prefix, rest, _ := strings.Cut(token[:cut], "_")
	id, secret, _ = strings.Cut(rest, "_")
	if !validPrefix(prefix) || !isBase62(id, idLength) || !isBase62(secret, secretLength) {
		return "", "", "", false
	}
	if token[cut:] != checksum(token[:cut]) {
		return "", "", "", false
	}
	return prefix, id, secret, true
}

// IsAPIToken reports whether text is an API token that was not mistyped, of any server, good or
// not.
func IsAPIToken(text string) bool {
	_, _, _, ok := parseAPIToken(text)
	return ok
}

// Checked returns a text with its checksum behind it. Unchecked takes it away again, and reports
// whether it was right.
func Checked(text string) string { return text + checksum(text) }

// Unchecked is the inverse of Checked.
func Unchecked(text string) (body string, ok bool) {
	cut := len(text) - crcLength
	if cut < 0 || text[cut:] != checksum(text[:cut]) {
		return "", false
	}
	return text[:cut], true
}

// checksum returns the CRC-32 (IEEE) of s as six base62 digits, the most significant first.
func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	var digits [crcLength]byte
	for i := crcLength - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// validPrefix reports whether p matches [a-z][a-z0-9]{0,15}. It has no underscore, so that the
// first underscore of a token ends it.
func validPrefix(p string) bool {
	if p == "" || len(p) > maxPrefix || p[0] < 'a' || p[0] > 'z' {
		return false
	}
	for _, c := range []byte(p) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func isBase62(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// randomBase62 returns n characters, each of the 62 equally likely: bytes that would favour the
// first few are thrown away.
func randomBase62(n int) string {
	const fair = 256 - 256%62
	text := make([]byte, 0, n)
	var random [64]byte
	for len(text) < n {
		rand.Read(random[:]) // never fails: crypto/rand ends the program instead
		for _, b := range random {
			if b < fair && len(text) < n {
				text = append(text, base62[b%62])
			}
		}
	}
	return string(text)
}

// GenerateSecret returns a new secret of 256 bits, letters and digits only (RFC 6749 §10.10).
func GenerateSecret() string { return randomBase62(secretLength) }
