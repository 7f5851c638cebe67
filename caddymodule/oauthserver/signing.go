package oauthserver

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
)

// SigningKey is a signing key in a file, which the operator generates and rotates.
type SigningKey struct {
	// A file with one private key: PEM (PKCS #8, PKCS #1 or SEC 1) or a JWK (RFC 7517 §4). It is
	// read when the configuration is loaded. The algorithm is the alg of the JWK; without one,
	// signing_alg if that fits the key, or the usual one for its type. Required.
	Path string `json:"path,omitempty"`

	// Sign with this key; the others are only published. Default: the first key signs.
	Active bool `json:"active,omitempty"`
}

// signingKeys reads the configured keys. The one that signs comes first. No error shows more than
// the path of a file.
func (s *AuthorizationServer) signingKeys() ([]*keys.Key, error) {
	signer, err := s.activeKey()
	if err != nil || len(s.SigningKeys) == 0 {
		return nil, err
	}
	var list []*keys.Key
	for i, given := range s.SigningKeys {
		path, err := adapt.Resolve("signing_key", given.Path)
		if err != nil {
			return nil, err
		}
		key, err := keys.ReadFile(path, s.SigningAlg)
		if err != nil {
			return nil, adapt.Of("signing_key "+given.Path, err)
		}
		if i == signer {
			list = slices.Insert(list, 0, key)
		} else {
			list = append(list, key)
		}
	}
	if s.SigningAlg != "" && list[0].Algorithm != s.SigningAlg {
		return nil, fmt.Errorf("signing_alg is %s, but the signing_key %s is for %s; remove signing_alg", s.SigningAlg, s.SigningKeys[signer].Path, list[0].Algorithm)
	}
	return list, nil
}

// activeKey returns the index of the key that signs: the one that is marked, or else the first.
func (s *AuthorizationServer) activeKey() (int, error) {
	active := -1
	for i, given := range s.SigningKeys {
		if !given.Active {
			continue
		}
		if active >= 0 {
			return 0, fmt.Errorf("signing_key: %s and %s are both active; only one signs, and the others are published",
				s.SigningKeys[active].Path, given.Path)
		}
		active = i
	}
	return max(active, 0), nil
}

var errLiteralEncryptionKey = errors.New("encryption_key must be one placeholder, {env.…} or {file.…}: GET /config/ would show the key itself")

// encryptionKeys resolves the keys that encrypt the signing keys in the store. No error shows a
// value.
func (s *AuthorizationServer) encryptionKeys() ([][]byte, error) {
	var list [][]byte
	for _, placeholder := range s.EncryptionKeys {
		if !secretPlaceholder.MatchString(placeholder) {
			return nil, errLiteralEncryptionKey
		}
		text, err := adapt.Expand(placeholder)
		if err != nil {
			return nil, adapt.Of("encryption_key "+placeholder, fmt.Errorf("encryption_key: %w", err))
		}
		key := decodeEncryptionKey(strings.TrimSpace(text))
		if len(key) != keys.EncryptionKeySize {
			return nil, adapt.Of("encryption_key "+placeholder,
				fmt.Errorf("encryption_key: %s must be %d random bytes in base64 or hex; make them with openssl rand -base64 %[2]d", placeholder, keys.EncryptionKeySize))
		}
		list = append(list, key)
	}
	return list, nil
}

// decodeEncryptionKey decodes hex, or base64 in either alphabet, with or without padding. It tries
// hex first: 64 hex digits are also base64, of 48 bytes.
func decodeEncryptionKey(text string) []byte {
	if key, err := hex.DecodeString(text); err == nil {
		return key
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return key
}

// warnOfClearKeys warns the operator that whoever can read the store has the private keys.
func (s *AuthorizationServer) warnOfClearKeys() {
	if len(s.EncryptionKeys) == 0 && len(s.SigningKeys) == 0 && !s.volatile {
		s.places.Logger(s.core.Config.Logger).Warn("private signing keys are stored in clear; set encryption_key in oauth_server")
	}
}
