package oauthserver

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
)

// SigningKey is a signing key that somebody else looks after.
type SigningKey struct {
	// A file with one private key: PEM (PKCS #8, PKCS #1 or SEC 1) or a JWK (RFC 7517 §4). It is read when the configuration is loaded. Required.
	// The key is bound to the alg of the JWK; else to signing_alg where that fits, or to what is usual for its kind.
	Path string `json:"path,omitempty"`

	// Sign with this key. The others are published alone. Default: the first key signs.
	Active bool `json:"active,omitempty"`
}

// signingKeys reads the keys that are given; the one that signs comes first. No error shows more than the path of a file.
func (s *AuthorizationServer) signingKeys() ([]*keys.Key, error) {
	var list []*keys.Key
	active := 0
	for i, given := range s.SigningKeys {
		path, err := adapt.Resolve("signing_key", given.Path)
		if err != nil {
			return nil, err
		}
		key, err := keys.ReadFile(path, s.SigningAlg)
		if err != nil {
			return nil, err
		}
		if given.Active {
			if s.SigningKeys[active].Active {
				return nil, errors.New("signing_key: two are active; one signs, and the others are published")
			}
			active = i
		}
		list = append(list, key)
	}
	if len(list) == 0 {
		return nil, nil
	}
	list[0], list[active] = list[active], list[0]
	if s.SigningAlg != "" && list[0].Algorithm != s.SigningAlg {
		return nil, fmt.Errorf("signing_alg is %s, but the signing_key %s is for %s; leave signing_alg out", s.SigningAlg, s.SigningKeys[active].Path, list[0].Algorithm)
	}
	return list, nil
}

var errLiteralEncryptionKey = errors.New("encryption_key takes one placeholder, {env.…} or {file.…}: the key itself would be shown by GET /config/")

// encryptionKeys resolves the keys that signing keys are encrypted under in the store. No error shows a value.
func (s *AuthorizationServer) encryptionKeys() ([][]byte, error) {
	var list [][]byte
	for _, placeholder := range s.EncryptionKeys {
		if !secretPlaceholder.MatchString(placeholder) {
			return nil, errLiteralEncryptionKey
		}
		text, err := caddy.NewReplacer().ReplaceOrErr(placeholder, true, true)
		if err != nil {
			return nil, fmt.Errorf("encryption_key: %w", err)
		}
		key := decodeEncryptionKey(strings.TrimSpace(text))
		if len(key) != keys.EncryptionKeySize {
			return nil, fmt.Errorf("encryption_key: %s is to be %d random bytes in base64 or hex, as openssl rand -base64 %[2]d makes them", placeholder, keys.EncryptionKeySize)
		}
		list = append(list, key)
	}
	return list, nil
}

// decodeEncryptionKey reads hex, and base64 in either alphabet with or without padding. Hex of the right length would be base64 of a wrong one.
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

// warnOfClearKeys is for those who have not thought of it: whoever reads the store has the private keys.
func (s *AuthorizationServer) warnOfClearKeys() {
	if len(s.EncryptionKeys) == 0 && len(s.SigningKeys) == 0 && !s.volatile {
		s.core.Config.Logger.Warn("the private signing keys are in clear in the store; set encryption_key in oauth_server")
	}
}
