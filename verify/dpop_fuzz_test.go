package verify_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest/oracle"
)

// FuzzProof: a proof that is accepted is, byte for byte, what was signed with the key in it, of
// this type, method, URL and token; go-jose accepts it too, and its thumbprint is that of the key
// (RFC 9449 §4.3). JWK in a header is the key, since each fuzzing process has one of its own. The
// proof is signed, and then edited.
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
		{header, claims("htu", "https://api.example/orders#%zz"), 0, 0, ""}, {header, claims("x", json.RawMessage("1e999")), 0, 0, ""},
		{`{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"nonce":5,"x":1e999}`, claims("x", 1), 0, 0, ""},
		{header, claims("iat", 1.5), 0, 0, ""}, {header, claims("iat", 1e300), 0, 0, ""}, {header, claims("ath", ""), 0, 0, ""}, {header, claims("nonce", "x"), 0, 0, ""},
		{`{"typ":"DPoP+JWT","alg":"ES256","jwk":JWK,"kid":"x"}`, claims("x", 1), 0, 0, ""}, {`{"typ":"JWT","alg":"ES256","jwk":JWK}`, claims("x", 1), 0, 0, ""},
		{`{"typ":"dpop+jwt","alg":"none","jwk":JWK}`, claims("x", 1), 0, 0, ""}, {`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, claims("x", 1), 0, 0, ""},
		{`{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"jwk":JWK}`, claims("x", 1), 0, 0, ""}, {`{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"crit":["b64"],"b64":false}`, claims("x", 1), 0, 0, ""},
		{header, claims("x", 1), end, 0, "="}, {header, claims("x", 1), end - 1, 1, "B"}, {header, claims("x", 1), end - 12, 4, "AAAA"}, {header, claims("x", 1), 0, 0, "."}, {header, claims("x", 1), 0, 0, " "},
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
		signed := sign(header, payload)
		from := min(int(at), len(signed))
		raw := signed[:from] + insert + signed[min(from+int(cut), len(signed)):]
		proof, err := check(raw)
		switch {
		case err != nil:
			return
		case raw != signed:
			t.Fatalf("%q: accepted, and %q was signed", raw, signed)
		case proof.Thumbprint != g.prover.Thumbprint():
			t.Fatalf("%q: the thumbprint is %s", raw, proof.Thumbprint)
		}
		if err := oracle.Check(raw, nil); err != nil {
			t.Fatalf("%q: accepted, but %v", raw, err)
		}
		agrees(t, raw, g.prover.JWK(), token)
	})
}

// hashOf is the ath of a token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode(string(sum[:]))
}

// agrees holds what was accepted to what encoding/json reads in it.
func agrees(t *testing.T, raw string, key map[string]any, token string) {
	t.Helper()
	head, claims := parts(t, raw)
	typ, _ := head["typ"].(string)
	if !strings.EqualFold(typ, "dpop+jwt") && !strings.EqualFold(typ, "application/dpop+jwt") || head["alg"] != "ES256" || head["crit"] != nil {
		t.Fatalf("accepted %v", head)
	}
	jwk, _ := head["jwk"].(map[string]any)
	for _, member := range []string{"kty", "crv", "x", "y", "d"} {
		if jwk[member] != key[member] {
			t.Fatalf("%s of the key is %v", member, jwk[member])
		}
	}
	htu, _ := claims["htu"].(string)
	if end := strings.IndexAny(htu, "?#"); end >= 0 {
		htu = htu[:end]
	}
	u, err := url.Parse(htu)
	if err != nil || !strings.EqualFold(u.Hostname(), "api.example") || u.Port() != "" && u.Port() != "443" || u.Scheme != "https" || u.User != nil ||
		u.JoinPath().Path != "/orders" || claims["htm"] != "GET" || claims["ath"] != hashOf(token) || claims["jti"] == nil {
		t.Fatalf("accepted %v", claims)
	}
}
