package oauthserver

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

var (
	// One placeholder and nothing else: the rest would be a part of the secret in clear.
	secretPlaceholder = regexp.MustCompile(`^\{(?:env|file)\.[^{}]+\}$`)

	// The parameters of an argon2id hash are bounded: package argon2 panics if there is no round or
	// no thread, and allocates as much memory as the hash says.
	argon2idHash = regexp.MustCompile(`^\$argon2id\$v=19\$m=[1-9][0-9]{0,6},t=[1-9][0-9]{0,2},p=[1-9][0-9]{0,2}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}$`)
	bcryptHash   = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)
	// The hash of a generated secret, from tokenep.HashSecret.
	sha256Hash = regexp.MustCompile(`^\$sha256\$[A-Za-z0-9_-]{43}$`)
)

var (
	errMixedSecret   = errors.New("a secret must be a literal or one placeholder, not a mixture")
	errBrokenHash    = errors.New("a secret begins like a hash but is not a valid one; make one with caddy hash-password")
	errLiteralSecret = errors.New("secrets in JSON must be hashes or placeholders; make a hash with caddy hash-password")
)

// adaptSecret returns what a secret of a Caddyfile becomes in the JSON: a hash and a placeholder
// stay as they are, and anything else is hashed. The same input always has the same result. No
// error shows the value.
func adaptSecret(server, client, value string) (string, error) {
	if secretPlaceholder.MatchString(value) {
		return value, nil
	}
	if strings.Contains(value, "{env.") || strings.Contains(value, "{file.") {
		return "", errMixedSecret
	}
	hash, err := asHash(value)
	if hash != "" || err != nil {
		return hash, err
	}
	return hashSecret(server, client, value)
}

// resolveSecret returns the hash of a secret of the JSON configuration. What a placeholder stands
// for is hashed, unless it is a hash itself.
func resolveSecret(server, client, configured string) (string, error) {
	if secretPlaceholder.MatchString(configured) {
		value, err := adapt.Resolve("secret", configured)
		if err != nil {
			return "", err
		}
		hash, err := asHash(value)
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", configured, err)
		}
		if hash != "" {
			return hash, nil
		}
		return hashSecret(server, client, value)
	}
	hash, err := asHash(configured)
	if err == nil && hash == "" {
		err = errLiteralSecret
	}
	return hash, err
}

// asHash returns value if it is a hash, and "" if it is not. A bcrypt hash may be in base64, which
// Caddy once wrote and still reads.
func asHash(value string) (string, error) {
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil && bcryptHash.Match(raw) {
		return string(raw), nil
	}
	switch {
	case argon2idHash.MatchString(value):
		if _, _, err := caddyauth.DecodeHash([]byte(value)); err != nil {
			return "", errBrokenHash
		}
		return value, nil
	case bcryptHash.MatchString(value), sha256Hash.MatchString(value):
		return value, nil
	case strings.HasPrefix(value, "$argon2"), strings.HasPrefix(value, "$2a$"), strings.HasPrefix(value, "$2b$"), strings.HasPrefix(value, "$2y$"):
		return "", errBrokenHash
	}
	return "", nil
}

// argon2idCost is the default of caddy hash-password: 46 MiB, one pass, one thread.
var argon2idCost = "m=47104,t=1,p=1"

// hashSecret hashes with argon2id. The salt is derived from the names of server and client, so that
// adapting a Caddyfile twice has the same result, and Caddy can see that a reload changes nothing.
func hashSecret(server, client, secret string) (string, error) {
	salt := sha256.Sum256([]byte("oauth_server\x00" + server + "\x00" + client))
	// Decoding a hash is the only way to tell Caddy's module which salt and cost to use.
	pattern := fmt.Sprintf("$argon2id$v=19$%s$%s$%s", argon2idCost,
		base64.RawStdEncoding.EncodeToString(salt[:16]), base64.RawStdEncoding.EncodeToString(make([]byte, 32)))
	argon2id, _, err := caddyauth.DecodeHash([]byte(pattern))
	if err != nil {
		return "", err
	}
	hash, err := argon2id.Hash([]byte(secret))
	return string(hash), err
}

// comparison returns the function that compares slow hashes, and a decoy: the hash to compare with
// where the client does not exist, so that timing does not tell. Both are nil if no client has a
// slow hash.
func comparison(clients []tokenep.Client) (compare func(hash, secret []byte) (bool, error), decoy []byte) {
	for i := range clients {
		for _, secret := range clients[i].Secrets {
			switch {
			case sha256Hash.MatchString(secret.Hash):
			case argon2idHash.MatchString(secret.Hash):
				return compareHash, caddyauth.Argon2idHash{}.FakeHash()
			case decoy == nil:
				compare, decoy = compareHash, caddyauth.BcryptHash{}.FakeHash()
			}
		}
	}
	return compare, decoy
}

// compareHash compares a secret with its hash, by Caddy's own hash modules.
func compareHash(hash, secret []byte) (bool, error) {
	if argon2idHash.Match(hash) {
		return caddyauth.Argon2idHash{}.Compare(hash, secret)
	}
	return caddyauth.BcryptHash{}.Compare(hash, secret)
}
