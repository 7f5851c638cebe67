package verify

import (
	"crypto"
	"crypto/hmac"
	"fmt"
	"slices"
	"strings"
)

// sharedSecrets are the secrets of an issuer that signs by an HMAC (RFC 7518 §3.2). They are no
// KeySet, so that no public key is ever taken for a secret, and no secret for a key (RFC 8725
// §2.1).
type sharedSecrets struct{ secrets [][]byte }

// Equal makes a token that was proven by other secrets an unknown one; see sameKey.
func (s *sharedSecrets) Equal(x crypto.PublicKey) bool {
	other, ok := x.(*sharedSecrets)
	return ok && slices.EqualFunc(s.secrets, other.secrets, hmac.Equal)
}

// newSharedSecrets returns the secrets of an issuer, each of which is as long as the hash of each
// algorithm at least (RFC 7518 §3.2), and the algorithms; HS256 if none are named.
func newSharedSecrets(secrets [][]byte, algorithms []string) (*sharedSecrets, []string, error) {
	if len(algorithms) == 0 {
		algorithms = []string{"HS256"}
	}
	for _, name := range algorithms {
		hash, known := macs[name]
		if !known {
			return nil, nil, fmt.Errorf("%q is not an algorithm of a secret; there are %s", name, strings.Join(MACAlgorithms(), ", "))
		}
		for _, secret := range secrets {
			if len(secret) < hash.Size() {
				return nil, nil, fmt.Errorf("a secret has %d bytes, and needs %d at least for %s (RFC 7518 §3.2)", len(secret), hash.Size(), name)
			}
		}
	}
	shared := new(sharedSecrets)
	for _, secret := range secrets {
		shared.secrets = append(shared.secrets, slices.Clone(secret))
	}
	return shared, slices.Clone(algorithms), nil
}

// verify checks an HMAC. Any of the secrets may have made it, so that they can be changed while
// tokens of the one before are in use.
func (s *sharedSecrets) verify(alg, input string, signature []byte) error {
	hash, known := macs[alg]
	if !known {
		return errUnsupported
	}
	for _, secret := range s.secrets {
		mac := hmac.New(hash.New, secret)
		mac.Write([]byte(input))
		if hmac.Equal(mac.Sum(nil), signature) {
			return nil
		}
	}
	return errSignature
}
