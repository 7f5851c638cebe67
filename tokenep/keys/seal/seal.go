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

// ErrSealed says that a record cannot be decrypted. Whoever gets it leaves the record as it is.
var ErrSealed = errors.New("cannot be decrypted")

// mark begins the data of an encrypted record. What is in clear is JSON, and begins with a brace.
var mark = []byte("A256GCM\n")

// Seals encrypts the data of records: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits
// in front of the ciphertext. Such records are written a few times a month, far from the 2³² after
// which random nonces wear a key out.
//
// The associated data is where the record belongs: the name of the server, and its kind and id. So
// a record that was copied to another place, into the store of another server for instance, is
// refused there.
//
// The zero value has no key: it seals nothing, and opens what is in clear.
type Seals struct {
	ciphers []cipher.AEAD // the first encrypts, each decrypts
	server  string
}

// New returns the seals of a server under these keys, of KeySize random bytes each: the first one
// encrypts, each decrypts, so that one can be replaced by another.
func New(encryptionKeys [][]byte, server string) (Seals, error) {
	s := Seals{server: server}
	for i, key := range encryptionKeys {
		if len(key) != KeySize {
			return Seals{}, fmt.Errorf("encryption key %d has %d bytes, want %d", i+1, len(key), KeySize)
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

// Seal gives what is stored of the data of a record. Without a key that is the data itself.
func (s Seals) Seal(kind, id string, data []byte) []byte {
	if len(s.ciphers) == 0 {
		return data
	}
	return s.ciphers[0].Seal(bytes.Clone(mark), nil, data, s.place(kind, id))
}

// Open gives the data of what is stored of a record, and whether Seal would store it in the same
// way: who finds that it would not can write it anew. What is in clear is opened whatever the keys:
// it dates from before there was one. The error Is ErrSealed, and its text goes on after the name
// of what there are several of.
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
