package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// KeySize is the length in bytes of an encryption key: AES-256.
const KeySize = 32

// ErrSealed is the error for a record that cannot be decrypted. The caller must not overwrite it.
var ErrSealed = errors.New("cannot be decrypted")

// mark begins the data of an encrypted record. Data in clear is JSON, and begins with a brace.
var mark = []byte("A256GCM\n")

// Seals encrypts the data of records: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits
// in front of the ciphertext. Such records are written a few times a month, far from the 2³² times
// after which random nonces become unsafe.
//
// The associated data says where the record belongs: the name of the server, and the record's kind
// and id. So a record that was copied to another place, such as the store of another server, cannot
// be opened there.
//
// The zero value has no key: it leaves data in clear, and opens only such data.
type Seals struct {
	ciphers []cipher.AEAD // the first encrypts, each decrypts
	server  string
}

// New returns the seals of the server of that name under these keys, of KeySize random bytes each:
// the first one encrypts and all decrypt, so that a key can be replaced.
func New(encryptionKeys [][]byte, server string) (Seals, error) {
	s := Seals{server: server}
	for i, key := range encryptionKeys {
		if len(key) != KeySize {
			return Seals{}, fmt.Errorf("encryption key %d must have %d bytes, got %d", i+1, KeySize, len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return Seals{}, fmt.Errorf("encryption key %d: %w", i+1, err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Seals{}, fmt.Errorf("encryption key %d: %w", i+1, err)
		}
		s.ciphers = append(s.ciphers, gcm)
	}
	return s, nil
}

func (s Seals) place(kind, id string) []byte { return fmt.Appendf(nil, "%q %q %q", s.server, kind, id) }

// Seal returns the data of a record as it is stored: encrypted, or unchanged if there is no key.
func (s Seals) Seal(kind, id string, data []byte) []byte {
	if len(s.ciphers) == 0 {
		return data
	}
	return s.ciphers[0].Seal(bytes.Clone(mark), nil, data, s.place(kind, id))
}

// Open returns the data of a stored record. current reports whether Seal would store it in the same
// way, under the same key; if not, the caller may store it again. A record in clear is opened even
// if there are keys, because it may be older than they are. The error is ErrSealed; its text
// continues a plural subject, "the signing keys cannot be decrypted".
func (s Seals) Open(kind, id string, stored []byte) (data []byte, current bool, err error) {
	sealed, found := bytes.CutPrefix(stored, mark)
	if !found {
		return stored, len(s.ciphers) == 0, nil
	}
	if len(s.ciphers) == 0 {
		return nil, false, fmt.Errorf("%w: they are encrypted, and no encryption key is set", ErrSealed)
	}
	for i, c := range s.ciphers {
		if data, err := c.Open(nil, nil, sealed, s.place(kind, id)); err == nil {
			return data, i == 0, nil
		}
	}
	return nil, false, fmt.Errorf("%w: they were encrypted under another encryption key or for a server of another name, or the record is damaged", ErrSealed)
}
