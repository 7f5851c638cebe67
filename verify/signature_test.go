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

// rs returns an ES256 signature of two numbers.
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
		{"RFC 7515 §5.2 first bit", options{flip(0)}},
		{"RFC 7515 §5.2 last bit", options{flip(63)}},
		{"RFC 7515 §5.2 another issuer's key", options{verifytest.SignedBy(verifytest.New(testIssuer, testAPI))}},
		{"RFC 7518 §3.4 r and s zero", options{rs(zero, zero)}},
		{"RFC 7518 §3.4 r zero", options{rs(zero, one)}},
		{"RFC 7518 §3.4 s zero", options{rs(one, zero)}},
		{"RFC 7518 §3.4 r = n", options{rs(n, one)}},
		{"RFC 7518 §3.4 s = n", options{rs(one, n)}},
		{"RFC 7518 §3.4 r = s = n", options{rs(n, n)}},
		{"RFC 7518 §3.4 r > n", options{rs(over, one)}},
		{"RFC 7518 §3.4 r = s = 1", options{rs(one, one)}},
		{"RFC 7518 §3.4 DER", options{forge(asDER)}},
		{"RFC 7518 §3.4 63 bytes", options{forge(func(s []byte) []byte { return s[:63] })}},
		{"RFC 7518 §3.4 65 bytes", options{forge(func(s []byte) []byte { return append(s, 0) })}},
		{"RFC 7518 §3.4 padded left", options{forge(func(s []byte) []byte { return append([]byte{0}, s...) })}},
		{"RFC 7518 §3.4 both halves padded", options{forge(func(s []byte) []byte { return slices.Concat([]byte{0}, s[:32], []byte{0}, s[32:]) })}},
		{"one byte", options{forge(func([]byte) []byte { return []byte{0} })}},
		{"RFC 8032 §5.1.7 Ed25519 with S + L", options{alg("EdDSA"), forge(plusOrder)}},
		{"RFC 8032 §5.1.7 Ed25519 with a byte more", options{alg("EdDSA"), forge(func(s []byte) []byte { return append(s, 0) })}},
		{"Ed25519 flipped", options{alg("EdDSA"), flip(0)}},
		{"RFC 8017 §8.2.2 RSA flipped", options{alg("RS256"), flip(255)}},
		{"RFC 8017 §8.2.2 RSA zero", options{alg("RS256"), forge(func(s []byte) []byte { return make([]byte, len(s)) })}},
		{"RFC 8017 §8.2.2 RSA one", options{alg("RS256"), forge(func(s []byte) []byte { return append(make([]byte, len(s)-1), 1) })}},
		{"RFC 8017 §8.2.2 RSA short", options{alg("RS256"), forge(func(s []byte) []byte { return s[1:] })}},
		{"RFC 8017 §8.2.2 RSA long", options{alg("RS256"), forge(func(s []byte) []byte { return append([]byte{0}, s...) })}},
		{"RFC 7518 §3.5 PSS flipped", options{alg("PS256"), flip(10)}},
		{"RFC 7518 §3.5 PSS long", options{alg("PS256"), forge(func(s []byte) []byte { return append([]byte{0}, s...) })}},
	}
	v := newVerifier(t, issuer, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, v, issuer.Sign(nil, test.options...), verify.InvalidToken)
		})
	}
}

// RFC 7518 §3.5: the salt is as long as the hash. RFC 8017 §8.2.2: PKCS #1 padding has a digest
// info, of the right hash.
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
		{"RFC 7515 §5.2 payload changed", join(header, encode(`{"sub":"admin"}`), signature)},
		{"RFC 7515 §2 padding", good + "="},
		{"RFC 7515 §2 two paddings", good + "=="},
		{"RFC 7515 §2 padded payload", join(header, payload+"=", signature)},
		{"RFC 7515 §2 plus", join(header, payload, "+"+signature[1:])},
		{"RFC 7515 §2 slash", join(header, payload, "/"+signature[1:])},
		{"RFC 7515 §2 space inside", join(header, payload[:4]+" "+payload[4:], signature)},
		{"RFC 7515 §2 question mark", good + "?"},
		{"RFC 7515 §2 %0A", good + "%0A"},
		{"RFC 7515 §2 LF inside", join(header, payload[:4]+"\n"+payload[4:], signature)},
		{"RFC 7515 §2 CR LF inside the signature", join(header, payload, signature[:4]+"\r\n"+signature[4:])},
		{"RFC 7515 §2 LF at the end", good + "\n"},
		{"RFC 7515 §2 stray bits", join(header, payload, signature[:85]+string(last))},
		{"length 1 mod 4", join(header, payload, signature+"AAA")},
		{"RFC 7515 §7.1 leading dot", "." + good},
		{"RFC 7515 §7.1 trailing dot", good + "."},
		{"RFC 7515 §7.1 tab", "\t" + good},
		{"RFC 7515 §7.1 NUL", good + "\x00"},
		{"RFC 7515 §7.1 UTF-8", join(header, payload, "é"+signature[2:])},
		{"RFC 7515 §7.1 quotes", `"` + good + `"`},
		{"RFC 7515 §7.2 flattened JSON", `{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `"}`},
		{"RFC 7515 §7.2 general JSON", `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`},
		{"RFC 7515 §7.2 JSON wrapped around a compact one", `{"` + header + "." + payload + "." + signature + `":1}`},
		{"RFC 7516 §7.1 JWE, dir", join(encode(`{"alg":"dir","enc":"A128GCM"}`), "", "AAAA", "AAAA", "AAAA")},
		{"RFC 7516 §7.1 JWE, PBES2 with a huge count", join(encode(`{"alg":"PBES2-HS256+A128KW","p2c":2147483648,"enc":"A128GCM"}`), "AAAA", "AAAA", "AAAA", "AAAA")},
		{"RFC 7516 §7.1 JWE in three parts", join(encode(`{"alg":"RSA-OAEP","enc":"A128GCM","zip":"DEF"}`), payload, signature)},
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
		{"8 KiB and a byte", strings.Repeat("A", 8193)},
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
