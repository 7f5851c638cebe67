package verify_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const proofURL = "https://api.example/orders"

// dpopGuard is a guard that takes proofs, with a client, and how often a proof was remembered.
type dpopGuard struct {
	*verify.Guard
	issuer  *verifytest.Issuer
	prover  *verifytest.Prover
	clock   *verifytest.Clock
	replays *verify.Replays
	inserts int
}

func newDPoPGuard(t testing.TB, algorithm string, changes ...func(*verify.DPoPOptions)) *dpopGuard {
	t.Helper()
	g := &dpopGuard{clock: verifytest.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)), prover: verifytest.NewProver(algorithm)}
	g.issuer = verifytest.New("https://idp.example", "https://api.example")
	g.issuer.Now, g.prover.Now = g.clock.Now, g.clock.Now
	g.replays = verify.NewReplays(1000, g.clock.Now)
	options := verify.DPoPOptions{Origins: []string{"https://api.example"}, Now: g.clock.Now,
		Remember: func(ctx context.Context, thumbprint, id string, until time.Time) error {
			g.inserts++
			return g.replays.Remember(ctx, thumbprint, id, until)
		}}
	for _, change := range changes {
		change(&options)
	}
	proofs, err := verify.NewDPoP(options)
	if err != nil {
		t.Fatal(err)
	}
	g.Guard = &verify.Guard{Verifier: newVerifier(t, g.issuer, func(c *verify.Config) {
		c.Cache, c.DPoP = verify.NewCache(100, g.clock.Now), proofs
	})}
	return g
}

// token returns one that is bound to the key of the client.
func (g *dpopGuard) token(claims verifytest.Claims) string {
	bound := verifytest.Claims{"cnf": map[string]any{"jkt": g.prover.Thumbprint()}}
	for name, value := range claims {
		bound[name] = value
	}
	return g.issuer.Sign(bound)
}

// answer sends a request, and returns the status and the answer's headers.
func (g *dpopGuard) answer(r *http.Request) (int, http.Header) {
	w := httptest.NewRecorder()
	g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"])+len(r.Header["Dpop"]) > 0 {
			w.WriteHeader(http.StatusTeapot) // nothing of them goes on
		}
	})).ServeHTTP(w, r)
	return w.Code, w.Header()
}

// codeOf returns the error in the challenges of an answer, of which the last is that of DPoP.
func codeOf(h http.Header) string {
	challenges := h["Www-Authenticate"]
	if len(challenges) == 0 {
		return ""
	}
	_, rest, _ := strings.Cut(challenges[len(challenges)-1], `error="`)
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

// RFC 9449 §4.3 and §7: what a resource takes, and what it refuses. A proof that is refused is not
// remembered.
func TestDPoPAtAResource(t *testing.T) {
	type c = verifytest.Claims
	const good, badProof, badToken = "", verify.InvalidDPoPProof, verify.InvalidToken
	g := newDPoPGuard(t, "ES256")
	other, rsa := verifytest.NewProver("ES256"), verifytest.NewProver("RS256")
	other.Now, rsa.Now = g.clock.Now, g.clock.Now
	token, plain := g.token(nil), g.issuer.Sign(nil)
	now := g.clock.Now().Unix()
	proof := func(claims c, options ...verifytest.Option) []string {
		return []string{g.prover.Proof("GET", proofURL, token, claims, options...)}
	}
	private := map[string]any{"d": "AAAA"}
	for name, value := range g.prover.JWK() {
		private[name] = value
	}
	rsaJWK, pss := map[string]any{"alg": "RS256"}, map[string]any{"alg": "PS256"}
	for name, value := range rsa.JWK() {
		rsaJWK[name], pss[name] = cmp.Or(rsaJWK[name], value), cmp.Or(pss[name], value)
	}
	ofRSA := g.issuer.Sign(c{"cnf": c{"jkt": rsa.Thumbprint()}})
	byRSA := func(jwk map[string]any) []string {
		return []string{rsa.Proof("GET", proofURL, ofRSA, nil, verifytest.Header("jwk", jwk))}
	}
	secret := map[string]any{"kty": "oct", "k": "AAAA"}
	header := verifytest.Header
	for _, row := range []struct {
		name, authorization string
		proof               []string
		code                string
	}{
		{"7.1: a proof of the key", "DPoP " + token, proof(nil), good},
		{"7.1: the scheme in any case", "dpop " + token, proof(nil), good},
		{"7.1: no token", "", proof(nil), "none"},
		{"7.2: as a bearer token", "Bearer " + token, nil, badToken},
		{"7.2: as a bearer token with a proof", "Bearer " + token, proof(nil), badToken},
		{"7.1: a token that is not bound", "DPoP " + plain, []string{g.prover.Proof("GET", proofURL, plain, nil)}, badToken},
		{"7.2: a bearer token", "Bearer " + plain, nil, good},
		{"7.2: a bearer token with a proof", "Bearer " + plain, []string{g.prover.Proof("GET", proofURL, plain, nil)}, badProof},
		{"7.2: a bearer token with junk", "Bearer " + plain, []string{"junk"}, badProof},
		{"6.1: a proof of another key", "DPoP " + token, []string{other.Proof("GET", proofURL, token, nil)}, badToken},
		{"6.1: cnf has more", "DPoP " + g.token(c{"cnf": c{"jkt": g.prover.Thumbprint(), "x": "y"}}), proof(nil), badToken},
		{"4.3 (1): no proof", "DPoP " + token, nil, badProof},
		{"4.3 (1): two proofs", "DPoP " + token, append(proof(nil), proof(nil)...), badProof},
		{"4.3 (1): two proofs in one header", "DPoP " + token, []string{proof(nil)[0] + ", " + proof(nil)[0]}, badProof},
		{"4.3 (2): no JWT", "DPoP " + token, []string{"a.b"}, badProof},
		{"4.3 (2): empty", "DPoP " + token, []string{""}, badProof},
		{"4.3 (2): padding", "DPoP " + token, []string{proof(nil)[0] + "="}, badProof},
		{"4.3 (2): too long", "DPoP " + token, proof(c{"x": strings.Repeat("x", 8<<10)}), badProof},
		{"4.3 (3): nonce is a number", "DPoP " + token, proof(c{"nonce": 1}), badProof},
		{"4.3 (3): no jti", "DPoP " + token, proof(c{"jti": nil}), badProof},
		{"4.3 (3): an empty jti", "DPoP " + token, proof(c{"jti": ""}), badProof},
		{"4.3 (3): a long jti", "DPoP " + token, proof(c{"jti": strings.Repeat("x", 257)}), badProof},
		{"4.3 (3): a jti that just fits", "DPoP " + token, proof(c{"jti": strings.Repeat("x", 256)}), good},
		{"4.3 (3): no htm", "DPoP " + token, proof(c{"htm": nil}), badProof},
		{"4.3 (3): no htu", "DPoP " + token, proof(c{"htu": nil}), badProof},
		{"4.3 (3): no iat", "DPoP " + token, proof(c{"iat": nil}), badProof},
		{"4.3 (3): iat is a string", "DPoP " + token, proof(c{"iat": "1"}), badProof},
		{"4.3 (3): a member twice", "DPoP " + token, proof(nil, verifytest.RawPayload(`{"htm":"GET","htm":"GET"}`)), badProof},
		{"4.2: exp and nbf do not matter", "DPoP " + token, proof(c{"exp": now - 5, "nbf": now + 5}), good},
		{"4.3 (4): typ JWT", "DPoP " + token, proof(nil, header("typ", "JWT")), badProof},
		{"4.3 (4): no typ", "DPoP " + token, proof(nil, header("typ", nil)), badProof},
		{"4.3 (5): alg none", "DPoP " + token, proof(nil, verifytest.Unsigned()), badProof},
		{"4.3 (5): alg HS256", "DPoP " + token, proof(nil, header("alg", "HS256")), badProof},
		{"4.3 (5): the alg of another curve", "DPoP " + token, proof(nil, header("alg", "ES384")), badProof},
		{"4.3 (5): a key for any algorithm", "DPoP " + ofRSA, byRSA(rsa.JWK()), good},
		{"4.3 (5): a key for its algorithm", "DPoP " + ofRSA, byRSA(rsaJWK), good},
		{"4.3 (5): a key for another algorithm", "DPoP " + ofRSA, byRSA(pss), badProof},
		{"4.3 (5): jwk is a secret", "DPoP " + token, proof(nil, header("jwk", secret)), badProof},
		{"4.3 (5): crit", "DPoP " + token, proof(nil, header("crit", []string{"x"})), badProof},
		{"4.3 (5): jku", "DPoP " + token, proof(nil, header("jku", "https://x.example")), badProof},
		{"4.3 (6): the signature of another key", "DPoP " + token, []string{other.Proof("GET", proofURL, token, nil, header("jwk", g.prover.JWK()))}, badProof},
		{"4.3 (6): no jwk", "DPoP " + token, proof(nil, header("jwk", nil)), badProof},
		{"4.3 (6): jwk is a text", "DPoP " + token, proof(nil, header("jwk", "x")), badProof},
		{"4.3 (7): a private key", "DPoP " + token, proof(nil, header("jwk", private)), badProof},
		{"4.3 (8): htm POST", "DPoP " + token, proof(c{"htm": "POST"}), badProof},
		{"4.3 (8): htm in lower case", "DPoP " + token, proof(c{"htm": "get"}), badProof},
		{"4.3 (9): htu of another path", "DPoP " + token, proof(c{"htu": proofURL + "/1"}), badProof},
		{"4.3 (9): htu of another host", "DPoP " + token, proof(c{"htu": "https://evil.example/orders"}), badProof},
		{"4.3 (9): htu with a query", "DPoP " + token, proof(c{"htu": proofURL + "?a=b#c"}), good},
		{"4.3 (10): a nonce that nobody asked for", "DPoP " + token, proof(c{"nonce": "x"}), good},
		{"4.3 (11): 10 s before", "DPoP " + token, proof(c{"iat": now - 10}), good},
		{"4.3 (11): 10 s after", "DPoP " + token, proof(c{"iat": now + 10}), good},
		{"4.3 (11): 60 s before", "DPoP " + token, proof(c{"iat": now - 60}), good},
		{"4.3 (11): 60 s after", "DPoP " + token, proof(c{"iat": now + 60}), good},
		{"4.3 (11): 61 s before", "DPoP " + token, proof(c{"iat": now - 61}), badProof},
		{"4.3 (11): 61 s after", "DPoP " + token, proof(c{"iat": now + 61}), badProof},
		{"4.3 (11): an hour before", "DPoP " + token, proof(c{"iat": now - 3600}), badProof},
		{"4.3 (12): no ath", "DPoP " + token, proof(c{"ath": nil}), badProof},
		{"4.3 (12): ath of another token", "DPoP " + token, []string{g.prover.Proof("GET", proofURL, plain, nil)}, badProof},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/orders?page=2", nil)
			r.Host = "evil.example"
			if row.authorization != "" {
				r.Header.Set("Authorization", row.authorization)
			}
			r.Header["Dpop"] = row.proof
			before := g.inserts
			status, h := g.answer(r)
			switch {
			case row.code == good && status != http.StatusOK, row.code != good && status != http.StatusUnauthorized:
				t.Fatalf("%d %v", status, h)
			case row.code == "none" && codeOf(h) != "", row.code != "none" && codeOf(h) != row.code:
				t.Errorf("the challenges are %q, want %s", h["Www-Authenticate"], row.code)
			}
			if spent := g.inserts - before; row.code != good && spent > 0 || row.code == good && spent != len(row.proof) {
				t.Errorf("%d proofs were remembered", spent)
			}
		})
	}
	for _, row := range []struct{ name, code string }{{"11.1: once", good}, {"11.1: again", badProof}} {
		proof := g.prover.Proof("GET", proofURL, token, c{"jti": "once"})
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", proof)
		if _, h := g.answer(r); codeOf(h) != row.code {
			t.Errorf("%s: %v", row.name, h)
		}
	}
}

// RFC 9449 §7.1, RFC 9110 §11.6.1: who asks without a token is told of both schemes, Bearer first,
// and of DPoP alone where that is required. A fault of a proof is told under DPoP.
func TestDPoPChallenges(t *testing.T) {
	const algs = `algs="ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA"`
	for _, row := range []struct {
		name     string
		required bool
		junk     bool
		want     []string
	}{
		{"7.1: no token", false, false, []string{`Bearer realm="api", scope="read"`, `DPoP realm="api", ` + algs + `, scope="read"`}},
		{"7.1: a bad proof", false, true, []string{`Bearer realm="api", scope="read"`,
			`DPoP realm="api", ` + algs + `, error="invalid_dpop_proof", error_description="the DPoP proof is not acceptable", scope="read"`}},
		{"7.2: required", true, false, []string{`DPoP realm="api", ` + algs + `, scope="read"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newDPoPGuard(t, "ES256", func(o *verify.DPoPOptions) { o.Required = row.required })
			g.Scope = verify.Scope{"read"}
			r := httptest.NewRequest("GET", "/orders", nil)
			if row.junk {
				r.Header.Set("Authorization", "DPoP "+g.token(verifytest.Claims{"scope": "read"}))
				r.Header.Set("DPoP", "junk")
			}
			status, h := g.answer(r)
			if got := strings.Join(h["Www-Authenticate"], "\n"); status != http.StatusUnauthorized || got != strings.Join(row.want, "\n") {
				t.Errorf("%d\n%s\nwant\n%s", status, got, strings.Join(row.want, "\n"))
			}
		})
	}
	g := newDPoPGuard(t, "ES256", func(o *verify.DPoPOptions) { o.Required = true })
	r := httptest.NewRequest("GET", "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+g.issuer.Sign(nil))
	if status, h := g.answer(r); status != http.StatusUnauthorized || codeOf(h) != verify.InvalidToken {
		t.Errorf("a token that is not bound, where that is required: %d %v", status, h)
	}
}

// RFC 9449 §8, §9: a proof needs a nonce that the server has given, and is as old as that. No clock
// but the server's counts.
func TestDPoPNonces(t *testing.T) {
	var nonces *verify.Nonces
	g := newDPoPGuard(t, "EdDSA", func(o *verify.DPoPOptions) {
		nonces = verify.NewNonces(o.Now)
		o.Nonces = nonces
	})
	token := g.token(nil)
	send := func(claims verifytest.Claims) (int, http.Header) {
		r := httptest.NewRequest("GET", proofURL, nil)
		g.prover.Authorize(r, token, claims)
		return g.answer(r)
	}
	if status, h := send(nil); status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
		t.Errorf("before there is a key: %d %v", status, h)
	}
	nonces.SetKey([]byte("0123456789abcdef0123456789abcdef"))
	status, h := send(nil)
	nonce := h.Get("DPoP-Nonce")
	if status != http.StatusUnauthorized || codeOf(h) != verify.UseDPoPNonce || nonce == "" || g.inserts > 0 {
		t.Fatalf("without a nonce: %d %v", status, h)
	}
	with := verifytest.Claims{"nonce": nonce, "iat": 1}
	if status, h := send(with); status != http.StatusOK || h.Get("DPoP-Nonce") != nonce {
		t.Errorf("with the nonce, and a clock of another century: %d %v", status, h)
	}
	g.clock.Advance(time.Minute)
	if status, h := send(with); status != http.StatusOK || h.Get("DPoP-Nonce") == nonce {
		t.Errorf("a minute later: %d %v", status, h)
	}
	g.clock.Advance(time.Minute)
	if status, h := send(with); status != http.StatusUnauthorized || codeOf(h) != verify.UseDPoPNonce {
		t.Errorf("two minutes later: %d %v", status, h)
	}
	if status, h := send(verifytest.Claims{"nonce": 1}); codeOf(h) != verify.InvalidDPoPProof {
		t.Errorf("a nonce that is no text: %d %v", status, h)
	}
}

// The algorithms of proofs are those of tokens, each with a key of its own.
func TestDPoPAlgorithms(t *testing.T) {
	for _, algorithm := range verify.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			g := newDPoPGuard(t, algorithm)
			r := httptest.NewRequest("GET", proofURL, nil)
			g.prover.Authorize(r, g.token(nil), nil)
			if status, h := g.answer(r); status != http.StatusOK {
				t.Errorf("%d %v", status, h)
			}
		})
	}
}

// RFC 9449 §11.1: a memory that is away is no fault of the client's.
func TestDPoPWithoutMemory(t *testing.T) {
	g := newDPoPGuard(t, "ES256", func(o *verify.DPoPOptions) {
		o.Remember = func(context.Context, string, string, time.Time) error { return errors.New("away") }
	})
	r := httptest.NewRequest("GET", proofURL, nil)
	g.prover.Authorize(r, g.token(nil), nil)
	if status, h := g.answer(r); status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || h.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", status, h)
	}
}

func TestNewDPoPRefuses(t *testing.T) {
	remember := func(context.Context, string, string, time.Time) error { return nil }
	for name, o := range map[string]verify.DPoPOptions{
		"no origin":      {Remember: remember},
		"no memory":      {Origins: []string{"https://api.example"}},
		"no URL":         {Origins: []string{"api.example"}, Remember: remember},
		"a path":         {Origins: []string{"https://api.example/x"}, Remember: remember},
		"a prefix":       {Origins: []string{"https://api.example"}, Prefix: "v1", Remember: remember},
		"a prefix of /":  {Origins: []string{"https://api.example"}, Prefix: "/", Remember: remember},
		"dots in it":     {Origins: []string{"https://api.example"}, Prefix: "/v1/../v2", Remember: remember},
		"a query in it":  {Origins: []string{"https://api.example"}, Prefix: "/v1?x", Remember: remember},
		"userinfo":       {Origins: []string{"https://x@api.example"}, Remember: remember},
		"another scheme": {Origins: []string{"ftp://api.example"}, Remember: remember},
		"a long window":  {Origins: []string{"https://api.example"}, Remember: remember, Window: 6 * time.Minute},
		"a negative one": {Origins: []string{"https://api.example"}, Remember: remember, Window: -1},
	} {
		if _, err := verify.NewDPoP(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
