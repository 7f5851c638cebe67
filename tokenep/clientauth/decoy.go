package clientauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"sync"
)

// decoyKeys are the keys of a client that does not exist: a verification with them takes about as
// long as with those of one that does, and fails. So the time of an answer does not tell which ids
// there are (RFC 6749 §10.10).
type decoyKeys struct{}

// decoy keys by the curve, or kind, of the algorithms that they are for.
var decoys = sync.OnceValues(func() (map[string]crypto.PublicKey, error) {
	keys := make(map[string]crypto.PublicKey)
	for name, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[name] = private.Public()
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keys["EdDSA"] = public
	// Any odd number of the right size does for RSA: nobody knows its factors, and nothing is
	// signed with it.
	const bits = 2048
	modulus, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits-1))
	if err != nil {
		return nil, err
	}
	modulus.SetBit(modulus.SetBit(modulus, bits-1, 1), 0, 1)
	keys["RSA"] = &rsa.PublicKey{N: modulus, E: 65537}
	return keys, nil
})

// Key returns a key for any kid.
func (decoyKeys) Key(_ context.Context, _, alg string) (crypto.PublicKey, error) {
	keys, err := decoys()
	if strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS") {
		alg = "RSA"
	}
	return keys[alg], err
}
