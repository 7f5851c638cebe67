package verify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// everyKey is an issuer with a key of each kind; RSA keys take long to make.
var everyKey = sync.OnceValue(func() *verifytest.Issuer {
	return verifytest.New(testIssuer, testAPI, "ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA")
})

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// hmacWithPublicKey makes a signature that verifies where the key of an EC JWK is used as an HMAC
// secret.
func hmacWithPublicKey(t *testing.T, issuer *verifytest.Issuer) verifytest.Option {
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(issuer.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	x, _ := base64.RawURLEncoding.DecodeString(set.Keys[0]["x"])
	y, _ := base64.RawURLEncoding.DecodeString(set.Keys[0]["y"])
	return verifytest.Signature(func(input string, _ []byte) []byte {
		mac := hmac.New(sha256.New, append(x, y...))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	})
}

// Algorithm and header: RFC 7515 §4, RFC 8725 §3.1, §3.2, §3.10, §3.11.
func TestHeader(t *testing.T) {
	issuer := everyKey()
	attacker := verifytest.New(testIssuer, testAPI)
	header := verifytest.Header
	raw := verifytest.RawHeader
	algorithm := verifytest.Algorithm
	type options = []verifytest.Option
	tests := []struct {
		name    string
		options options
		want    string
	}{
		{"an honest token", nil, "ok"},
		{"ES384", options{algorithm("ES384")}, "ok"},
		{"ES512", options{algorithm("ES512")}, "ok"},
		{"RS256", options{algorithm("RS256")}, "ok"},
		{"PS256", options{algorithm("PS256")}, "ok"},
		{"EdDSA", options{algorithm("EdDSA")}, "ok"},
		{"RFC 9864 §2.2 EdDSA by its other name", options{algorithm("EdDSA"), header("alg", "Ed25519")}, "ok"},

		{"RFC 8725 §3.2 alg none without signature", options{verifytest.Unsigned()}, verify.InvalidToken},
		{"RFC 8725 §3.2 alg none with a good signature", options{header("alg", "none")}, verify.InvalidToken},
		{"RFC 8725 §3.2 alg None", options{header("alg", "None")}, verify.InvalidToken},
		{"RFC 7515 §4.1.1 alg missing", options{header("alg", nil)}, verify.InvalidToken},
		{"RFC 7515 §4.1.1 alg null", options{raw(`{"alg":null,"kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"RFC 7515 §4.1.1 alg a number", options{header("alg", 256)}, verify.InvalidToken},
		{"RFC 7515 §4.1.1 alg a list", options{header("alg", []string{"ES256"})}, verify.InvalidToken},
		{"RFC 7515 §4.1.1 alg empty", options{header("alg", "")}, verify.InvalidToken},
		{"alg in lower case", options{header("alg", "es256")}, verify.InvalidToken},
		{"alg with a space", options{header("alg", "ES256 ")}, verify.InvalidToken},
		{"RFC 8725 §3.1 HMAC under the public key", options{header("alg", "HS256"), hmacWithPublicKey(t, issuer)}, verify.InvalidToken},
		{"RFC 8725 §3.1 PS256 with a key for RS256", options{algorithm("RS256"), verifytest.As("PS256")}, verify.InvalidToken},
		{"RFC 8725 §3.1 RS256 with a key for PS256", options{algorithm("PS256"), verifytest.As("RS256")}, verify.InvalidToken},
		{"RFC 8725 §3.1 RS512 with a key for RS256", options{algorithm("RS256"), verifytest.As("RS512")}, verify.InvalidToken},
		{"RFC 7518 §3.4 ES256 on P-384", options{algorithm("ES384"), verifytest.As("ES256")}, verify.InvalidToken},
		{"RFC 7518 §3.4 ES384 on P-256", options{verifytest.As("ES384")}, verify.InvalidToken},
		{"RFC 8725 §3.1 ES256K", options{header("alg", "ES256K")}, verify.InvalidToken},
		{"the key of another alg by its kid", options{header("kid", "EdDSA")}, verify.InvalidToken},

		{"RFC 7515 §4.1.3 embedded jwk of the attacker", options{verifytest.SignedBy(attacker), header("jwk", map[string]any{"kty": "EC"})}, verify.InvalidToken},
		{"RFC 7515 §4.1.3 embedded jwk under a good signature", options{header("jwk", map[string]any{"kty": "EC"})}, verify.InvalidToken},
		{"RFC 8725 §3.10 jku", options{header("jku", "https://attacker.example/jwks")}, verify.InvalidToken},
		{"RFC 8725 §3.10 x5u", options{header("x5u", "https://attacker.example/cert")}, verify.InvalidToken},
		{"x5c", options{header("x5c", []string{"MIIB"})}, verify.InvalidToken},
		{"a thumbprint is only a hint", options{header("x5t#S256", "AAAA")}, "ok"},

		{"RFC 8725 §3.10 kid with a path", options{header("kid", "../../../../dev/null")}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid with SQL", options{header("kid", "' OR 1=1 --")}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid with LDAP", options{header("kid", "*)(uid=*))(|(uid=*")}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid with NUL", options{header("kid", "ES256\x00")}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid of 257 bytes", options{header("kid", strings.Repeat("k", 257))}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid of 10 KB", options{header("kid", strings.Repeat("k", 10_000))}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid an object", options{header("kid", map[string]any{"$ne": ""})}, verify.InvalidToken},
		{"RFC 8725 §3.10 kid a number", options{header("kid", 1)}, verify.InvalidToken},
		{"RFC 7515 §4.1.4 kid empty", options{header("kid", "")}, verify.InvalidToken},
		{"RFC 7515 §4.1.4 kid absent", options{header("kid", nil)}, verify.InvalidToken},

		{"RFC 7797 §3 b64 false", options{header("b64", false)}, verify.InvalidToken},
		{"RFC 7797 §3 b64 false and critical", options{header("b64", false), header("crit", []string{"b64"})}, verify.InvalidToken},
		{"RFC 7797 §3 b64 a string", options{header("b64", "true")}, verify.InvalidToken},
		{"RFC 7516 §4.1.3 zip", options{header("zip", "DEF")}, verify.InvalidToken},
		{"RFC 7515 §4.1.11 unknown crit", options{header("crit", []string{"exp"}), header("exp", 1)}, verify.InvalidToken},
		{"RFC 7515 §4.1.11 empty crit", options{header("crit", []string{})}, verify.InvalidToken},
		{"crit null", options{raw(`{"alg":"ES256","kid":"ES256","typ":"at+jwt","crit":null}`)}, verify.InvalidToken},

		{"RFC 7515 §4 Alg for alg", options{raw(`{"Alg":"ES256","kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"RFC 7515 §4 ALG for alg", options{raw(`{"ALG":"ES256","kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"ALG beside alg is some other member", options{raw(`{"alg":"ES256","ALG":"none","kid":"ES256","typ":"at+jwt"}`)}, "ok"},
		{"RFC 7515 §4 alg twice", options{raw(`{"alg":"none","alg":"ES256","kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"RFC 7515 §4 alg twice, once escaped", options{raw(`{"alg":"ES256","\u0061lg":"ES256","kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"RFC 8259 §2 byte order mark", options{raw("\ufeff" + `{"alg":"ES256","kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"RFC 8259 §2 trailing object", options{raw(`{"alg":"ES256","kid":"ES256","typ":"at+jwt"}{}`)}, verify.InvalidToken},
		{"RFC 8259 §2 trailing letter", options{raw(`{"alg":"ES256","kid":"ES256","typ":"at+jwt"}x`)}, verify.InvalidToken},
		{"RFC 8259 §2 comment", options{raw(`{"alg":"ES256",/**/"kid":"ES256","typ":"at+jwt"}`)}, verify.InvalidToken},
		{"RFC 8259 §2 NaN", options{raw(`{"alg":"ES256","kid":"ES256","typ":"at+jwt","x":NaN}`)}, verify.InvalidToken},
		{"RFC 8259 §2 raw control character", options{raw("{\"alg\":\"ES256\",\"kid\":\"ES256\",\"typ\":\"at+jwt\",\"x\":\"\n\"}")}, verify.InvalidToken},
		{"white space is JSON", options{raw(" {\"alg\" :\t\"ES256\",\r\n\"kid\":\"ES256\",\"typ\":\"at+jwt\"}\n")}, "ok"},
		{"longer than 2048 characters", options{raw(`{"alg":"ES256","kid":"ES256","typ":"at+jwt"}` + strings.Repeat(" ", 1500))}, verify.InvalidToken},
		{"not an object", options{raw(`["ES256"]`)}, verify.InvalidToken},
		{"empty object", options{raw(`{}`)}, verify.InvalidToken},

		{"RFC 9068 §4 dpop+jwt", options{header("typ", "dpop+jwt")}, verify.InvalidToken},
		{"RFC 9068 §4 logout+jwt", options{header("typ", "logout+jwt")}, verify.InvalidToken},
		{"RFC 9068 §4 JWT", options{header("typ", "JWT")}, verify.InvalidToken},
		{"RFC 9068 §4 typ missing", options{header("typ", nil)}, verify.InvalidToken},
		{"typ a list", options{header("typ", []string{"at+jwt"})}, verify.InvalidToken},
		{"typ with a parameter", options{header("typ", "at+jwt;v=1")}, verify.InvalidToken},
		{"typ of another tree", options{header("typ", "text/at+jwt")}, verify.InvalidToken},
		{"RFC 7515 §4.1.9 application/at+jwt", options{header("typ", "application/at+jwt")}, "ok"},
		{"RFC 7515 §4.1.9 AT+JWT", options{header("typ", "AT+JWT")}, "ok"},
		{"RFC 7515 §4.1.9 Application/AT+jwt", options{header("typ", "Application/AT+jwt")}, "ok"},
	}
	v := newVerifier(t, issuer, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, v, issuer.Sign(nil, test.options...), test.want)
		})
	}
}

// RFC 8725 §3.1: Algorithms restricts what the key set allows.
func TestAlgorithmNotAllowed(t *testing.T) {
	issuer := everyKey()
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Algorithms = []string{"RS256", "Ed25519"} })
	for algorithm, want := range map[string]string{
		"RS256": "ok", "EdDSA": "ok", "PS256": verify.InvalidToken, "ES256": verify.InvalidToken,
	} {
		t.Run(algorithm, func(t *testing.T) {
			expect(t, v, issuer.Sign(nil, verifytest.Algorithm(algorithm)), want)
		})
	}
}

// RFC 7515 §4.1.4: without kid, the only key is used if that is allowed.
func TestMissingKeyID(t *testing.T) {
	allow := func(c *verify.Config) { c.Issuers[0].AllowMissingKeyID = true }
	one, many := verifytest.New(testIssuer, testAPI), everyKey()
	without := verifytest.Header("kid", nil)
	tests := []struct {
		name   string
		issuer *verifytest.Issuer
		change func(*verify.Config)
		option verifytest.Option
		want   string
	}{
		{"one key, not allowed", one, nil, without, verify.InvalidToken},
		{"one key, allowed", one, allow, without, "ok"},
		{"one key, allowed, kid empty", one, allow, verifytest.Header("kid", ""), "ok"},
		{"one key, not allowed, kid empty", one, nil, verifytest.Header("kid", ""), verify.InvalidToken},
		{"several keys, allowed, kid empty", many, allow, verifytest.Header("kid", ""), verify.InvalidToken},
		{"one key, allowed, another alg", one, allow, verifytest.RawHeader(`{"alg":"ES384","typ":"at+jwt"}`), verify.InvalidToken},
		{"several keys, allowed", many, allow, without, verify.InvalidToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, newVerifier(t, test.issuer, test.change), test.issuer.Sign(nil, test.option), test.want)
		})
	}
}

// RFC 8725 §3.12: Types replaces at+jwt, and other kinds of JWT are still refused.
func TestTypes(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Types = []string{"application/JWT", ""} })
	typ := func(value any) verifytest.Option { return verifytest.Header("typ", value) }
	expect(t, v, issuer.Sign(nil, typ("JWT")), "ok")
	expect(t, v, issuer.Sign(nil, typ(nil)), "ok")
	expect(t, v, issuer.Sign(nil), verify.InvalidToken)
	expect(t, v, issuer.Sign(nil, typ("logout+jwt")), verify.InvalidToken)
	for _, member := range []string{"events", "at_hash", "c_hash"} {
		expect(t, v, issuer.Sign(verifytest.Claims{member: map[string]any{}}, typ("JWT")), verify.InvalidToken)
	}
	// RFC 7515 §4.1.9: application/ may be left out, unless there is another slash.
	v = newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Types = []string{"x/y"} })
	expect(t, v, issuer.Sign(nil, typ("x/y")), "ok")
	expect(t, v, issuer.Sign(nil, typ("application/x/y")), verify.InvalidToken)
}
