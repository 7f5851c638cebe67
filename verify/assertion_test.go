package verify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest/oracle"
)

const assertionAudience = "https://as.example"

// assertionRules are those for a client with the keys of issuer.
func assertionRules(issuer *verifytest.Issuer) verify.AssertionRules {
	return verify.AssertionRules{
		Issuer: issuer.Name, Subject: issuer.Name, Keys: issuer.KeySet(), Types: []string{"", "jwt"},
		Audience: []string{assertionAudience}, Leeway: 30 * time.Second, MaxLife: time.Hour, Now: issuer.Now(),
	}
}

func newAsserter(algorithms ...string) *verifytest.Issuer {
	issuer := verifytest.New("billing", assertionAudience, algorithms...)
	issuer.Now = newClock().Now
	return issuer
}

// checkAssertion parses and checks.
func checkAssertion(t testing.TB, jwt string, rules verify.AssertionRules) (*verify.Assertion, error) {
	a, err := verify.ParseAssertion(jwt)
	if err != nil {
		return nil, err
	}
	return a, a.Check(t.Context(), rules)
}

// RFC 7523 §3: what an assertion must be like. What a client authenticates by is tested with
// package clientauth; here is what other assertions have too.
func TestAssertion(t *testing.T) {
	issuer := newAsserter("ES256", "RS256", "EdDSA")
	now := issuer.Now().Unix()
	plain, typ := verifytest.Header("typ", nil), verifytest.Header("typ", "JWT")
	sub := func(more verifytest.Claims) verifytest.Claims {
		claims := verifytest.Claims{"sub": "billing"}
		for name, value := range more {
			claims[name] = value
		}
		return claims
	}
	for _, row := range []struct {
		name  string
		jwt   string
		rules func(*verify.AssertionRules)
		why   string // a part of the error; empty: it is good
	}{
		{"without typ", issuer.Sign(sub(nil), plain), nil, ""},
		{"with typ JWT", issuer.Sign(sub(nil), typ), nil, ""},
		{"with another", issuer.Sign(sub(nil)), nil, "typ is another"},
		{"7515 4.1.9: with application/", issuer.Sign(sub(nil), verifytest.Header("typ", "application/jwt")), nil, ""},
		{"Core 9: no jti", issuer.Sign(sub(verifytest.Claims{"jti": nil}), plain), nil, "jti is missing"},
		{"3.7: no jti, where it is optional", issuer.Sign(sub(verifytest.Claims{"jti": nil}), plain), func(r *verify.AssertionRules) { r.OptionalID = true }, ""},
		{"3.2: any subject, where any is good", issuer.Sign(nil, plain), func(r *verify.AssertionRules) { r.Subject = "" }, ""},
		{"3.2: another subject", issuer.Sign(nil, plain), nil, "sub is another"},
		{"3.1: another issuer", issuer.Sign(sub(verifytest.Claims{"iss": "reports"}), plain), nil, "iss is another"},
		{"3.1: no issuer is trusted", issuer.Sign(sub(verifytest.Claims{"iss": ""}), plain), func(r *verify.AssertionRules) { r.Issuer = "" }, "iss is another"},
		{"3.9: one of several algorithms", issuer.Sign(sub(nil), plain, verifytest.Algorithm("RS256")), func(r *verify.AssertionRules) { r.Algorithms = []string{"ES256", "RS256"} }, ""},
		{"3.9: another algorithm", issuer.Sign(sub(nil), plain), func(r *verify.AssertionRules) { r.Algorithms = []string{"RS256"} }, "alg is not"},
		{"9864 2.2: both names of EdDSA", issuer.Sign(sub(nil), plain, verifytest.Algorithm("EdDSA")), func(r *verify.AssertionRules) { r.Algorithms = []string{"Ed25519"} }, ""},
		{"3.3: no audience is accepted", issuer.Sign(sub(nil), plain), func(r *verify.AssertionRules) { r.Audience = nil }, "aud must be"},
		{"3.4: the last moment", issuer.Sign(sub(verifytest.Claims{"exp": now - 29, "iat": now - 60}), plain), nil, ""},
		{"3.4: a moment later", issuer.Sign(sub(verifytest.Claims{"exp": now - 30, "iat": now - 60}), plain), nil, "expired"},
		{"3.4: as long as it may live", issuer.Sign(sub(verifytest.Claims{"exp": now + 3600}), plain), nil, ""},
		{"3.4: it lives longer", issuer.Sign(sub(verifytest.Claims{"exp": now + 3601}), plain), nil, "lives too long"},
		{"3.4: it has lived longer", issuer.Sign(sub(verifytest.Claims{"exp": now + 60, "iat": now - 3541}), plain), nil, "lives too long"},
		{"3.4: the same, without iat", issuer.Sign(sub(verifytest.Claims{"exp": now + 3631, "iat": nil}), plain), nil, "lives too long"},
		{"3.4: as long as it may live, without iat", issuer.Sign(sub(verifytest.Claims{"exp": now + 3630, "iat": nil}), plain), nil, ""},
		{"3.5: nbf just ahead", issuer.Sign(sub(verifytest.Claims{"nbf": now + 30}), plain), nil, ""},
		{"3.5: nbf to come", issuer.Sign(sub(verifytest.Claims{"nbf": now + 31}), plain), nil, "not valid yet"},
		{"3.6: iat just ahead", issuer.Sign(sub(verifytest.Claims{"iat": now + 30}), plain), nil, ""},
		{"3.6: iat to come", issuer.Sign(sub(verifytest.Claims{"iat": now + 31}), plain), nil, "not valid yet"},
		{"3.3: two audiences", issuer.Sign(sub(verifytest.Claims{"aud": []string{assertionAudience, "x"}}), plain), nil, "aud must be"},
		{"3.9: another key", issuer.Sign(sub(nil), plain, verifytest.SignedBy(newAsserter("ES256"))), nil, "signature"},
		{"3.9: a key that nobody knows", issuer.Sign(sub(nil), plain, verifytest.Header("kid", "x")), nil, "key"},
		{"too long", issuer.Sign(sub(verifytest.Claims{"x": strings.Repeat("x", 8192)}), plain), nil, "too long"},
		{"8725 3.10: it brings its key", issuer.Sign(sub(nil), plain, verifytest.Header("jwk", map[string]any{})), nil, "must not bring its key"},
	} {
		rules := assertionRules(issuer)
		if row.rules != nil {
			row.rules(&rules)
		}
		if _, err := checkAssertion(t, row.jwt, rules); (err == nil) != (row.why == "") || err != nil && !strings.Contains(err.Error(), row.why) {
			t.Errorf("%s: %v, want %q", row.name, err, row.why)
		}
	}
	rules := assertionRules(issuer)
	rules.Keys = verify.NewFileKeys("nowhere", verify.FileKeysOptions{})
	_, err := checkAssertion(t, issuer.Sign(sub(nil), plain), rules)
	if refused := new(verify.Error); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("the keys are away: %v", err)
	}
}

// FuzzAssertion: what is accepted is, byte for byte, what was signed, with the key and the
// algorithm that it names; go-jose accepts it too, with the same key, and encoding/json reads the
// same claims in it. The inputs are a header, a payload and an edit of the result; the key signs
// them as they are.
func FuzzAssertion(f *testing.F) {
	issuer := newAsserter("ES256", "EdDSA", "RS256")
	keys, algorithms := issuer.KeySet(), []string{"ES256", "EdDSA", "RS256"}
	const claims = `{"iss":"billing","sub":"billing","aud":"https://as.example","exp":1800000060,"jti":"1"}`
	for _, seed := range []struct{ header, payload string }{
		{`{"alg":"ES256","kid":"ES256"}`, claims}, {`{"alg":"EdDSA","kid":"EdDSA","typ":"JWT"}`, claims}, {`{"alg":"RS256","kid":"RS256"}`, claims},
		{`{"alg":"ES256","kid":"ES256","nonce":5,"x":1e999}`, claims}, {`{"alg":"Ed25519","kid":"EdDSA"}`, claims},
		{`{"alg":"ES256"}`, claims}, {`{"alg":"ES256","kid":"ES256","crit":["exp"],"exp":1}`, claims}, {`{"alg":"none","kid":"ES256"}`, claims},
		{`{"alg":"ES256","alg":"none","kid":"ES256"}`, claims}, {`{"alg":"ES256","kid":"ES256","b64":false,"crit":["b64"]}`, claims},
		{`{"alg":"ES256","kid":"ES256"}`, `{"iss":"billing","sub":"billing","aud":["https://as.example"],"exp":1.80000006e9,"jti":"1"}`},
		{`{"alg":"ES256","kid":"ES256"}`, `{"iss":"x","iss":"billing","sub":"billing","aud":"https://as.example","exp":1800000060,"jti":"1"}`},
	} {
		f.Add(seed.header, seed.payload, uint8(0), uint16(1<<15), uint16(0), "")
		f.Add(seed.header, seed.payload, uint8(1), uint16(3), uint16(1), "x")
	}
	f.Fuzz(func(t *testing.T, header, payload string, with uint8, at, cut uint16, insert string) {
		name := algorithms[int(with)%len(algorithms)]
		signed := issuer.Sign(nil, verifytest.Algorithm(name), verifytest.RawHeader(header), verifytest.RawPayload(payload))
		from := min(int(at), len(signed))
		jwt := signed[:from] + insert + signed[min(from+int(cut), len(signed)):]
		a, err := checkAssertion(t, jwt, assertionRules(issuer))
		if err != nil {
			return
		}
		if jwt != signed {
			t.Fatalf("%q: accepted, and %q was signed", jwt, signed)
		}
		head, claims := parts(t, jwt)
		algorithm, _ := head["alg"].(string)
		kid, named := head["kid"]
		if verify.CanonicalAlgorithm(algorithm) != name || named && kid != name || head["crit"] != nil {
			t.Fatalf("%q: accepted by the key %s", jwt, name)
		}
		key, err := keys.Key(t.Context(), name, name)
		if err == nil {
			err = oracle.Check(jwt, key)
		}
		if err != nil {
			t.Fatalf("%q: accepted, but %v", jwt, err)
		}
		if claims["iss"] != "billing" || claims["sub"] != "billing" || claims["jti"] != a.Claims().ID {
			t.Fatalf("%q: accepted, and read as %v", jwt, claims)
		}
	})
}
