package keys

import "errors"

var errSignature = errors.New("keys: malformed ECDSA signature")

// fixedWidth converts an ASN.1 ECDSA signature to r and s of size bytes each, as RFC 7518 §3.4
// requires. ecdsa.Sign makes the ASN.1 form too, and then parses it into big integers; to parse
// these few bytes here is cheaper.
func fixedWidth(der []byte, size int) ([]byte, error) {
	body, rest, err := element(der, 0x30)
	if err != nil || len(rest) != 0 {
		return nil, errSignature
	}
	r, body, err := element(body, 0x02)
	if err != nil {
		return nil, err
	}
	s, body, err := element(body, 0x02)
	if err != nil || len(body) != 0 {
		return nil, errSignature
	}
	out := make([]byte, 2*size)
	if !fill(out[:size], r) || !fill(out[size:], s) {
		return nil, errSignature
	}
	return out, nil
}

// element splits off the first element of in, which must have the given tag. A P-521 signature is
// longer than 127 bytes, so its length takes a second byte.
func element(in []byte, tag byte) (content, rest []byte, err error) {
	if len(in) < 2 || in[0] != tag {
		return nil, nil, errSignature
	}
	length, in := int(in[1]), in[2:]
	if length == 0x81 && len(in) > 0 {
		length, in = int(in[0]), in[1:]
	} else if length > 0x7f {
		return nil, nil, errSignature
	}
	if length == 0 || length > len(in) {
		return nil, nil, errSignature
	}
	return in[:length], in[length:], nil
}

// fill writes an ASN.1 integer right-aligned into dst, which must be all zero.
func fill(dst, integer []byte) bool {
	if len(integer) > 1 && integer[0] == 0 {
		integer = integer[1:]
	}
	if len(integer) > len(dst) {
		return false
	}
	copy(dst[len(dst)-len(integer):], integer)
	return true
}
