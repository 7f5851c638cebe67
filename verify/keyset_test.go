package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// The P-256 key of RFC 7517 Appendix A.1, and the Ed25519 key of RFC 8037 §A.2.
const (
	p256Point = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	ed25519X  = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
)

func rsaMembers(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.Add(n, big.NewInt(0x10001))
	return `"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `"`
}

// rocaMembers returns a modulus of 2048 bits that is a power of 65537 modulo each odd prime up to
// 167 but except, if that is not 0.
func rocaMembers(except int64) string {
	product := big.NewInt(1)
	for p := int64(3); p <= 167; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) && p != except {
			product.Mul(product, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), product)
	high := new(big.Int).Lsh(big.NewInt(1), 2047)
	n.Add(n, high.Div(high, product).Add(high, big.NewInt(2)).Mul(high, product))
	for except != 0 && new(big.Int).Mod(n, big.NewInt(except)).Int64() != 2 {
		n.Add(n, product)
	}
	return `"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `"`
}

// okp returns the JWK of an Ed25519 public key in hexadecimal.
func okp(text string) string {
	point, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return `"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(point) + `"`
}

// Each key on its own: RFC 7517 §4, RFC 7518 §3 and §6, RFC 8037 §2, RFC 8725 §3.4 and §3.5. want
// is the algorithm a key is bound to, "dropped" or "refused", the latter for the whole set.
func TestParseKeySetKeys(t *testing.T) {
	tests := []struct{ name, key, want string }{
		{"P-256 without alg", p256Point, "ES256"},
		{"P-256 for ES256", p256Point + `,"alg":"ES256"`, "ES256"},
		{"Ed25519 without alg", ed25519X, "EdDSA"},
		{"Ed25519 by its new name", ed25519X + `,"alg":"Ed25519"`, "EdDSA"},
		{"RSA without alg", rsaMembers(2048), "RS256"},
		{"RSA for PS512", rsaMembers(3072) + `,"alg":"PS512"`, "PS512"},
		{"members that are not understood", p256Point + `,"x5t":"AAAA","nbf":1,"custom":{}`, "ES256"},
		{"use sig", p256Point + `,"use":"sig","key_ops":["verify"]`, "ES256"},

		{"optional members null", p256Point + `,"alg":null,"use":null,"key_ops":null,"kid":null,"d":null`, "ES256"},

		{"RFC 7517 §4.2 use enc", p256Point + `,"use":"enc"`, "dropped"},
		{"RFC 7517 §4.3 key_ops encrypt", p256Point + `,"key_ops":["encrypt"]`, "dropped"},
		{"RFC 7517 §4.3 key_ops sign", p256Point + `,"key_ops":["sign"]`, "dropped"},
		{"key_ops a string", p256Point + `,"key_ops":"verify"`, "dropped"},
		{"RFC 7517 §4.4 alg of another curve", p256Point + `,"alg":"ES384"`, "dropped"},
		{"RFC 7517 §4.4 alg of another type", p256Point + `,"alg":"RS256"`, "dropped"},
		{"RFC 7517 §4.4 alg for encryption", rsaMembers(2048) + `,"alg":"RSA-OAEP"`, "dropped"},
		{"alg HS256 on a public key", p256Point + `,"alg":"HS256"`, "dropped"},
		{"alg none", p256Point + `,"alg":"none"`, "dropped"},
		{"alg a number", p256Point + `,"alg":7`, "dropped"},
		{"kid a number", p256Point + `,"kid":7`, "dropped"},
		{"kid of 257 bytes", p256Point + `,"kid":"` + strings.Repeat("k", 257) + `"`, "dropped"},
		{"no kty", `"crv":"P-256"`, "dropped"},
		{"secp256k1", strings.Replace(p256Point, "P-256", "secp256k1", 1), "dropped"},
		{"X25519", strings.Replace(ed25519X, "Ed25519", "X25519", 1), "dropped"},
		{"Ed448", strings.Replace(ed25519X, "Ed25519", "Ed448", 1), "dropped"},
		{"Ed25519 of 31 bytes", `"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 41) + `A"`, "dropped"},
		{"RSA of 1024 bits", rsaMembers(1024), "dropped"},
		{"RSA of 2047 bits", rsaMembers(2047), "dropped"},
		{"RSA of 8193 bits", rsaMembers(8193), "dropped"},
		{"RSA with exponent 1", strings.Replace(rsaMembers(2048), "AQAB", "AQ", 1), "dropped"},
		{"RSA with an even exponent", strings.Replace(rsaMembers(2048), "AQAB", "Ag", 1), "dropped"},
		{"RSA with exponent 3", strings.Replace(rsaMembers(2048), "AQAB", "Aw", 1), "dropped"},
		{"RSA with exponent 65535", strings.Replace(rsaMembers(2048), "AQAB", "__8", 1), "dropped"},
		{"RSA with exponent 65539", strings.Replace(rsaMembers(2048), "AQAB", "AQAD", 1), "RS256"},
		{"CVE-2017-15361 RSA with the ROCA fingerprint", rocaMembers(0), "dropped"},
		{"CVE-2017-15361 RSA that is not modulo 11, where only 1 and 10 are powers", rocaMembers(11), "RS256"},
		{"RFC 8725 §3.4 point off the curve", strings.Replace(p256Point, "MKBC", "MKBD", 1), "dropped"},
		{"RFC 8725 §3.4 point at zero", `"kty":"EC","crv":"P-256","x":"AA","y":"AA"`, "dropped"},

		{"RFC 8725 §3.4 order 1", okp("0100000000000000000000000000000000000000000000000000000000000000"), "dropped"},
		{"RFC 8725 §3.4 order 1, x negative", okp("0100000000000000000000000000000000000000000000000000000000000080"), "dropped"},
		{"RFC 8725 §3.4 order 2", okp("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "dropped"},
		{"RFC 8725 §3.4 order 4", okp("0000000000000000000000000000000000000000000000000000000000000000"), "dropped"},
		{"RFC 8725 §3.4 order 4, x negative", okp("0000000000000000000000000000000000000000000000000000000000000080"), "dropped"},
		{"RFC 8725 §3.4 order 8", okp("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "dropped"},
		{"RFC 8725 §3.4 order 8, x negative", okp("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"), "dropped"},
		{"RFC 8725 §3.4 the other order 8", okp("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "dropped"},
		{"RFC 8725 §3.4 order 2, y not reduced", okp("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "dropped"},
		{"RFC 8725 §3.4 y = p", okp("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "dropped"},
		{"RFC 8725 §3.4 y = 2^255 - 1", okp("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "dropped"},
		{"RFC 8725 §3.4 y of no point", okp("0200000000000000000000000000000000000000000000000000000000000000"), "dropped"},

		{"RFC 7518 §6.4 symmetric", `"kty":"oct","k":"c2VjcmV0"`, "refused"},
		{"RFC 7518 §6.4 symmetric and empty", `"kty":"oct","k":""`, "refused"},
		{"RFC 7517 §9.2 private EC", p256Point + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"`, "refused"},
		{"RFC 7517 §9.2 private RSA", rsaMembers(2048) + `,"dp":"AAAA"`, "refused"},
		{"RFC 7517 §9.2 private, and for another use", p256Point + `,"use":"enc","d":"AAAA"`, "refused"},
		{"member twice", p256Point + `,"alg":"ES256","alg":"ES256"`, "refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keys, dropped, err := verify.ParseKeySet([]byte(`{"keys":[{` + test.key + `}]}`))
			got := "refused"
			switch {
			case err == nil && len(dropped) == 1 && keys.Len() == 0:
				got = "dropped"
			case err == nil && keys.Len() == 1:
				got = boundTo(t, keys)
			}
			if got != test.want {
				t.Errorf("got %s (%v, %v), want %s", got, dropped, err, test.want)
			}
		})
	}
}

// boundTo returns every algorithm for which the only key of a set is returned.
func boundTo(t *testing.T, keys *verify.StaticKeys) string {
	var found []string
	for _, alg := range strings.Fields("none HS256 ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA") {
		if _, err := keys.Key(t.Context(), "", alg); err == nil {
			found = append(found, alg)
		} else if !errors.Is(err, verify.ErrUnknownKey) {
			t.Error(err)
		}
	}
	return strings.Join(found, " ")
}

// The set as a whole: RFC 7517 §5.
func TestParseKeySet(t *testing.T) {
	a, b := `{"kid":"a",`+p256Point+`}`, `{"kid":"a",`+ed25519X+`}`
	c := `{"kid":"c",` + ed25519X + `}`
	rs256, ps256 := `{"kid":"a","alg":"RS256",`+rsaMembers(2048)+`}`, `{"kid":"a","alg":"PS256",`+rsaMembers(2048)+`}`
	other := `{"kid":"a","alg":"RS256",` + rsaMembers(2049) + `}`
	tests := []struct {
		name, set string
		keys      int // -1 for refused
	}{
		{"two keys", `{"keys":[` + a + `,{"kid":"b",` + ed25519X + `}]}`, 2},
		{"keys without kid", `{"keys":[{` + p256Point + `},{` + ed25519X + `}]}`, 2},
		{"one of two dropped", `{"keys":[` + a + `,{"kid":"b","kty":"PQC"}]}`, 1},
		{"no keys", `{"keys":[]}`, 0},
		{"RFC 7517 §4.5 kid twice, for two types of key", `{"keys":[` + a + `,` + b + `]}`, 2},
		{"RFC 7517 §4.5 kid twice, for two algorithms of one key", `{"keys":[` + rs256 + `,` + ps256 + `]}`, 2},
		{"RFC 7517 §4.5 one key twice", `{"keys":[` + a + `,` + a + `,` + c + `]}`, 2},
		{"RFC 7517 §4.5 two keys for one kid and algorithm", `{"keys":[` + rs256 + `,` + other + `,` + a + `,` + c + `]}`, 1},
		{"RFC 7517 §9.2 one of two private", `{"keys":[` + c + `,{"kid":"d","d":"AAAA",` + p256Point + `}]}`, 1},
		{"RFC 7518 §6.4 one of two symmetric", `{"keys":[{"kty":"oct","k":"AAAA"},` + c + `]}`, 1},
		{"one of two with a member twice", `{"keys":[{"kid":"x","kid":"y",` + p256Point + `},` + c + `]}`, 1},
		{"one of two is null", `{"keys":[null,` + c + `]}`, 1},
		{"one of two is text", `{"keys":[` + c + `,"a"]}`, 1},
		{"RFC 7517 §4.5 kid twice, one of them for encryption", `{"keys":[` + a + `,{"kid":"a","use":"enc",` + p256Point + `}]}`, 1},
		{"RFC 8259 §8.2 one of two with a lone surrogate", `{"keys":[` + c + `,{"kid":"\ud800",` + p256Point + `}]}`, 1},
		{"RFC 8259 §8.1 one of two not UTF-8", `{"keys":[{"kid":"` + "\xff" + `",` + p256Point + `},` + c + `]}`, 1},
		{"RFC 8259 §7 one of two with a control character", `{"keys":[` + c + `,{"kid":"a` + "\t" + `b",` + p256Point + `}]}`, 1},
		{"one of two nested too deeply", `{"keys":[` + c + `,{` + p256Point + `,"x":` + strings.Repeat("[", 1e4) + strings.Repeat("]", 1e4) + `}]}`, 1},
		{"one of two with a member twice, nested", `{"keys":[` + c + `,{` + p256Point + `,"x":{"a":1,"a":2}}]}`, 1},
		{"all with a lone surrogate", `{"keys":[{"kid":"\ud800",` + p256Point + `}]}`, -1},
		{"brackets and quotes in strings", `{"a":"]}\"","keys":[{"kid":"}],\"{[",` + p256Point + `},` + c + `]}`, 2},
		{"another member that occurs twice", `{"meta":{"a":1,"a":2},"meta":0,"keys":[` + c + `]}`, 1},
		{"other members that are no good", `{"a":"\ud800","b":"` + "\xff\n" + `","\udc00":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `,"keys":[` + c + `],"c":[{"d":1,"d":1}]}`, 1},
		{"RFC 8259 §8.1 byte order mark", "\ufeff" + `{"keys":[` + c + `]}`, 1},
		{"white space everywhere", " {\n\"keys\" : [ " + c + "\t,\r\n" + a + " ] , \"x\" : null }\n", 2},
		{"keys twice, once escaped", `{"keys":[` + c + `],"\u006beys":[]}`, -1},
		{"two byte order marks", "\ufeff\ufeff" + `{"keys":[` + c + `]}`, -1},
		{"another member that is not JSON", `{"a":tru,"keys":[` + c + `]}`, -1},
		{"a key that is not JSON", `{"keys":[` + c + `,{"kty":EC}]}`, -1},
		{"a comma at the end", `{"keys":[` + c + `,]}`, -1},
		{"a comma at the end of the set", `{"keys":[` + c + `],}`, -1},
		{"brackets that do not match", `{"keys":[` + c + `}]`, -1},
		{"brackets that cross", `{"keys":[` + c + `,{"a":[}]]}`, -1},
		{"a string without end", `{"keys":[` + c + `,"a]}`, -1},
		{"an escape without end", `{"keys":[` + c + `,"a\`, -1},
		{"no end", `{"keys":[` + c, -1},
		{"no comma", `{"keys":[` + c + c + `]}`, -1},
		{"no colon", `{"keys"[` + c + `]}`, -1},
		{"no value", `{"keys":}`, -1},
		{"only a colon", `{"keys"::[]}`, -1},
		{"a name that is a number", `{1:2,"keys":[` + c + `]}`, -1},
		{"keys twice", `{"keys":[` + a + `],"keys":[]}`, -1},
		{"Keys for keys", `{"Keys":[` + a + `]}`, -1},
		{"a lone key", a, -1},
		{"keys an object", `{"keys":{}}`, -1},
		{"a key that is text", `{"keys":["a"]}`, -1},
		{"trailing data", `{"keys":[]}{}`, -1},
		{"empty", ``, -1},
		{"PEM", "-----BEGIN PUBLIC KEY-----", -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keys, _, err := verify.ParseKeySet([]byte(test.set))
			got := -1
			if err == nil {
				got = keys.Len()
			}
			if got != test.keys {
				t.Errorf("got %d keys (%v), want %d", got, err, test.keys)
			}
		})
	}
	keys, _, _ := verify.ParseKeySet([]byte(tests[1].set))
	if _, err := keys.Key(t.Context(), "", "ES256"); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("no kid and two keys: %v", err)
	}
}

// RFC 7517 §4.5: one kid for keys of several types, and for several algorithms of one key. Each
// token is verified with the key for its algorithm.
func TestKeysOfOneKeyID(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI, "ES256", "RS256", "EdDSA")
	set := string(issuer.JWKS())
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		set = strings.Replace(set, `"kid":"`+alg+`"`, `"kid":"one"`, 1)
	}
	keys, dropped, err := verify.ParseKeySet([]byte(set))
	if err != nil || len(dropped) != 0 {
		t.Fatal(dropped, err)
	}
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Keys = keys })
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		expect(t, v, issuer.Sign(nil, verifytest.Algorithm(alg), verifytest.Header("kid", "one")), "ok")
	}
	expect(t, v, issuer.Sign(nil, verifytest.Algorithm("RS256"), verifytest.As("PS256"), verifytest.Header("kid", "one")), verify.InvalidToken)
	expect(t, v, issuer.Sign(nil, verifytest.Header("kid", nil)), verify.InvalidToken)
}

// Keys below 2048 bits are refused also when they come from elsewhere (RFC 7518 §3.3).
func TestShortRSAKey(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	digest := crypto.SHA256.New().Sum(nil)
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	if verify.VerifySignature("RS256", &private.PublicKey, "", signature) == nil {
		t.Error("accepted")
	}
}
