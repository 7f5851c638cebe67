package verifytest

import (
	"encoding/json"
	"maps"
)

// Option changes how a token is made. The changed token is signed too, unless Signature is among
// the options.
type Option func(*draft)

// Algorithm signs with the issuer's key for this algorithm instead of its first key.
func Algorithm(name string) Option {
	return func(d *draft) { d.key = d.issuer.key(name) }
}

// As signs with the same key by another algorithm of its kind, which alg names: PS256 with an RS256
// key, ES256 with a key on P-384.
func As(algorithm string) Option {
	return func(d *draft) { d.key = &key{id: d.key.id, algorithm: algorithm, signer: d.key.signer} }
}

// SignedBy signs with the first key of another issuer, under the name and kid of this one.
func SignedBy(other *Issuer) Option {
	return func(d *draft) { d.forger = other.keys[0] }
}

// Header sets a header member; a nil value leaves it out.
func Header(name string, value any) Option {
	return func(d *draft) { d.header[name] = value }
}

// RawHeader replaces the JSON of the header.
func RawHeader(text string) Option {
	return func(d *draft) { d.rawHeader = &text }
}

// RawPayload replaces the JSON of the payload.
func RawPayload(text string) Option {
	return func(d *draft) { d.rawPayload = &text }
}

// Signature replaces the signature by what forge returns. forge gets the signing input and the
// right signature.
func Signature(forge func(input string, honest []byte) []byte) Option {
	return func(d *draft) { d.forge = forge }
}

// Unsigned makes an unsecured JWT (RFC 7519 §6): alg none, no signature.
func Unsigned() Option {
	return func(d *draft) {
		d.header["alg"] = "none"
		d.forge = func(string, []byte) []byte { return nil }
	}
}

// draft is a token while it is being made.
type draft struct {
	issuer                *Issuer
	key                   *key
	forger                *key // signs in place of key, if set
	header                map[string]any
	rawHeader, rawPayload *string
	forge                 func(string, []byte) []byte
}

func (d *draft) compact(payload Claims) string {
	header := map[string]any{"alg": d.key.algorithm, "kid": d.key.id}
	maps.Copy(header, d.header)
	input := part(header, d.rawHeader) + "." + part(payload, d.rawPayload)
	signer := d.key
	if d.forger != nil {
		signer = d.forger
	}
	signature := signer.sign(input)
	if d.forge != nil {
		signature = d.forge(input, signature)
	}
	return input + "." + encode(signature)
}

func part(members map[string]any, raw *string) string {
	if raw != nil {
		return encode([]byte(*raw))
	}
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	return encode(must(json.Marshal(members)))
}
