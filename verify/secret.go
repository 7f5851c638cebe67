package verify

import (
	"crypto"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// sharedSecret is what an issuer signs with by an HMAC (RFC 7518 §3.2). Secrets are no KeySet, so
// that no public key is ever taken for a secret, and no secret for a key (RFC 8725 §2.1).
type sharedSecret []byte

// Equal makes a token that another secret has proven an unknown one; see sameKey.
func (s sharedSecret) Equal(x crypto.PublicKey) bool {
	other, ok := x.(sharedSecret)
	return ok && hmac.Equal(s, other)
}

var errSecretGone = errors.New("the secret that signed the token is not among those of the issuer any more")

// newSharedSecrets returns the secrets of an issuer, each of which is as long as the hash of each
// algorithm at least (RFC 7518 §3.2), and the algorithms; HS256 if none are named.
func newSharedSecrets(secrets [][]byte, algorithms []string) ([]sharedSecret, []string, error) {
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
	shared := make([]sharedSecret, len(secrets))
	for i, secret := range secrets {
		shared[i] = slices.Clone(secret)
	}
	return shared, slices.Clone(algorithms), nil
}

// useSecret leaves it to checkSignature which of the secrets has signed the token, unless the cache
// knows, and it is one of them still.
func (s *verification) useSecret() *Error {
	if s.fact != nil && !slices.ContainsFunc(s.issuer.shared, func(own sharedSecret) bool { return sameKey(s.fact.key, own) }) {
		return invalid("the key of the token is not known", errSecretGone)
	}
	s.known |= theKey
	return nil
}

// signedBy returns the secret that has made an HMAC; nil: none has. There may be several, so that
// they can be changed while tokens of the one before are in use.
func signedBy(secrets []sharedSecret, alg, input string, signature []byte) sharedSecret {
	hash := macs[alg]
	for _, secret := range secrets {
		mac := hmac.New(hash.New, secret)
		mac.Write([]byte(input))
		if hmac.Equal(mac.Sum(nil), signature) {
			return secret
		}
	}
	return nil
}
