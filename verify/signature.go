package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"slices"
)

// algorithm is a row of the table in RFC 7518 §3.1, or EdDSA (RFC 8037 §3.1).
type algorithm struct {
	name  string
	hash  crypto.Hash    // 0 for EdDSA
	curve elliptic.Curve // for ECDSA
	pss   bool           // for RSA: RSASSA-PSS instead of PKCS #1 v1.5
}

var algorithms = [...]algorithm{
	{name: "ES256", hash: crypto.SHA256, curve: elliptic.P256()},
	{name: "ES384", hash: crypto.SHA384, curve: elliptic.P384()},
	{name: "ES512", hash: crypto.SHA512, curve: elliptic.P521()},
	{name: "RS256", hash: crypto.SHA256},
	{name: "RS384", hash: crypto.SHA384},
	{name: "RS512", hash: crypto.SHA512},
	{name: "PS256", hash: crypto.SHA256, pss: true},
	{name: "PS384", hash: crypto.SHA384, pss: true},
	{name: "PS512", hash: crypto.SHA512, pss: true},
	{name: "EdDSA"},
}

var (
	errUnsupported = errors.New("not an algorithm of this package")
	errKeyFits     = errors.New("the key does not fit the algorithm")
	errKeyWeak     = errors.New("the key is too weak or too large")
	errSignature   = errors.New("the signature does not verify with the key")
)

// RFC 7518 §3.3 requires RSA keys of at least 2048 bits. Above 8192, one verification costs more
// than a request should.
const minRSA, maxRSA = 2048, 8192

// minExponent is the least public exponent of an RSA key (FIPS 186-5 §5.1 requires more than 2^16).
const minExponent = 65537

// CanonicalAlgorithm returns the name by which a KeySet knows the algorithm: "EdDSA" for "Ed25519",
// which is its name in RFC 9864 §2.2, and any other name as it is.
func CanonicalAlgorithm(name string) string {
	if name == "Ed25519" {
		return "EdDSA"
	}
	return name
}

// algorithmNames returns the names of all algorithms.
func algorithmNames() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

// findAlgorithm returns the algorithm with this name. All of them are asymmetric: without "none"
// and the HMACs, no public key can be taken for a secret.
func findAlgorithm(name string) (*algorithm, error) {
	name = CanonicalAlgorithm(name)
	i := slices.IndexFunc(algorithms[:], func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return nil, errUnsupported
	}
	return &algorithms[i], nil
}

// isRSA reports whether an algorithm is for RSA keys.
func (a *algorithm) isRSA() bool { return a.curve == nil && a.hash != 0 }

// checkKey returns nil if key may be used with a. It runs also before each verification, because a
// KeySet may be anybody's.
func (a *algorithm) checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if a.curve == nil || key.Curve != a.curve {
			return errKeyFits
		}
	case *rsa.PublicKey:
		if a.curve != nil || a.hash == 0 {
			return errKeyFits
		}
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA || key.E < minExponent || key.E&1 == 0 {
			return errKeyWeak
		}
	case ed25519.PublicKey:
		if a.hash != 0 || len(key) != ed25519.PublicKeySize {
			return errKeyFits
		}
		if isWeakEd25519(key) {
			return errKeyWeak
		}
	default:
		return errKeyFits
	}
	return nil
}

// verify checks a JWS signature (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1).
func (a *algorithm) verify(key crypto.PublicKey, input string, signature []byte) error {
	if err := a.checkKey(key); err != nil {
		return err
	}
	ok := false
	var buffer [sha512.Size]byte
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		var der [maxDER]byte
		if encoded := appendDER(der[:0], signature, (a.curve.Params().BitSize+7)/8); encoded != nil {
			ok = ecdsa.VerifyASN1(key, a.digest(&buffer, input), encoded)
		}
	case *rsa.PublicKey:
		ok = a.verifyRSA(key, a.digest(&buffer, input), signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, []byte(input), signature)
	}
	if !ok {
		return errSignature
	}
	return nil
}

// verifyRSA requires the salt of PSS to be as long as the hash (RFC 7518 §3.5). crypto/rsa checks
// that the signature is as long as the modulus.
func (a *algorithm) verifyRSA(key *rsa.PublicKey, digest, signature []byte) error {
	if a.pss {
		return rsa.VerifyPSS(key, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.VerifyPKCS1v15(key, a.hash, digest, signature)
}

func (a *algorithm) digest(buffer *[sha512.Size]byte, input string) []byte {
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256([]byte(input))
		return buffer[:copy(buffer[:], sum[:])]
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(input))
		return buffer[:copy(buffer[:], sum[:])]
	default:
		*buffer = sha512.Sum512([]byte(input))
		return buffer[:]
	}
}

// maxDER is the length of a DER signature of P-521: a sequence with a header of 3 bytes, and in it
// two integers of 66 bytes, each with a header of 2 bytes and a sign byte.
const maxDER = 3 + 2*(2+1+66)

// appendDER appends the r||s of a JWS (RFC 7518 §3.4), size bytes each, as the ASN.1 sequence that
// crypto/ecdsa reads. It returns nil if the length of signature differs.
func appendDER(dst, signature []byte, size int) []byte {
	if len(signature) != 2*size {
		return nil
	}
	r, s := minimal(signature[:size]), minimal(signature[size:])
	length := 2 + len(r) + int(r[0]>>7) + 2 + len(s) + int(s[0]>>7)
	dst = append(dst, 0x30)
	if length > 127 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(length))
	for _, n := range [...][]byte{r, s} {
		if n[0]&0x80 != 0 {
			dst = append(dst, 0x02, byte(len(n)+1), 0)
		} else {
			dst = append(dst, 0x02, byte(len(n)))
		}
		dst = append(dst, n...)
	}
	return dst
}

// minimal returns n without leading zeros, but at least one byte.
func minimal(n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	return n
}
