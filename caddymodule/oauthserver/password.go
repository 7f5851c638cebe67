package oauthserver

import (
	"errors"
	"fmt"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

var (
	errPlainPassword = errors.New("a password must not be in the configuration; make its hash with caddy hash-password")
	errGeneratedHash = errors.New("$sha256$ is for secrets that the server generated; make a hash of the password with caddy hash-password")
)

// CheckPasswordHash returns the hash of a user's password as the JSON has it: a hash from caddy
// hash-password, or one placeholder. No error shows the value.
func CheckPasswordHash(value string) (string, error) {
	if secretPlaceholder.MatchString(value) {
		return value, nil
	}
	return passwordHash(value)
}

// ResolvePasswordHash returns the hash of a user's password, which may be a placeholder for one.
func ResolvePasswordHash(user, configured string) (string, error) {
	value := configured
	if secretPlaceholder.MatchString(configured) {
		var err error
		if value, err = adapt.Resolve("the hash", configured); err != nil {
			return "", fmt.Errorf("user %q: %w", user, err)
		}
	}
	hash, err := passwordHash(value)
	if err != nil {
		return "", fmt.Errorf("user %q: %w", user, err)
	}
	return hash, nil
}

// passwordHash returns a hash of a password that people chose.
func passwordHash(value string) (string, error) {
	hash, err := asHash(value)
	switch {
	case err != nil:
		return "", err
	case hash == "":
		return "", errPlainPassword
	case sha256Hash.MatchString(hash):
		return "", errGeneratedHash
	}
	return hash, nil
}
