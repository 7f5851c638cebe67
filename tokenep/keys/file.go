package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	maxKeyFile = 1 << 16 // bytes; the largest RSA key takes a tenth
	maxKeyID   = 256     // bytes; verifiers refuse a longer kid
	minRSABits = 2048    // RFC 7518 §3.3
)

// ReadFile reads a private key: PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted) or one private JWK
// (RFC 7517 §4).
//
// The key is bound to one algorithm: the alg of a JWK that has one; else the given algorithm, if it
// fits the key; else what is usual for this kind of key (ES256, ES384 or ES512 by its curve, RS256,
// EdDSA). The id of a JWK is its kid, if it has one, so that tokens which another issuer has signed
// with it stay valid; every other id is the thumbprint. No error shows the content.
func ReadFile(path, algorithm string) (*Key, error) {
	content, err := verify.ReadKeyFile(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err) // the path is in it
	}
	var key *Key
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		key, err = fromJWK(content, algorithm)
	} else {
		key, err = fromPEM(content, algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return key, nil
}

var (
	errNoKey     = errors.New("expected a private key, in PEM (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256) or as a JWK")
	errEncrypted = errors.New("the key is encrypted; decrypt it with openssl pkey, and let only Caddy read the file")
	errTwoKeys   = errors.New("it has two keys; put each into a file of its own")
)

// fromPEM reads a PEM file (RFC 7468) with exactly one private key among its blocks.
func fromPEM(content []byte, algorithm string) (*Key, error) {
	var private any
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PARAMETERS", "CERTIFICATE": // often in the same file
			continue
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted
		default:
			return nil, fmt.Errorf("got a PEM block %.40q; %w", block.Type, errNoKey)
		}
		switch {
		case block.Headers["DEK-Info"] != "":
			return nil, errEncrypted
		case err != nil:
			return nil, fmt.Errorf("its %s cannot be parsed: %w", block.Type, err)
		case private != nil:
			return nil, errTwoKeys
		}
		private = key
	}
	if private == nil {
		return nil, errNoKey
	}
	return bind(private, "", algorithm, "")
}

// fromJWK reads a private JWK. Its use and key_ops (RFC 7517 §4.2, §4.3) must allow signatures.
func fromJWK(content []byte, algorithm string) (*Key, error) {
	parsed, err := jwk.ParseKey(content)
	if err != nil {
		return nil, errors.New("it is not a JWK (RFC 7517 §4); of a key set, put each key into a file of its own")
	}
	if use := parsed.KeyUsage(); use != "" && use != "sig" {
		return nil, fmt.Errorf("its use must be sig, got %.40q", use)
	}
	if operations := parsed.KeyOps(); len(operations) > 0 && !slices.Contains(operations, jwk.KeyOpSign) {
		return nil, errors.New(`its key_ops must include "sign"`)
	}
	if len(parsed.KeyID()) > maxKeyID {
		return nil, fmt.Errorf("its kid is longer than %d bytes", maxKeyID)
	}
	var own struct { // jwx drops an alg that it does not know, such as Ed25519 (RFC 9864)
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(content, &own); err != nil {
		return nil, errors.New("its alg is not a string")
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return nil, errors.New("its members are not those of a valid key")
	}
	return bind(raw, own.Algorithm, algorithm, parsed.KeyID())
}

// bind returns the Key for the private key of a file. own is the algorithm that the file names,
// preferred that of the configuration.
func bind(raw any, own, preferred, id string) (*Key, error) {
	private, ok := raw.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("it is a %T, which cannot sign; %w", raw, errNoKey)
	}
	if err := check(private); err != nil {
		return nil, err
	}
	name := own
	if a, known := algorithms[preferred]; name == "" && known && a.fits(private) {
		name = preferred
	}
	if name == "" {
		name = usual(private)
	}
	return newKey(name, private, id)
}

// check refuses an RSA key that is too short, and a key whose private and public halves do not
// belong together, whose signatures could not be verified.
func check(private crypto.Signer) error {
	if k, ok := private.(*rsa.PrivateKey); ok && k.N.BitLen() < minRSABits {
		return fmt.Errorf("its RSA modulus has %d bits, but must have at least %d (RFC 7518 §3.3)", k.N.BitLen(), minRSABits)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("a %T cannot be used for signatures", private)
	}
	again, err := x509.ParsePKCS8PrivateKey(encoded) // which derives the public half
	if err != nil {
		return errors.New("its numbers are not those of a valid key")
	}
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if signer, is := again.(crypto.Signer); !ok || !is || !public.Equal(signer.Public()) {
		return errors.New("its public and private members belong to two different keys, not to one")
	}
	return nil
}

// usual returns the algorithm of a key that names none, or "" for a kind of key that newKey
// refuses.
func usual(private crypto.Signer) string {
	switch private.(type) {
	case *ecdsa.PrivateKey:
		for _, name := range []string{"ES256", "ES384", "ES512"} {
			if algorithms[name].fits(private) {
				return name
			}
		}
	case *rsa.PrivateKey:
		return "RS256"
	case ed25519.PrivateKey:
		return "EdDSA"
	}
	return ""
}
