package endpoint

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
)

// PageKey seals what a page or a request_uri brings back (RFC 6749 §10.12): only this server can
// read it, or make it. Each is encrypted by AES-256-GCM under a key of its own (RFC 5869), so that
// no number of pages is too many. It is safe for concurrent use, once it has a key.
type PageKey struct{ key atomic.Pointer[[]byte] }

// SetKey gives it the key from which those of pages are derived, which may have other uses.
func (k *PageKey) SetKey(key []byte) {
	key = slices.Clone(key)
	k.key.Store(&key)
}

const saltBytes = 32

// What is sealed for one use is no use for another.
const (
	forPages    = "tokenep page 1"
	forRequests = "tokenep request_uri 1"
	forFlows    = "tokenep sign-in 1"
	forSessions = "tokenep session 1"
	forSignOut  = "tokenep sign-out 1"
	forAccount  = "tokenep account 1"
	forDevices  = "tokenep device 1"
	forNotices  = "tokenep notice 1"
)

// of returns the cipher of one text.
func (k *PageKey) of(use string, salt []byte) (cipher.AEAD, error) {
	master := k.key.Load()
	if master == nil {
		return nil, errors.New("there is no key for pages yet")
	}
	key, err := hkdf.Key(sha256.New, *master, salt, use, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal returns v as a text for a hidden field or a URI.
func (k *PageKey) seal(use string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	aead, err := k.of(use, salt)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(salt, nil, text, nil)), nil
}

// open is the inverse of seal.
func (k *PageKey) open(use, sealed string, v any) error {
	encoding := base64.RawURLEncoding.Strict()
	b, err := encoding.DecodeString(sealed)
	skipped := encoding.EncodedLen(len(b)) != len(sealed) // line ends
	if err != nil || skipped || len(b) < saltBytes {
		return errors.New("not sealed")
	}
	aead, err := k.of(use, b[:saltBytes])
	if err != nil {
		return err
	}
	text, err := aead.Open(nil, nil, b[saltBytes:], nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
