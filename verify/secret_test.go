package verify_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// The example of RFC 7515 Appendix A.1.
const (
	exampleA1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
		".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	exampleA1Key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
)

// signMAC signs claims of joe by an HMAC.
func signMAC(alg string, hash crypto.Hash, secret []byte) string {
	input := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"typ":"JWT","alg":%q,"kid":"any"}`, alg)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"joe","exp":1300819380}`))
	mac := hmac.New(hash.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// RFC 7518 §3.2: an HMAC is accepted of an issuer that has secrets, and by those alone.
func TestSecrets(t *testing.T) {
	secret, err := base64.RawURLEncoding.DecodeString(exampleA1Key)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte("o"), 64)
	now := func() time.Time { return time.Unix(1300819000, 0) }
	cache := verify.NewCache(10, now)
	verifier := func(secrets [][]byte, algorithms ...string) *verify.Verifier {
		t.Helper()
		v, err := verify.New(verify.Config{Now: now, Cache: cache, Issuers: []verify.TrustedIssuer{{
			Name: "joe", Secrets: secrets, Algorithms: algorithms, Profile: verify.ProfileJWT, InsecureAnyAudience: true,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one, both := verifier([][]byte{secret}), verifier([][]byte{other, secret})
	for range 2 { // not known, and from the cache
		expect(t, one, exampleA1, "ok")
	}
	expect(t, both, signMAC("HS256", crypto.SHA256, secret), "ok")
	expect(t, both, signMAC("HS256", crypto.SHA256, other), "ok")
	expect(t, verifier([][]byte{secret}, "HS512"), signMAC("HS512", crypto.SHA512, secret), "ok")
	// The list has changed, and the secret that has signed it is in it still.
	for _, list := range [][][]byte{{other, secret}, {secret, other}} {
		expect(t, verifier(list), exampleA1, "ok")
	}
	// It is in the cache, by a secret that is gone.
	expect(t, verifier([][]byte{other}), exampleA1, verify.InvalidToken)
	for _, bad := range []string{
		signMAC("HS512", crypto.SHA512, secret), signMAC("HS256", crypto.SHA256, other), signMAC("HS256", crypto.SHA512, secret),
		signMAC("none", crypto.SHA256, secret), signMAC("ES256", crypto.SHA256, secret), signMAC("hs256", crypto.SHA256, secret),
		strings.TrimRight(exampleA1, "k") + "l", exampleA1[:strings.LastIndex(exampleA1, ".")+1],
	} {
		expect(t, one, bad, verify.InvalidToken)
	}
	issuer := verifytest.New("joe", "any")
	issuer.Now = now
	expect(t, one, issuer.Sign(nil), verify.InvalidToken)
	withKey := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].InsecureAnyAudience, c.Issuers[0].Profile = true, verify.ProfileJWT
	})
	expect(t, withKey, signMAC("HS256", crypto.SHA256, issuer.JWKS()), verify.InvalidToken)
}

// A secret that can be guessed is an error of the configuration.
func TestSecretsThatAreTooShort(t *testing.T) {
	for _, tc := range []struct {
		size       int
		algorithms []string
		good       bool
	}{
		{0, nil, false}, {1, nil, false}, {31, nil, false}, {32, nil, true}, {47, []string{"HS384"}, false}, {48, []string{"HS384"}, true},
		{63, []string{"HS256", "HS512"}, false}, {64, []string{"HS256", "HS512"}, true}, {64, []string{"ES256"}, false},
	} {
		_, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{{
			Name: "joe", Secrets: [][]byte{make([]byte, tc.size)}, Algorithms: tc.algorithms, InsecureAnyAudience: true,
		}}})
		if (err == nil) != tc.good {
			t.Errorf("%d bytes for %q: %v", tc.size, tc.algorithms, err)
		}
	}
	_, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{{
		Name: "joe", Secrets: [][]byte{make([]byte, 32)}, Keys: new(verify.StaticKeys), InsecureAnyAudience: true,
	}}})
	if err == nil {
		t.Error("secrets and keys of one issuer")
	}
}
