package oauthserver

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func TestEncryptionKeysAreReadInTheirForms(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb, 0xff}, 16) // which base64 writes with both of its last letters
	good := map[string]string{
		"base64":                           base64.StdEncoding.EncodeToString(key),
		"base64 without padding":           base64.RawStdEncoding.EncodeToString(key),
		"base64url":                        base64.URLEncoding.EncodeToString(key),
		"base64url without padding":        base64.RawURLEncoding.EncodeToString(key),
		"hex":                              hex.EncodeToString(key),
		"HEX":                              strings.ToUpper(hex.EncodeToString(key)),
		"base64 of a file with a line end": base64.StdEncoding.EncodeToString(key) + "\n",
	}
	for name, text := range good {
		t.Setenv("TEST_ENCRYPTION_KEY", text)
		s := &AuthorizationServer{EncryptionKeys: []string{"{env.TEST_ENCRYPTION_KEY}"}}
		got, err := s.encryptionKeys()
		if err != nil || len(got) != 1 || !bytes.Equal(got[0], key) {
			t.Errorf("%s: %x %v", name, got, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "a passphrase": "correct horse battery staple", "too short": base64.StdEncoding.EncodeToString(key[1:]),
		"too long": hex.EncodeToString(key) + "00", "the bytes themselves": strings.Repeat("k", 32),
	} {
		t.Setenv("TEST_ENCRYPTION_KEY", text)
		s := &AuthorizationServer{EncryptionKeys: []string{"{env.TEST_ENCRYPTION_KEY}"}}
		if _, err := s.encryptionKeys(); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want an error without the value", name, err)
		}
	}
}

// The JSON configuration can be seen, as an adapted Caddyfile can.
func TestLiteralEncryptionKeyInJSONIsRefused(t *testing.T) {
	literal := strings.Repeat("00", 32)
	for _, value := range []string{literal, "", "{env.A}" + literal, "{http.request.host}"} {
		s := &AuthorizationServer{EncryptionKeys: []string{value}}
		if _, err := s.encryptionKeys(); !errors.Is(err, errLiteralEncryptionKey) {
			t.Errorf("%q: got %v, want errLiteralEncryptionKey", value, err)
		}
	}
}
