package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

var (
	errNoKeys   = errors.New(`not a JWK Set: no "keys" list of objects`)
	errKeyUse   = errors.New("use or key_ops does not permit verifying signatures")
	errKeyNoID  = errors.New("kid is not a string of at most 256 bytes")
	errKeyAlg   = errors.New("alg is not a string")
	errOffCurve = errors.New("the point is not on its curve")
	errNoObject = errors.New("not an object")
	errROCA     = errors.New("the modulus has the ROCA fingerprint (CVE-2017-15361): others can compute the private key")
)

// ErrSecretKey is why a private or symmetric key is left out of a key set.
var ErrSecretKey = errors.New("a private or symmetric key in a key set is not used: replace it, since everyone who could read the set has it")

// maxKeyValues bounds the members and elements of a key, certificates included.
const maxKeyValues = 1 << 16

// ParseKeySet reads a JWK Set (RFC 7517 §5). Keys that cannot verify access tokens here are left
// out, and dropped has the reason for each: another use; an unknown type, curve or algorithm; an
// RSA key outside 2048 to 8192 bits, with an exponent below 65537 or with the ROCA fingerprint; a
// point that is not on its curve or has a small order; a private or symmetric key. So are all keys
// of a kid that two different keys for one algorithm have (RFC 7517 §4.5).
//
// Each key is bound to one algorithm: to its alg if it has one, otherwise to the algorithm of its
// curve, and an RSA key to RS256, which is what issuers that name no alg sign with.
//
// Parts of the document that do not matter may be as they like: a key that is not good JSON is left
// out, because of a lone surrogate in it for instance, and other members of the set are not read. A
// byte order mark is skipped (RFC 8259 §8.1).
//
// The error is not nil if jwks is not JSON or not a JWK Set, if it has two lists of keys, or if a
// key is private, symmetric or no good JSON and none is usable.
func ParseKeySet(jwks []byte) (keys *StaticKeys, dropped []error, err error) {
	return parseKeySet(jwks, useSignature)
}

// useSignature is the use of a key for signatures (RFC 7517 §4.2).
const useSignature = "sig"

// parseKeySet reads the keys with a use, or without one if it is useSignature.
func parseKeySet(jwks []byte, use string) (keys *StaticKeys, dropped []error, err error) {
	list, err := splitSet(strings.TrimPrefix(string(jwks), "\ufeff"))
	if err != nil {
		return nil, nil, fmt.Errorf("key set: %w", err)
	}
	var usable []boundKey
	var fatal error // if no key is usable
	for i, text := range list {
		members, err := parseObjectOf(text, maxKeyValues)
		if err != nil {
			if errors.Is(err, errJSONObject) {
				err = errNoObject
			}
			fatal = err
			dropped = append(dropped, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		if use == useSVID && members["use"] == useX509SVID {
			continue
		}
		key, err := parseKey(members, use)
		if err != nil {
			if errors.Is(err, ErrSecretKey) {
				fatal = err
			}
			dropped = append(dropped, fmt.Errorf("key %d (kid %q): %w", i, fmt.Sprint(members["kid"]), err))
			continue
		}
		usable = append(usable, key)
	}
	if len(usable) == 0 && fatal != nil {
		return nil, nil, fmt.Errorf("key set: %w", fatal)
	}
	keys, ambiguous := newStaticKeys(usable)
	return keys, append(dropped, ambiguous...), nil
}

// isSecret reports whether a JWK has members of a private or symmetric key (RFC 7518 §6.2.2,
// §6.3.2, §6.4).
func isSecret(members map[string]any) bool {
	for _, name := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, present := members[name]; present {
			return true
		}
	}
	return members["kty"] == "oct"
}

// parseKey reads a JWK. A member that is null is as good as absent.
func parseKey(members map[string]any, use string) (boundKey, error) {
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	if isSecret(members) {
		return boundKey{}, ErrSecretKey
	}
	if err := verifies(members, use); err != nil {
		return boundKey{}, err
	}
	var bound boundKey
	var ok bool
	if id, present := members["kid"]; present {
		if bound.id, ok = id.(string); !ok || len(bound.id) > maxKeyID {
			return boundKey{}, errKeyNoID
		}
	}
	if use == useSVID && bound.id == "" {
		return boundKey{}, errKeyNoID
	}
	if alg, present := members["alg"]; present {
		if bound.alg, ok = alg.(string); !ok {
			return boundKey{}, errKeyAlg
		}
	}
	var err error
	if bound.key, err = publicKey(members); err != nil {
		return boundKey{}, err
	}
	if bound.alg == "" {
		bound.alg = defaultAlgorithm(bound.key)
		_, bound.bare = bound.key.(*rsa.PublicKey)
	}
	algorithm, err := findAlgorithm(bound.alg)
	if err != nil {
		return boundKey{}, fmt.Errorf("%q is %w", bound.alg, err)
	}
	bound.alg = algorithm.name
	return bound, algorithm.checkKey(bound.key)
}

// verifies returns an error unless use and key_ops permit verifying signatures (RFC 7517 §4.2,
// §4.3).
func verifies(members map[string]any, use string) error {
	switch own, present := members["use"]; {
	case use == useSVID && own != use:
		return errBundleUse
	case present && own != use:
		return errKeyUse
	}
	value, present := members["key_ops"]
	if !present {
		return nil
	}
	if operations, _ := value.([]any); !slices.Contains(operations, any("verify")) {
		return errKeyUse
	}
	return nil
}

// curvePoint returns the key of a JWK as RFC 7518 §6.2.1 has it: what nearly all are, at a tenth of
// the time. nil: it is another, or not written so.
func curvePoint(members map[string]any) crypto.PublicKey {
	name, _ := members["crv"].(string)
	x, _ := members["x"].(string)
	y, _ := members["y"].(string)
	i := slices.IndexFunc(algorithms[:], func(a algorithm) bool { return a.curve != nil && a.curve.Params().Name == name })
	if i < 0 || members["kty"] != "EC" || !isBase64url(x) || !isBase64url(y) {
		return nil
	}
	size := base64url.EncodedLen((algorithms[i].curve.Params().BitSize + 7) / 8)
	if len(x) != size || len(y) != size {
		return nil
	}
	point, err := base64url.AppendDecode([]byte{4}, []byte(x))
	if err == nil {
		point, err = base64url.AppendDecode(point, []byte(y))
	}
	if err != nil {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(algorithms[i].curve, point)
	if err != nil {
		return nil
	}
	return key
}

// publicKey reads the key with jwx, without the members about its use, and checks what jwx does
// not: that a point is on its curve.
func publicKey(members map[string]any) (crypto.PublicKey, error) {
	if key := curvePoint(members); key != nil {
		return key, nil
	}
	bare := make(map[string]any, 5)
	for _, name := range [...]string{"kty", "crv", "x", "y", "n", "e"} {
		if value, present := members[name]; present {
			bare[name] = value
		}
	}
	text, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	parsed, err := jwk.ParseKey(text)
	if err != nil {
		return nil, err
	}
	var key any
	if err := parsed.Raw(&key); err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			return nil, errOffCurve
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize && !isOnEd25519(key) {
			return nil, errOffCurve
		}
	case *rsa.PublicKey:
		if hasROCA(key.N) {
			return nil, errROCA
		}
	default:
		return nil, errUnsupported
	}
	return key, nil
}

// defaultAlgorithm returns the algorithm of a JWK without alg. RFC 7518 §3.4 has one for each
// curve.
func defaultAlgorithm(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		for _, a := range algorithms {
			if a.curve == key.Curve {
				return a.name
			}
		}
	case *rsa.PublicKey:
		return "RS256"
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}
