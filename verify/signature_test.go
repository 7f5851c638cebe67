package verify_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// rs makes an ES256 signature of two numbers.
func rs(r, s *big.Int) verifytest.Option {
	return verifytest.Signature(func(string, []byte) []byte {
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature
	})
}

func forge(change func([]byte) []byte) verifytest.Option {
	return verifytest.Signature(func(_ string, honest []byte) []byte { return change(slices.Clone(honest)) })
}

func flip(i int) verifytest.Option {
	return forge(func(s []byte) []byte { s[i] ^= 1; return s })
}

func asDER(s []byte) []byte {
	half := len(s) / 2
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:half]), new(big.Int).SetBytes(s[half:])})
	if err != nil {
		panic(err)
	}
	return der
}

// plusOrder adds the order of the Ed25519 group to S (RFC 8032 §8.4).
func plusOrder(s []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	half := slices.Clone(s[32:])
	slices.Reverse(half)
	half = new(big.Int).Add(new(big.Int).SetBytes(half), order).FillBytes(make([]byte, 32))
	slices.Reverse(half)
	return append(s[:32], half...)
}

// Signatures: RFC 7518 §3.3 to §3.5, RFC 8037 §3.1.
func TestSignature(t *testing.T) {
	issuer := everyKey()
	n := elliptic.P256().Params().N
	zero, one := new(big.Int), big.NewInt(1)
	over := new(big.Int).Add(n, one)
	alg := verifytest.Algorithm
	type options = []verifytest.Option
	tests := []struct {
		name    string
		options options
	}{
		{"S01 first bit", options{flip(0)}},
		{"S01 last bit", options{flip(63)}},
		{"S01 another issuer's key", options{verifytest.SignedBy(verifytest.New(testIssuer, testAPI))}},
		{"S03 r and s zero", options{rs(zero, zero)}},
		{"S03 r zero", options{rs(zero, one)}},
		{"S03 s zero", options{rs(one, zero)}},
		{"S03 r = n", options{rs(n, one)}},
		{"S03 s = n", options{rs(one, n)}},
		{"S03 r = s = n", options{rs(n, n)}},
		{"S03 r > n", options{rs(over, one)}},
		{"S03 r = s = 1", options{rs(one, one)}},
		{"S04 DER", options{forge(asDER)}},
		{"S06 63 bytes", options{forge(func(s []byte) []byte { return s[:63] })}},
		{"S06 65 bytes", options{forge(func(s []byte) []byte { return append(s, 0) })}},
		{"S06 padded left", options{forge(func(s []byte) []byte { return append([]byte{0}, s...) })}},
		{"S06 both halves padded", options{forge(func(s []byte) []byte { return slices.Concat([]byte{0}, s[:32], []byte{0}, s[32:]) })}},
		{"one byte", options{forge(func([]byte) []byte { return []byte{0} })}},
		{"S07 Ed25519 with S + L", options{alg("EdDSA"), forge(plusOrder)}},
		{"S07 Ed25519 with a byte more", options{alg("EdDSA"), forge(func(s []byte) []byte { return append(s, 0) })}},
		{"Ed25519 flipped", options{alg("EdDSA"), flip(0)}},
		{"S09 RSA flipped", options{alg("RS256"), flip(255)}},
		{"S09 RSA zero", options{alg("RS256"), forge(func(s []byte) []byte { return make([]byte, len(s)) })}},
		{"S09 RSA one", options{alg("RS256"), forge(func(s []byte) []byte { return append(make([]byte, len(s)-1), 1) })}},
		{"S09 RSA short", options{alg("RS256"), forge(func(s []byte) []byte { return s[1:] })}},
		{"S09 RSA long", options{alg("RS256"), forge(func(s []byte) []byte { return append([]byte{0}, s...) })}},
		{"S10 PSS flipped", options{alg("PS256"), flip(10)}},
		{"S10 PSS long", options{alg("PS256"), forge(func(s []byte) []byte { return append([]byte{0}, s...) })}},
	}
	v := newVerifier(t, issuer, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, v, issuer.Sign(nil, test.options...), verify.InvalidToken)
		})
	}
}

// S10: the salt is as long as the hash (RFC 7518 §3.5); S09: PKCS #1 padding
// has a digest info, of the right hash (RFC 8017 §8.2.2).
func TestRSAPadding(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	input := "header.payload"
	digest := sha256.Sum256([]byte(input))
	sign := func(signature []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	pss := func(salt int) []byte {
		return sign(rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt}))
	}
	tests := []struct {
		name, algorithm string
		signature       []byte
		good            bool
	}{
		{"salt of 32 bytes", "PS256", pss(32), true},
		{"salt of one byte", "PS256", pss(1), false},
		{"salt of 20 bytes", "PS256", pss(20), false},
		{"salt of 64 bytes", "PS256", pss(64), false},
		{"longest salt", "PS256", pss(rsa.PSSSaltLengthAuto), false},
		{"PKCS #1", "RS256", sign(rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])), true},
		{"PKCS #1 without digest info", "RS256", sign(rsa.SignPKCS1v15(rand.Reader, private, 0, digest[:])), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := verify.VerifySignature(test.algorithm, &private.PublicKey, input, test.signature)
			if (err == nil) != test.good {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Form: RFC 7515 §2, §7.1, §7.2; RFC 7516 §7.1.
func TestForm(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	good := issuer.Sign(nil)
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	// The last of 86 characters carries four stray bits.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := alphabet[strings.IndexByte(alphabet, signature[85])|1]

	tests := []struct{ name, raw string }{
		{"S01 payload changed", join(header, encode(`{"sub":"admin"}`), signature)},
		{"S13 padding", good + "="},
		{"S13 two paddings", good + "=="},
		{"S13 padded payload", join(header, payload+"=", signature)},
		{"S13 plus", join(header, payload, "+"+signature[1:])},
		{"S13 slash", join(header, payload, "/"+signature[1:])},
		{"S13 space inside", join(header, payload[:4]+" "+payload[4:], signature)},
		{"S13 question mark", good + "?"},
		{"S13 %0A", good + "%0A"},
		{"S13 LF inside", join(header, payload[:4]+"\n"+payload[4:], signature)},
		{"S13 CR LF inside the signature", join(header, payload, signature[:4]+"\r\n"+signature[4:])},
		{"S13 LF at the end", good + "\n"},
		{"S14 stray bits", join(header, payload, signature[:85]+string(last))},
		{"length 1 mod 4", join(header, payload, signature+"AAA")},
		{"S15 leading dot", "." + good},
		{"S15 trailing dot", good + "."},
		{"S15 tab", "\t" + good},
		{"S15 NUL", good + "\x00"},
		{"S15 UTF-8", join(header, payload, "é"+signature[2:])},
		{"S15 quotes", `"` + good + `"`},
		{"S16 flattened JSON", `{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `"}`},
		{"S16 general JSON", `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`},
		{"S16 JSON wrapped around a compact one", `{"` + header + "." + payload + "." + signature + `":1}`},
		{"A21 JWE, dir", join(encode(`{"alg":"dir","enc":"A128GCM"}`), "", "AAAA", "AAAA", "AAAA")},
		{"A21 JWE, PBES2 with a huge count", join(encode(`{"alg":"PBES2-HS256+A128KW","p2c":2147483648,"enc":"A128GCM"}`), "AAAA", "AAAA", "AAAA", "AAAA")},
		{"A22 JWE in three parts", join(encode(`{"alg":"RSA-OAEP","enc":"A128GCM","zip":"DEF"}`), payload, signature)},
		{"empty", ""},
		{"two dots", ".."},
		{"one part", header},
		{"two parts", join(header, payload)},
		{"four parts", join(header, payload, signature, signature)},
		{"no header", join("", payload, signature)},
		{"no payload", join(header, "", signature)},
		{"RFC 7515 Appendix F detached payload", join(header, "", signature)},
		{"no signature", join(header, payload, "")},
		{"long header", join(strings.Repeat("A", 2049), payload, signature)},
		{"long signature", join(header, payload, strings.Repeat("A", 1367))},
		{"T12 8 KiB and a byte", strings.Repeat("A", 8193)},
	}
	for _, cache := range []*verify.Cache{nil, verify.NewCache(10, nil)} {
		v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
		expect(t, v, good, "ok")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				if test.raw == good {
					t.Fatal("not another token")
				}
				expect(t, v, test.raw, verify.InvalidToken)
			})
		}
	}
}
