package verify

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Reasons to refuse a compact JWS.
var (
	errParts     = errors.New("not three parts between two dots")
	errEncrypted = errors.New("five parts, so it is encrypted (RFC 7516 §7.1)")
	errPart      = errors.New("a part is empty or too long")
	errBase64    = errors.New("not canonical base64url")
	errAlgorithm = errors.New("alg is not a string that names an algorithm")
	errKeyID     = errors.New("kid is not a string of at most 256 bytes")
	errType      = errors.New("typ is not a string")
	errCritical  = errors.New("crit: no extension is supported")
	errEncoding  = errors.New("b64 or zip: the payload must be base64url and not compressed")
	errForeign   = errors.New("jwk, jku, x5u or x5c: a token must not bring its key")
	errHeader    = errors.New("longer than 2048 bytes")
)

const (
	maxHeader = 2048 // bytes, encoded, without a key in it

	// A header may have a key in it, which is ignored, where the issuer is permitted that: 8 KiB of
	// certificates, which are encoded twice.
	maxKeyHeader = 16 << 10
	maxSignature = 1366 // bytes, encoded: RSA with 8192 bits
	maxKeyID     = 256  // bytes
)

// base64url is without padding, and without stray bits after the last character (RFC 7515 §2), so
// that a token has one spelling. ECDSA is the exception: anyone can compute a second s, n-s, for a
// signature.
var base64url = base64.RawURLEncoding.Strict()

// compact is a JWS Compact Serialization (RFC 7515 §7.1), decoded.
type compact struct {
	input     string // what is signed: the first two parts with the dot
	header    string // JSON
	payload   string // JSON
	signature []byte
}

// parseCompact splits jwt and decodes its parts. A JWE, which has five, and the JSON Serialization
// are refused before anything is decoded.
func parseCompact(jwt string) (compact, error) {
	first, rest, _ := strings.Cut(jwt, ".")
	second, third, found := strings.Cut(rest, ".")
	switch {
	case !found || strings.Contains(third, "."):
		if strings.Count(jwt, ".") == 4 {
			return compact{}, errEncrypted
		}
		return compact{}, errParts
	case first == "" || second == "" || third == "" || len(first) > maxKeyHeader || len(third) > maxSignature:
		return compact{}, errPart
	case !isBase64url(first) || !isBase64url(second) || !isBase64url(third):
		return compact{}, errBase64
	}
	// The three parts share one buffer, and the two texts one string.
	buffer := make([]byte, 0, base64url.DecodedLen(len(jwt)))
	var ends [3]int
	for i, part := range [...]string{first, second, third} {
		var err error
		if buffer, err = base64url.AppendDecode(buffer, []byte(part)); err != nil {
			return compact{}, errBase64
		}
		ends[i] = len(buffer)
	}
	text := string(buffer[:ends[1]])
	return compact{
		input:     jwt[:len(first)+1+len(second)],
		header:    text[:ends[0]],
		payload:   text[ends[0]:],
		signature: buffer[ends[1]:ends[2]],
	}, nil
}

// isBase64url reports whether s has characters of the alphabet alone. The decoder skips line ends.
func isBase64url(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// parseHeader reads a JOSE header (RFC 7515 §4). Names of members are compared with case: "Alg" is
// not alg.
func parseHeader(text string, t *Token) error {
	members, err := parseObject(text)
	if err != nil {
		return err
	}
	if err := readHeader(members, t); err != nil {
		return err
	}
	if base64url.EncodedLen(len(text)) > maxHeader {
		t.deviations.note(headerKeys, errHeader)
	}
	return nil
}

// readHeader reads the members of a JOSE header.
func readHeader(members map[string]any, t *Token) error {
	if err := checkMembers(members, &t.deviations); err != nil {
		return err
	}
	h := &t.Header
	var ok bool
	if h.Algorithm, ok = members["alg"].(string); !ok || h.Algorithm == "" || h.Algorithm == "none" {
		return errAlgorithm
	}
	switch kid, present := members["kid"]; {
	case !present:
	case kid == nil:
		t.deviations.note(headerKeys, errKeyID)
	default:
		// An empty one names no key.
		if h.KeyID, ok = kid.(string); !ok || len(h.KeyID) > maxKeyID {
			return errKeyID
		}
	}
	switch typ, present := members["typ"]; {
	case !present:
	case typ == nil:
		t.deviations.note(headerKeys, errType)
	default:
		if h.Type, ok = typ.(string); !ok {
			return errType
		}
		h.Type = mediaType(h.Type)
	}
	return nil
}

// checkMembers refuses members that change how a token is read: critical extensions (RFC 7515
// §4.1.11), unencoded and compressed payloads (RFC 7797, RFC 7516 §4.1.3). It notes those that only
// could: keys in the token (RFC 8725 §3.10), which are never used, and an encoding that is the
// usual one.
func checkMembers(members map[string]any, d *deviations) error {
	if _, present := members["crit"]; present {
		return errCritical
	}
	for _, encoding := range [...]struct {
		name  string
		usual any
	}{{"b64", true}, {"zip", "NONE"}} {
		switch value, present := members[encoding.name]; {
		case !present:
		case value == nil || value == encoding.usual:
			d.note(headerKeys, errEncoding)
		default:
			return errEncoding
		}
	}
	for _, name := range [...]string{"jwk", "jku", "x5u", "x5c"} {
		if _, present := members[name]; present {
			d.note(headerKeys, errForeign)
		}
	}
	return nil
}

// mediaType returns a typ value in its short form, in lower case (RFC 7515 §4.1.9).
func mediaType(s string) string {
	s = strings.ToLower(s)
	if short, found := strings.CutPrefix(s, "application/"); found && !strings.Contains(short, "/") {
		return short
	}
	return s
}
