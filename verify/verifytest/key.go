package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"errors"
)

// key is a private key with its one algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
type key struct {
	id, algorithm string
	signer        crypto.Signer
}

func newKey(algorithm string) *key {
	k := &key{id: algorithm, algorithm: algorithm}
	switch algorithm {
	case "ES256":
		k.signer = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case "ES384":
		k.signer = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case "ES512":
		k.signer = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		k.signer = must(rsa.GenerateKey(rand.Reader, 2048))
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		check(err)
		k.signer = private
	default:
		check(errors.New("unknown algorithm " + algorithm))
	}
	return k
}

func (i *Issuer) key(algorithm string) *key {
	for _, k := range i.keys {
		if k.algorithm == algorithm {
			return k
		}
	}
	panic("verifytest: the issuer has no key for " + algorithm)
}

// sign makes a JWS signature (RFC 7515 §5.1).
func (k *key) sign(input string) []byte {
	if private, ok := k.signer.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, []byte(input))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[k.algorithm[2:]]
	digester := hash.New()
	digester.Write([]byte(input))
	digest := digester.Sum(nil)
	switch private := k.signer.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		check(err)
		size := (private.Params().BitSize + 7) / 8
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
		return signature
	case *rsa.PrivateKey:
		if k.algorithm[:2] == "PS" {
			return must(rsa.SignPSS(rand.Reader, private, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(rand.Reader, private, hash, digest))
	}
	panic("verifytest: unknown key")
}
