package tokenep_test

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// jkt returns what a token says that it is bound to.
func jkt(t *verify.Token) any {
	cnf, _ := t.Claims["cnf"].(map[string]any)
	return cnf["jkt"]
}

// RFC 9449 §4.3 and §5: the proofs of the token endpoint. Whatever is wrong with one, nothing is
// written.
func TestDPoPProofs(t *testing.T) {
	f := tokeneptest.New(t)
	p, other := f.NewProver(), f.NewProver()
	ask := tokeneptest.ClientCredentials().By("billing")
	type c = verifytest.Claims
	now := f.Clock.Now().Unix()
	with := func(claims c, options ...verifytest.Option) tokeneptest.Request {
		return ask.Proving(p, claims, options...)
	}
	bad := func(name string, r tokeneptest.Request) tokeneptest.Rule {
		return refuses(name, r, 400, tokenep.InvalidDPoPProof)
	}
	proof := p.Proof("POST", tokeneptest.Issuer+tokeneptest.TokenPath, "", nil)
	private := map[string]any{"d": "AAAA"}
	for name, value := range p.JWK() {
		private[name] = value
	}
	f.Run(t, []tokeneptest.Rule{
		grants("5: a proof", with(nil)),
		bad("4.3 (1): two headers", ask.With("Dpop", proof, proof)),
		bad("4.3 (2): junk", ask.With("Dpop", "junk")),
		bad("4.3 (3): no jti", with(c{"jti": nil})),
		bad("11.1: a long jti", with(c{"jti": tokeneptest.Verifier + string(make([]byte, 300))})),
		bad("4.3 (4): typ", with(nil, verifytest.Header("typ", "at+jwt"))),
		bad("4.3 (5): alg none", with(nil, verifytest.Unsigned())),
		bad("4.3 (5): HS256", with(nil, verifytest.Header("alg", "HS256"))),
		bad("4.3 (6): another signature", ask.Proving(other, nil, verifytest.Header("jwk", p.JWK()))),
		bad("4.3 (7): a private key", with(nil, verifytest.Header("jwk", private))),
		bad("4.3 (8): htm", with(c{"htm": "GET"})),
		bad("4.3 (9): htu", with(c{"htu": "https://as.example/oauth/revoke"})),
		bad("4.3 (9): another host", with(c{"htu": "https://evil.example/oauth/token"})),
		grants("4.3 (9): a query and a fragment", with(c{"htu": "https://as.example/oauth/token?a#b"})),
		grants("4.3 (9): case and default port", with(c{"htu": "HTTPS://AS.example:443/oauth/token"})),
		grants("11.1: 10 s before", with(c{"iat": now - 10})),
		grants("11.1: 10 s after", with(c{"iat": now + 10})),
		bad("11.1: an hour before", with(c{"iat": now - 3600})),
		bad("11.1: an hour after", with(c{"iat": now + 3600})),
		grants("4.2: exp and nbf", with(c{"exp": now + 5, "nbf": now + 5})),
		refuses("5: a good proof beside a bad secret", with(nil).Basic("billing", "wrong"), 401, tokenep.InvalidClient),
		refuses("5: a good proof for too much", tokeneptest.ClientCredentials("scope", "x").By("billing").Proving(p, nil), 400, tokenep.InvalidScope),
	})
}

// RFC 9449 §5, §6.1 and §11.1: the token is bound to the key, and a proof is good once, on
// whichever node it is sent first.
func TestDPoPToken(t *testing.T) {
	f := tokeneptest.New(t)
	p := f.NewProver()
	ask := tokeneptest.ClientCredentials().By("billing").Proving(p, nil)
	if _, token := f.Granted(t, ask); jkt(token) != p.Thumbprint() {
		t.Errorf("cnf is %v", token.Claims["cnf"])
	}
	next := f.Next(t, tokeneptest.Config(f.Store, f.Clock.Now))
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.Send(t, ask).Refused(t, 400, tokenep.InvalidDPoPProof)
	f.Send(t, ask).Refused(t, 400, tokenep.InvalidDPoPProof)
	f.Clock.Advance(time.Hour)
	f.Send(t, ask).Refused(t, 400, tokenep.InvalidDPoPProof)
	metadata := f.Send(t, tokeneptest.Get("/.well-known/oauth-authorization-server")).JSON
	if algs, _ := metadata["dpop_signing_alg_values_supported"].([]any); len(algs) != len(verify.Algorithms()) {
		t.Errorf("RFC 9449 §5.1: %v", metadata)
	}
}

// RFC 7800 §3.1: what a grant binds to one key is not given to who shows another.
func TestDPoPOfAnotherKeyThanTheGrant(t *testing.T) {
	var own string
	f := tokeneptest.New(t, withVoucher(func(*tokenep.Request) (*tokenep.Authorization, error) {
		return &tokenep.Authorization{Subject: "alice", Confirmation: map[string]any{"jkt": own}}, nil
	}))
	p := f.NewProver()
	own = p.Thumbprint()
	f.Run(t, []tokeneptest.Rule{
		refuses("another key", showVoucher.Proving(f.NewProver(), nil), 400, tokenep.InvalidRequest),
		grants("the key", showVoucher.Proving(p, nil)),
	})
}

// RFC 9449 §5.2: a client gets no token that is not bound.
func TestDPoPBoundClient(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Alter("billing", func(c *tokenep.Client) { c.DPoPBound = true }))
	f.Run(t, []tokeneptest.Rule{
		refuses("5.2: no proof", tokeneptest.ClientCredentials().By("billing"), 400, tokenep.InvalidDPoPProof),
		grants("5.2: a proof", tokeneptest.ClientCredentials().By("billing").Proving(f.NewProver(), nil)),
		grants("5.2: another client", tokeneptest.ClientCredentials().By("reports")),
	})
}

// RFC 9449 §8: the server asks for a nonce, and gives the next one with each answer. CORS lets
// scripts read it.
func TestDPoPNonce(t *testing.T) {
	f := tokeneptest.New(t, func(c *server.Config) {
		c.DPoP.RequireNonce = true
		c.Origins = tokenep.CORS{"https://app.example"}
	})
	p := f.NewProver()
	ask := tokeneptest.ClientCredentials().By("billing").With("Origin", "https://app.example")
	a := f.Send(t, ask.Proving(p, nil))
	a.Refused(t, 400, tokenep.UseDPoPNonce)
	nonce := a.Header.Get("DPoP-Nonce")
	if nonce == "" || a.Header.Get("Access-Control-Expose-Headers") != "WWW-Authenticate, Retry-After, DPoP-Nonce" {
		t.Errorf("%v", a.Header)
	}
	a, _ = f.Granted(t, ask.Proving(p, verifytest.Claims{"nonce": nonce}))
	if a.Header.Get("DPoP-Nonce") != nonce {
		t.Errorf("§8.2: %v", a.Header)
	}
	if a, _ := f.Granted(t, ask); a.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("without a proof: %v", a.Header)
	}
	f.Send(t, ask.Proving(p, verifytest.Claims{"nonce": rand.Text()})).Refused(t, 400, tokenep.UseDPoPNonce)
}

// RFC 9449 §11.1: of all requests with one proof, on three nodes at once, one gets a token.
func TestDPoPProofAtOnce(t *testing.T) {
	f := tokeneptest.New(t)
	nodes := []*tokeneptest.Server{f}
	for range 2 {
		node := f.Next(t, tokeneptest.Config(f.Store, f.Clock.Now))
		if err := node.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	ask := tokeneptest.ClientCredentials().By("billing").Proving(f.NewProver(), nil)
	var granted atomic.Int32
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			if a := nodes[i%3].Send(t, ask); a.Status == 200 {
				granted.Add(1)
			} else if a.JSON["error"] != string(tokenep.InvalidDPoPProof) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	if granted.Load() != 1 {
		t.Errorf("%d requests got a token", granted.Load())
	}
}
