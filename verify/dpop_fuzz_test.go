package verify_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// FuzzProof: a proof that is accepted is one that go-jose accepts with the key in it, of this type,
// method, URL and token, and its thumbprint is that of the key (RFC 9449 §4.3). JWK in a header is
// the key, since each fuzzing process has one of its own. The proof is signed, and then edited.
func FuzzProof(f *testing.F) {
	g := newDPoPGuard(f, "ES256")
	token := g.token(nil)
	key, _ := json.Marshal(g.prover.JWK())
	claims := func(name string, value any) string {
		members := verifytest.Claims{"jti": "1", "htm": "GET", "htu": proofURL, "iat": g.clock.Now().Unix(), "ath": hashOf(token)}
		members[name] = value
		text, _ := json.Marshal(members)
		return string(text)
	}
	const header = `{"typ":"dpop+jwt","alg":"ES256","jwk":JWK}`
	sign := func(header, payload string) string {
		return g.prover.Proof("", "", "", nil, verifytest.RawHeader(strings.ReplaceAll(header, "JWK", string(key))), verifytest.RawPayload(payload))
	}
	end := uint16(len(sign(header, claims("x", 1))))
	for _, seed := range []struct {
		header, payload string
		at, cut         uint16
		insert          string
	}{
		{header, claims("x", 1), 0, 0, ""}, {header, claims("htm", "POST"), 0, 0, ""}, {header, claims("htu", "https://API.example:443/%6frders?x#y"), 0, 0, ""},
		{header, claims("htu", "https://api.example/a/../orders"), 0, 0, ""}, {header, claims("htu", "https://x@api.example/orders"), 0, 0, ""},
		{header, claims("iat", 1.5), 0, 0, ""}, {header, claims("iat", 1e300), 0, 0, ""}, {header, claims("ath", ""), 0, 0, ""}, {header, claims("nonce", "x"), 0, 0, ""},
		{`{"typ":"DPoP+JWT","alg":"ES256","jwk":JWK,"kid":"x"}`, claims("x", 1), 0, 0, ""}, {`{"typ":"JWT","alg":"ES256","jwk":JWK}`, claims("x", 1), 0, 0, ""},
		{`{"typ":"dpop+jwt","alg":"none","jwk":JWK}`, claims("x", 1), 0, 0, ""}, {`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, claims("x", 1), 0, 0, ""},
		{`{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"jwk":JWK}`, claims("x", 1), 0, 0, ""}, {`{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"crit":["b64"],"b64":false}`, claims("x", 1), 0, 0, ""},
		{header, claims("x", 1), end, 0, "="}, {header, claims("x", 1), end - 1, 1, "B"}, {header, claims("x", 1), 0, 0, "."}, {header, claims("x", 1), 0, 0, " "},
	} {
		f.Add(seed.header, seed.payload, seed.at, seed.cut, seed.insert)
	}
	target, _ := url.Parse("/orders?page=2")
	proofs := g.Verifier.(*verify.Verifier).Proofs()
	check := func(raw string) (verify.Proof, error) {
		return proofs.Check(verify.Presentation{Token: token, Method: "GET", URL: target, Proof: []string{raw}})
	}
	if _, err := check(sign(header, claims("x", 1))); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header, payload string, at, cut uint16, insert string) {
		raw := sign(header, payload)
		from := min(int(at), len(raw))
		raw = raw[:from] + insert + raw[min(from+int(cut), len(raw)):]
		if proof, err := check(raw); err == nil {
			agrees(t, raw, proof, token)
		}
	})
}

// hashOf is the ath of a token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode(string(sum[:]))
}

// agrees holds what was accepted to another library, and to encoding/json.
func agrees(t *testing.T, raw string, proof verify.Proof, token string) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("%q: go-jose says %v", raw, err)
	}
	head := signed.Signatures[0].Protected
	payload, err := signed.Verify(head.JSONWebKey)
	if err != nil || !head.JSONWebKey.IsPublic() {
		t.Fatalf("%q: go-jose says %v", raw, err)
	}
	if typ, _ := head.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(typ, "dpop+jwt") && !strings.EqualFold(typ, "application/dpop+jwt") {
		t.Fatalf("%q: typ is %q", raw, typ)
	}
	sum, err := head.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil || encode(string(sum)) != proof.Thumbprint {
		t.Fatalf("%q: the thumbprint is %s, %v", raw, encode(string(sum)), err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	htu, _ := claims["htu"].(string)
	u, err := url.Parse(htu)
	if err != nil || !strings.EqualFold(u.Hostname(), "api.example") || u.Port() != "" && u.Port() != "443" || u.Scheme != "https" || u.User != nil ||
		u.JoinPath().Path != "/orders" || claims["htm"] != "GET" || claims["ath"] != hashOf(token) || claims["jti"] == nil {
		t.Fatalf("accepted %s", payload)
	}
}
