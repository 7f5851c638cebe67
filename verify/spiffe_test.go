package verify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const workload = "spiffe://example.org/shop/orders"

// domain is a trust domain, and a token of it.
func domain(t *testing.T, name string, i *verifytest.Issuer) verify.TrustedIssuer {
	t.Helper()
	d, err := verify.TrustDomain(name)
	if err != nil {
		t.Fatal(err)
	}
	if d.Keys, _, err = verify.ParseBundle(bundle(i)); err != nil {
		t.Fatal(err)
	}
	d.Audience = []string{testAPI}
	return d
}

// bundle is the bundle of a trust domain: keys without alg, and others that are not for JWT-SVIDs.
func bundle(i *verifytest.Issuer) []byte {
	set := strings.ReplaceAll(string(i.JWKS()), `"use":"sig"`, `"use":"jwt-svid"`)
	for _, alg := range []string{"ES256", "RS256"} {
		set = strings.Replace(set, `"alg":"`+alg+`",`, "", 1)
	}
	set = strings.Replace(set, `{"keys":[`, `{"spiffe_sequence":3,"spiffe_refresh_hint":300,"keys":[{"use":"x509-svid",`+p256Point+`,"x5c":["AAAA"]},`, 1)
	return []byte(set)
}

func svid(claims verifytest.Claims, options ...verifytest.Option) (verifytest.Claims, []verifytest.Option) {
	all := verifytest.Claims{"sub": workload, "iss": nil, "client_id": nil, "jti": nil}
	for name, value := range claims {
		all[name] = value
	}
	return all, append([]verifytest.Option{verifytest.Header("typ", "JWT")}, options...)
}

// JWT-SVID §2 and §3, and SPIFFE-ID §2.
func TestJWTSVIDs(t *testing.T) {
	ours, other := verifytest.New(testIssuer, testAPI, "ES256", "RS256", "EdDSA"), verifytest.New(testIssuer, testAPI, "ES256")
	v, err := verify.New(verify.Config{SPIFFE: true, Cache: verify.NewCache(100, nil), Issuers: []verify.TrustedIssuer{
		domain(t, "example.org", ours), domain(t, "other.example", other),
	}})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(claims verifytest.Claims, options ...verifytest.Option) string {
		claims, options = svid(claims, options...)
		return ours.Sign(claims, options...)
	}
	type c = verifytest.Claims
	header := verifytest.Header
	for _, test := range []struct{ name, token, want string }{
		{"without iss", sign(nil), "ok"},
		{"iss is not used", sign(c{"iss": "https://oidc.example.org"}), "ok"},
		{"typ JOSE", sign(nil, header("typ", "JOSE")), "ok"},
		{"no typ", sign(nil, header("typ", nil)), "ok"},
		{"RSA", sign(nil, verifytest.Algorithm("RS256")), "ok"},
		{"RSA-PSS by a key without alg", sign(nil, verifytest.Algorithm("RS256"), verifytest.As("PS384")), "ok"},
		{"all characters of a path", sign(c{"sub": "spiffe://example.org/A-z_0/..."}), "ok"},
		{"§2.3 typ at+jwt", sign(nil, header("typ", "at+jwt")), verify.InvalidToken},
		{"§2.1 EdDSA", sign(nil, verifytest.Algorithm("EdDSA")), verify.InvalidToken},
		{"§2.1 none", sign(nil, verifytest.Unsigned()), verify.InvalidToken},
		{"no kid", sign(nil, header("kid", nil)), verify.InvalidToken},
		{"a key that it brings", sign(nil, header("jku", "https://example.org/keys")), verify.InvalidToken},
		{"§3.2 no aud", sign(c{"aud": nil}), verify.InvalidToken},
		{"§3.2 another aud", sign(c{"aud": "https://elsewhere.example"}), verify.InvalidToken},
		{"§3.3 no exp", sign(c{"exp": nil}), verify.InvalidToken},
		{"§3.3 expired", sign(c{"exp": 1}), verify.InvalidToken},
		{"§3.1 no sub", sign(c{"sub": nil}), verify.InvalidToken},
		{"iss is the domain, and sub is not", sign(c{"sub": "alice", "iss": "spiffe://example.org"}), verify.InvalidToken},
		{"the domain itself", sign(c{"sub": "spiffe://example.org"}), verify.InvalidToken},
		{"a slash at the end", sign(c{"sub": workload + "/"}), verify.InvalidToken},
		{"no path", sign(c{"sub": "spiffe://example.org/"}), verify.InvalidToken},
		{"an empty segment", sign(c{"sub": "spiffe://example.org//orders"}), verify.InvalidToken},
		{"a dot", sign(c{"sub": "spiffe://example.org/./orders"}), verify.InvalidToken},
		{"two dots", sign(c{"sub": "spiffe://example.org/x/../orders"}), verify.InvalidToken},
		{"a port", sign(c{"sub": "spiffe://example.org:443/orders"}), verify.InvalidToken},
		{"a user", sign(c{"sub": "spiffe://me@example.org/orders"}), verify.InvalidToken},
		{"a query", sign(c{"sub": workload + "?x=1"}), verify.InvalidToken},
		{"a fragment", sign(c{"sub": workload + "#x"}), verify.InvalidToken},
		{"percent-encoded", sign(c{"sub": "spiffe://example.org/%6frders"}), verify.InvalidToken},
		{"scheme in capitals", sign(c{"sub": "SPIFFE://example.org/orders"}), verify.InvalidToken},
		{"domain in capitals", sign(c{"sub": "spiffe://Example.org/orders"}), verify.InvalidToken},
		{"another scheme", sign(c{"sub": "https://example.org/orders"}), verify.InvalidToken},
		{"a domain below", sign(c{"sub": "spiffe://a.example.org/orders"}), verify.InvalidToken},
		{"the key of one domain for another", sign(c{"sub": "spiffe://other.example/orders"}), verify.InvalidToken},
		{"and the other way round", sign(nil, verifytest.SignedBy(other)), verify.InvalidToken},
		{"bound to a key", sign(c{"cnf": c{"jkt": "x"}}), verify.InvalidToken},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, v, test.token, test.want) })
	}
	expectReason(t, v, verify.Presentation{Token: sign(c{"sub": "alice"})}, "the token is not a JWT-SVID")
	once := sign(c{"iss": "https://oidc.example.org"})
	for range 2 { // the second time from the cache
		token, err := v.Verify(t.Context(), verify.Presentation{Token: once})
		if err != nil || token.Issuer != "spiffe://example.org" {
			t.Errorf("issuer %v (%v), want that of the trust domain", token, err)
		}
	}
	// What has no issuer is an access token of nobody.
	expect(t, newVerifier(t, ours, nil), ours.Sign(c{"iss": nil}), verify.InvalidToken)
}

// SPIFFE Trust Domain and Bundle §4.2.
func TestSPIFFEBundles(t *testing.T) {
	key := func(more string) string { return `{"keys":[{` + p256Point + more + `}]}` }
	for _, test := range []struct {
		name, bundle string
		keys         int
	}{
		{"for JWT-SVIDs", key(`,"kid":"a","use":"jwt-svid"`), 1},
		{"§4.2.2 for X.509-SVIDs", key(`,"kid":"a","use":"x509-svid"`), 0},
		{"§4.2.2 no use", key(`,"kid":"a"`), 0},
		{"use sig", key(`,"kid":"a","use":"sig"`), 0},
		{"§4.2.3 no kid", key(`,"use":"jwt-svid"`), 0},
		{"empty", `{"keys":[]}`, 0},
	} {
		keys, _, err := verify.ParseBundle([]byte(test.bundle))
		if err != nil || keys.Len() != test.keys {
			t.Errorf("%s: %d keys (%v), want %d", test.name, keys.Len(), err, test.keys)
		}
	}
	if keys, dropped, _ := verify.ParseKeySet([]byte(key(`,"kid":"a","use":"jwt-svid"`))); keys.Len() != 0 || len(dropped) != 1 {
		t.Error("a key for JWT-SVIDs is one for access tokens")
	}
	path := filepath.Join(t.TempDir(), "bundle.json")
	if err := os.WriteFile(path, []byte(key(`,"kid":"a","use":"jwt-svid"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := verify.NewFileKeys(path, verify.FileKeysOptions{SPIFFE: true}).Load(); err != nil {
		t.Error(err)
	}
	if err := verify.NewFileKeys(path, verify.FileKeysOptions{}).Load(); err == nil {
		t.Error("a bundle is a key set of access tokens")
	}
	for _, name := range []string{"", "Example.org", "example.org/x", "example.org:1", "spiffe://example.org", strings.Repeat("a", 256)} {
		if _, err := verify.TrustDomain(name); err == nil {
			t.Errorf("%q is taken for a trust domain", name)
		}
	}
}
