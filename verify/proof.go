package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
)

// Reasons to refuse a DPoP proof (RFC 9449 §4.2, §4.3), for the log.
var (
	errProofSize   = errors.New("it is too long")
	errProofType   = errors.New("typ is not dpop+jwt")
	errProofKey    = errors.New("jwk is not an object")
	errProofKeyAlg = errors.New("the key is for another algorithm")
	errProofHeader = errors.New("jku, x5u, x5c, b64 or zip: a proof has its key in jwk and nowhere else")
	errProofID     = errors.New("jti is not a string of 1 to 256 bytes without control characters")
	errProofClaims = errors.New("htm, htu, ath or nonce is not a string, or htm or htu is missing")
	errProofIssued = errors.New("iat is not a NumericDate")
)

const (
	maxProof   = 8 << 10 // bytes: a proof by RSA with 8192 bits has 4 KiB
	maxProofID = 256     // bytes
)

// signedProof is a DPoP proof that was read, and is not verified.
type signedProof struct {
	parts      compact
	algorithm  *algorithm
	key        crypto.PublicKey
	thumbprint string

	id, method, url string    // jti, htm, htu
	token, nonce    string    // ath, nonce; "" if absent
	issued          time.Time // iat
}

// parseProof reads a proof (RFC 9449 §4.2). What the RFC does not name is ignored, exp and nbf
// among it: iat says how old a proof is.
func parseProof(text string) (p signedProof, err error) {
	if len(text) > maxProof {
		return p, errProofSize
	}
	if p.parts, err = parseCompact(text); err != nil {
		return p, err
	}
	if err := p.readHeader(); err != nil {
		return p, err
	}
	return p, p.readClaims()
}

// readHeader reads the algorithm and the key, which fit each other: §4.3, points 4 to 7.
func (p *signedProof) readHeader() error {
	members, err := parseObject(p.parts.header)
	if err != nil {
		return err
	}
	var t Token
	if err := readHeader(members, &t); err != nil {
		return err
	}
	if t.Header.Type != "dpop+jwt" {
		return errProofType
	}
	for _, name := range [...]string{"jku", "x5u", "x5c", "b64", "zip"} {
		if _, present := members[name]; present {
			return errProofHeader
		}
	}
	if p.algorithm, err = findAlgorithm(t.Header.Algorithm); err != nil {
		return err
	}
	jwk, ok := members["jwk"].(map[string]any)
	if !ok {
		return errProofKey
	}
	bound, err := parseKey(jwk, useSignature)
	if err != nil {
		return err
	}
	if bound.alg != p.algorithm.name && !(bound.bare && p.algorithm.isRSA()) {
		return errProofKeyAlg
	}
	p.key, p.thumbprint = bound.key, thumbprint(bound.key)
	return p.algorithm.checkKey(p.key)
}

// readClaims reads what the proof is for.
func (p *signedProof) readClaims() error {
	claims, err := parseObject(p.parts.payload)
	if err != nil {
		return err
	}
	var ok bool
	if p.id, ok = claims["jti"].(string); !ok || len(p.id) > maxProofID || !isName(p.id) {
		return errProofID
	}
	for _, claim := range [...]struct {
		name     string
		into     *string
		required bool
	}{{"htm", &p.method, true}, {"htu", &p.url, true}, {"ath", &p.token, false}, {"nonce", &p.nonce, false}} {
		value, present := claims[claim.name]
		if *claim.into, ok = value.(string); !ok && (present || claim.required) {
			return errProofClaims
		}
	}
	number, ok := claims["iat"].(json.Number)
	if !ok {
		return errProofIssued
	}
	seconds, err := numericDate(string(number))
	if err != nil {
		return errProofIssued
	}
	p.issued = time.Unix(seconds, 0)
	return nil
}

// thumbprint returns the JWK thumbprint of a public key by SHA-256 (RFC 7638 §3, RFC 8037 §2), in
// base64url. It is computed from the key, so that one key has one, however its JWK spells it.
func thumbprint(key crypto.PublicKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	var text string
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		point, err := key.Bytes() // 4, x and y
		if err != nil {
			return ""
		}
		text = `{"crv":"` + key.Curve.Params().Name + `","kty":"EC","x":"` + encode(point[1:1+size]) + `","y":"` + encode(point[1+size:]) + `"}`
	case *rsa.PublicKey:
		e := binary.BigEndian.AppendUint64(nil, uint64(key.E))
		text = `{"e":"` + encode(minimal(e)) + `","kty":"RSA","n":"` + encode(key.N.Bytes()) + `"}`
	case ed25519.PublicKey:
		text = `{"crv":"Ed25519","kty":"OKP","x":"` + encode(key) + `"}`
	default:
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return encode(sum[:])
}
