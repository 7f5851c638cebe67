package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// EncryptionKeySize is the length in bytes of each of Options.EncryptionKeys: AES-256.
const EncryptionKeySize = 32

// ErrSealed says that the stored ring cannot be decrypted. It is left as it is.
var ErrSealed = errors.New("keys: the stored signing keys cannot be decrypted")

// sealedMark begins the data of an encrypted ring. What is in clear is JSON, and begins with a brace.
var sealedMark = []byte("A256GCM\n")

// seals encrypts the stored ring: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits in front of the
// ciphertext. A ring is written a few times a month, far from the 2³² after which random nonces wear a key out.
//
// The associated data is where the record belongs. So a record that was copied to another place, into the store
// of another server for instance, is refused there.
type seals struct {
	ciphers []cipher.AEAD // the first encrypts, each decrypts; none: rings are stored in clear
	place   []byte
}

func newSeals(encryptionKeys [][]byte, server string) (seals, error) {
	s := seals{place: fmt.Appendf(nil, "%q %q %q", server, recordKind, recordID)}
	for i, key := range encryptionKeys {
		if len(key) != EncryptionKeySize {
			return seals{}, fmt.Errorf("keys: encryption key %d has %d bytes, want %d", i+1, len(key), EncryptionKeySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return seals{}, fmt.Errorf("keys: encryption key %d: %w", i+1, err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return seals{}, fmt.Errorf("keys: encryption key %d: %w", i+1, err)
		}
		s.ciphers = append(s.ciphers, gcm)
	}
	return s, nil
}

// seal gives what is stored of an encoded ring.
func (s seals) seal(data []byte) []byte {
	if len(s.ciphers) == 0 {
		return data
	}
	return s.ciphers[0].Seal(bytes.Clone(sealedMark), nil, data, s.place)
}

// open gives the encoded ring of what is stored, and whether seal would store it in the same way. A ring in clear
// is read whatever the keys: it dates from before there was one.
func (s seals) open(stored []byte) (data []byte, current bool, err error) {
	sealed, found := bytes.CutPrefix(stored, sealedMark)
	if !found {
		return stored, len(s.ciphers) == 0, nil
	}
	if len(s.ciphers) == 0 {
		return nil, false, fmt.Errorf("%w: they are encrypted, and no encryption key is set", ErrSealed)
	}
	for i, c := range s.ciphers {
		if data, err := c.Open(nil, nil, sealed, s.place); err == nil {
			return data, i == 0, nil
		}
	}
	return nil, false, fmt.Errorf("%w: they were encrypted under another encryption key or for a server of another name, or the record is damaged", ErrSealed)
}
