package oauthserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

var (
	// One placeholder and nothing else: the rest would be a part of the secret in clear.
	secretPlaceholder = regexp.MustCompile(`^\{(?:env|file)\.[^{}]+\}$`)

	// The parameters of an argon2id hash are bounded: package argon2 panics if there is no round or
	// no thread, and allocates as much memory as the hash says.
	argon2idHash = regexp.MustCompile(`^\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]{0,2}),p=([1-9][0-9]{0,2})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}$`)
	bcryptHash   = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)
	// The hash of a generated secret, from tokenep.HashSecret.
	sha256Hash = regexp.MustCompile(`^\$sha256\$[A-Za-z0-9_-]{43}$`)
)

// shortSecret is the least number of characters of a secret that nobody can guess, if they are
// random.
const shortSecret = 16

const warnShort = "a secret of fewer than 16 characters can be guessed; make one with openssl rand -base64 32"

var (
	errMixedSecret   = errors.New("a secret must be a literal or one placeholder, not a mixture")
	errBrokenHash    = errors.New("a secret begins like a hash but is not a valid one; make one with caddy hash-password")
	errSecretKey     = errors.New("client_secret_jwt needs the secret itself, which no configuration may have: write {env.NAME} or {file./path}")
	errLiteralSecret = errors.New("secrets in JSON must be hashes or placeholders; make a hash with caddy hash-password")
)

// variable matches a text in the place of a secret that was to be the value of a variable.
var variable = regexp.MustCompile(`^(\$\{?[A-Z][A-Z0-9_]*\}?|%[A-Z][A-Z0-9_]*%|\{[^{}]*\})$`)

const warnVariable = "the secret is the name of a variable, and not its value: write {$NAME}, {env.NAME} or {file./path}"

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

// warnOfShort logs which placeholders stand for a secret that can be guessed. Of a literal that is
// known while the Caddyfile is read alone.
func warnOfShort(logger *slog.Logger, c *tokenep.Client) {
	for _, secret := range c.Secrets {
		if !secretPlaceholder.MatchString(secret.Hash) {
			continue
		}
		if value, err := adapt.Resolve("secret", secret.Hash); err == nil && len(value) < shortSecret {
			logger.Warn(warnShort, "client", c.ID, "secret", secret.Hash)
		}
	}
}

// resolveSecretKey returns the secret that a placeholder stands for, as the key of an HMAC; nil if
// it is a hash.
func resolveSecretKey(configured string) ([]byte, error) {
	value, err := adapt.Resolve("secret", configured)
	if err != nil {
		return nil, err
	}
	if hash, err := asHash(value); hash != "" || err != nil {
		return nil, err
	}
	return []byte(value), nil
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

// maxDecoyCost is the longest that a failure of one client may make that of all others take.
const maxDecoyCost = 250 * time.Millisecond

// hashCost returns about how long a comparison with a slow hash takes, on one core of a server of
// 2020. It is not measured: what a configuration does must not depend on how busy the machine was
// when it was loaded.
func hashCost(hash []byte) time.Duration {
	const (
		bcryptUnit = 120 * time.Microsecond // of cost 0; each step doubles it
		argon2Unit = 900 * time.Microsecond // 1 MiB, once
	)
	if bcryptHash.Match(hash) {
		cost, _ := strconv.Atoi(string(hash[4:6])) // digits
		return time.Duration(math.Ldexp(float64(bcryptUnit), min(cost, 31)))
	}
	if found := argon2idHash.FindSubmatch(hash); found != nil {
		kibibytes, _ := strconv.Atoi(string(found[1])) // digits
		passes, _ := strconv.Atoi(string(found[2]))
		return time.Duration(kibibytes*passes) * argon2Unit / 1024
	}
	return 0
}

// decoy returns a hash with which a comparison takes as long as with the given one, so that timing
// does not tell whose secret was wrong, or that a client does not exist. nil: it takes longer than
// maxDecoyCost.
func decoy(hash []byte) []byte {
	if hashCost(hash) > maxDecoyCost {
		return nil
	}
	return UserDecoy(hash)
}

// UserDecoy is the decoy for passwords of users, however long it takes: whoever may try a password
// of a user may try as many of nobody.
func UserDecoy(hash []byte) []byte {
	if bcryptHash.Match(hash) {
		const costs = len("$2a$10$")
		fake := caddyauth.BcryptHash{}.FakeHash()
		return append([]byte("$2a$"), append(hash[4:costs:costs], fake[costs:]...)...)
	}
	found := argon2idHash.FindSubmatchIndex(hash)
	if found == nil {
		return nil
	}
	fake := caddyauth.Argon2idHash{}.FakeHash()
	return append(hash[:found[7]:found[7]], fake[argon2idHash.FindSubmatchIndex(fake)[7]:]...)
}

// compareHash compares a secret with its hash, by Caddy's own hash modules. A bcrypt hash is of 72
// bytes at the most, and of a secret that is repeated up to there with NULs in between: a longer
// secret, or one with a NUL, is wrong, whatever its beginning, and takes as long.
func compareHash(hash, secret []byte) (bool, error) {
	if argon2idHash.Match(hash) {
		return caddyauth.Argon2idHash{}.Compare(hash, secret)
	}
	const longest = 72
	right, err := caddyauth.BcryptHash{}.Compare(hash, secret[:min(len(secret), longest)])
	return right && len(secret) <= longest && bytes.IndexByte(secret, 0) < 0, err
}
