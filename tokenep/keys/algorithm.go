package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"maps"
	"slices"
)

// algorithm is one value of the "alg" header (RFC 7518 §3.1, RFC 8037 §3.1).
type algorithm struct {
	generate func() (crypto.Signer, error)
	// fits reports whether the algorithm can be used with a key.
	fits func(crypto.Signer) bool
	// sign returns the JWS signature of a message, not yet in base64url.
	sign func(key crypto.Signer, message []byte) ([]byte, error)
}

// algorithms lists what a ring can sign with. RSA moduli grow with the hash, so that neither is
// much weaker than the other. Ed25519 has two names: the polymorphic EdDSA and, since RFC 9864, its
// own.
var algorithms = map[string]algorithm{
	"ES256":   onCurve(elliptic.P256(), crypto.SHA256, sum256),
	"ES384":   onCurve(elliptic.P384(), crypto.SHA384, sum384),
	"ES512":   onCurve(elliptic.P521(), crypto.SHA512, sum512),
	"RS256":   withRSA(2048, crypto.SHA256, sum256, nil),
	"RS384":   withRSA(3072, crypto.SHA384, sum384, nil),
	"RS512":   withRSA(4096, crypto.SHA512, sum512, nil),
	"PS256":   withRSA(2048, crypto.SHA256, sum256, saltAsHash),
	"PS384":   withRSA(3072, crypto.SHA384, sum384, saltAsHash),
	"PS512":   withRSA(4096, crypto.SHA512, sum512, saltAsHash),
	"EdDSA":   edwards,
	"Ed25519": edwards,
}

// Algorithms returns the values that Options.Algorithm accepts, sorted.
func Algorithms() []string {
	return slices.Sorted(maps.Keys(algorithms))
}

// saltAsHash is the salt length of RFC 7518 §3.5.
var saltAsHash = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func sum256(message []byte) []byte { d := sha256.Sum256(message); return d[:] }
func sum384(message []byte) []byte { d := sha512.Sum384(message); return d[:] }
func sum512(message []byte) []byte { d := sha512.Sum512(message); return d[:] }

// onCurve is ECDSA (RFC 7518 §3.4), deterministic as RFC 8725 §3.2 recommends for JWTs: the nonce
// of RFC 6979 comes of the key and the message, so that no weak random number can give the key
// away. It is also the cheaper one to make.
func onCurve(curve elliptic.Curve, hash crypto.Hash, sum func([]byte) []byte) algorithm {
	size := (curve.Params().BitSize + 7) / 8
	return algorithm{
		generate: func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) },
		fits: func(key crypto.Signer) bool {
			k, ok := key.(*ecdsa.PrivateKey)
			return ok && k.Curve == curve
		},
		sign: func(key crypto.Signer, message []byte) ([]byte, error) {
			der, err := key.Sign(nil, sum(message), hash)
			if err != nil {
				return nil, err
			}
			return fixedWidth(der, size)
		},
	}
}

// withRSA is RSASSA-PKCS1-v1_5 (RFC 7518 §3.3), or RSASSA-PSS (§3.5) when pss is given.
func withRSA(bits int, hash crypto.Hash, sum func([]byte) []byte, pss *rsa.PSSOptions) algorithm {
	return algorithm{
		generate: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) },
		fits: func(key crypto.Signer) bool {
			_, ok := key.(*rsa.PrivateKey)
			return ok
		},
		sign: func(key crypto.Signer, message []byte) ([]byte, error) {
			k := key.(*rsa.PrivateKey)
			if pss != nil {
				return rsa.SignPSS(rand.Reader, k, hash, sum(message), pss)
			}
			return rsa.SignPKCS1v15(rand.Reader, k, hash, sum(message))
		},
	}
}

// edwards is Ed25519 (RFC 8037 §3.1). It hashes the message itself.
var edwards = algorithm{
	generate: func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	},
	fits: func(key crypto.Signer) bool {
		_, ok := key.(ed25519.PrivateKey)
		return ok
	},
	sign: func(key crypto.Signer, message []byte) ([]byte, error) {
		return ed25519.Sign(key.(ed25519.PrivateKey), message), nil
	},
}
