package grant_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// boundTo holds a token to the key that it is bound to.
func boundTo(t *testing.T, token *verify.Token, p *verifytest.Prover) {
	t.Helper()
	cnf, _ := token.Claims["cnf"].(map[string]any)
	if len(cnf) != 1 || cnf["jkt"] != p.Thumbprint() {
		t.Errorf("cnf is %v, want the key %s", token.Claims["cnf"], p.Thumbprint())
	}
}

// RFC 9449 §10: a code that is bound to a key by dpop_jkt, or by a proof at the PAR endpoint, is
// good with that key alone. A refusal leaves it good.
func TestCodeBoundToAKey(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople)
	p, other := f.NewProver(), f.NewProver()
	for _, row := range []struct {
		name string
		code func(client string) string
	}{
		{"10: dpop_jkt", func(client string) string { return f.Code(t, client, "dpop_jkt", p.Thumbprint()) }},
		{"10.1: a proof", func(client string) string {
			return pushedCode(t, f, tokeneptest.Push(client).Proving(p, nil), client)
		}},
		{"10.1: both", func(client string) string {
			return pushedCode(t, f, tokeneptest.Push(client, "dpop_jkt", p.Thumbprint()).Proving(p, nil), client)
		}},
		{"10.1: dpop_jkt alone", func(client string) string {
			return pushedCode(t, f, tokeneptest.Push(client, "dpop_jkt", p.Thumbprint()), client)
		}},
	} {
		for _, client := range []string{"site", "native"} {
			t.Run(row.name+" of "+client, func(t *testing.T) {
				redeem := tokeneptest.RedeemCode(client, row.code(client))
				f.Send(t, redeem).Refused(t, 400, tokenep.InvalidDPoPProof)
				f.Send(t, redeem.Proving(other, nil)).Refused(t, 400, tokenep.InvalidGrant)
				_, token := f.Granted(t, redeem.Proving(p, nil))
				boundTo(t, token, p)
			})
		}
	}
	for _, r := range []request{
		tokeneptest.Push("site", "dpop_jkt", other.Thumbprint()).Proving(p, nil),
		tokeneptest.Push("site").Proving(p, verifytest.Claims{"htu": tokeneptest.Issuer + tokeneptest.TokenPath}),
		tokeneptest.Push("native").With("Dpop", "junk"),
	} {
		f.Send(t, r).Refused(t, 400, tokenep.InvalidDPoPProof)
	}
	f.Send(t, tokeneptest.Push("site", "dpop_jkt", "junk")).Refused(t, 400, tokenep.InvalidRequest)
	a := f.Send(t, tokeneptest.Authorize("site", "dpop_jkt", "junk"))
	if got := a.Redirected(t, tokeneptest.Callback).Get("error"); got != "invalid_request" {
		t.Errorf("10: a dpop_jkt that is none: %s", got)
	}
}

// FAPI 2.0 Security Profile §5.3.2: PAR, PKCE, a client that is known by its key, and tokens that
// are bound to another one, from the request to the resource.
func TestFAPIHappyFlow(t *testing.T) {
	idp := verifytest.New(tokeneptest.Issuer, tokeneptest.Issuer)
	f := tokeneptest.New(t, tokeneptest.WithPeople, tokeneptest.Alter("site", func(c *tokenep.Client) {
		c.Secrets, c.AuthMethod, c.JWKS = nil, tokenep.AuthPrivateKeyJWT, idp.JWKS()
		c.AssertionAudience, c.RequirePAR, c.DPoPBound = tokenep.AudienceStrict, true, true
	}))
	idp.Now = f.Clock.Now
	p := f.NewProver()
	by := func(r request) request {
		r.Header.Del("Authorization")
		assertion := idp.Sign(verifytest.Claims{"iss": "site", "sub": "site", "client_id": nil, "exp": f.Clock.Now().Add(time.Minute).Unix()}, verifytest.Header("typ", "JWT"))
		r.Body += "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=" + assertion
		return r
	}
	if got := f.Send(t, tokeneptest.Authorize("site")).Redirected(t, tokeneptest.Callback).Get("error"); got != "invalid_request" {
		t.Errorf("a request that was not pushed: %s", got)
	}
	code := pushedCode(t, f, by(tokeneptest.Push("site")).Proving(p, nil), "site")
	f.Send(t, by(tokeneptest.RedeemCode("site", code))).Refused(t, 400, tokenep.InvalidDPoPProof)
	a, token := f.Granted(t, by(tokeneptest.RedeemCode("site", code)).Proving(p, nil))
	boundTo(t, token, p)
	proofs, err := f.DPoP(verify.DPoPOptions{Origins: []string{"https://api.example"}})
	if err != nil {
		t.Fatal(err)
	}
	guard := &verify.Guard{Verifier: f.NewVerifier(t, func(c *verify.Config) { c.DPoP = proofs })}
	r := httptest.NewRequest("GET", tokeneptest.Orders, nil)
	p.Authorize(r, a.AccessToken(), nil)
	if _, err := guard.Admit(r); err != nil {
		t.Error(err)
	}
}

// pushedCode returns the code that comes of a pushed request.
func pushedCode(t *testing.T, f *tokeneptest.Server, push request, client string) string {
	t.Helper()
	open := f.Pushed(t, push)
	a := f.Send(t, open)
	if a.Status == 200 {
		a = f.Send(t, f.Consent(t, open, "allow"))
	}
	return a.Redirected(t, tokeneptest.RedirectURI(client)).Get("code")
}

// A proof at the PAR endpoint is good once, for a client that has authenticated. That of a public
// client is not remembered, so that nobody can fill the store.
func TestProofOfAPushedRequest(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople)
	p := f.NewProver()
	push := tokeneptest.Push("site").Proving(p, nil)
	f.Pushed(t, push)
	f.Send(t, push).Refused(t, 400, tokenep.InvalidDPoPProof)
	writes := f.Store.Writes()
	f.Pushed(t, tokeneptest.Push("native").Proving(p, nil))
	if got := f.Store.Writes() - writes; got != 0 {
		t.Errorf("the request of a public client wrote %d records", got)
	}
}

// RFC 9449 §5: the refresh tokens of a public client are bound to its key. A confidential client
// may show another key each time, and never none.
func TestRefreshTokensBoundToAKey(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople)
	p, other := f.NewProver(), f.NewProver()
	first := func(client string) string {
		a, _ := f.Granted(t, tokeneptest.RedeemCode(client, f.Code(t, client)).Proving(p, nil))
		return a.RefreshToken()
	}
	public, confidential := first("native"), first("site")
	f.Send(t, tokeneptest.Refresh("native", public)).Refused(t, 400, tokenep.InvalidDPoPProof)
	f.Send(t, tokeneptest.Refresh("native", public).Proving(other, nil)).Refused(t, 400, tokenep.InvalidGrant)
	a, token := f.Granted(t, tokeneptest.Refresh("native", public).Proving(p, nil))
	boundTo(t, token, p)

	// The one before is good for its successor for a while, with the same key alone.
	f.Clock.Advance(10 * time.Second)
	f.Send(t, tokeneptest.Refresh("native", public).Proving(other, nil)).Refused(t, 400, tokenep.InvalidGrant)
	again, _ := f.Granted(t, tokeneptest.Refresh("native", public).Proving(p, nil))
	if again.RefreshToken() != a.RefreshToken() {
		t.Error("within the grace, another successor")
	}

	f.Send(t, tokeneptest.Refresh("site", confidential)).Refused(t, 400, tokenep.InvalidDPoPProof)
	_, token = f.Granted(t, tokeneptest.Refresh("site", confidential).Proving(other, nil))
	boundTo(t, token, other)

	// What was not bound can be from now on; the refresh token stays as it was.
	bearer, _ := f.Granted(t, tokeneptest.RedeemCode("native", f.Code(t, "native")))
	bearer, token = f.Granted(t, tokeneptest.Refresh("native", bearer.RefreshToken()).Proving(p, nil))
	boundTo(t, token, p)
	f.Granted(t, tokeneptest.Refresh("native", bearer.RefreshToken()))
}

// A proof that was used before costs nobody a credential.
func TestReplayedProofSpendsNothing(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople)
	p := f.NewProver()
	id := verifytest.Claims{"jti": "once"}
	f.Granted(t, tokeneptest.ClientCredentials().By("billing").Proving(p, id))
	redeem := tokeneptest.RedeemCode("site", f.Code(t, "site"))
	f.Send(t, redeem.Proving(p, id)).Refused(t, 400, tokenep.InvalidDPoPProof)
	f.Granted(t, redeem.Proving(p, nil))
}

// RFC 9449 §5, RFC 8693: a token that is bound to a key is exchanged by whoever shows the key, and
// the new one is bound to it.
func TestExchangeOfBoundTokens(t *testing.T) {
	f := tokeneptest.New(t)
	p, other := f.NewProver(), f.NewProver()
	bound := f.Issued(t, tokeneptest.ClientCredentials().By("billing").Proving(p, nil))
	plain := f.Issued(t, tokeneptest.ClientCredentials().By("billing"))
	unknown := f.Mint(t, tokenep.Claims{Confirmation: object{"kid": "x"}})
	certificate := f.Mint(t, tokenep.Claims{Confirmation: object{"x5t#S256": "x"}})
	swap := func(token string, pairs ...string) request {
		return tokeneptest.ExchangeAccessToken(token, pairs...).By("billing")
	}
	f.Run(t, []rule{
		refuses("no proof", swap(bound), 400, tokenep.InvalidRequest),
		refuses("a proof of another key", swap(bound).Proving(other, nil), 400, tokenep.InvalidRequest),
		refuses("bound in another way", swap(unknown).Proving(p, nil), 400, tokenep.InvalidRequest),
		refuses("bound to a certificate", swap(certificate).Proving(p, nil), 400, tokenep.InvalidRequest),
		refuses("as actor, without a proof", swap(plain, "actor_token", bound, "actor_token_type", accessToken), 400, tokenep.InvalidRequest),
		grants("as actor", swap(plain, "actor_token", bound, "actor_token_type", accessToken).Proving(p, nil)),
		grants("not bound, with a proof", swap(plain).Proving(other, nil)),
	})
	_, token := f.Granted(t, swap(bound).Proving(p, nil))
	boundTo(t, token, p)
}

// A bound token that is renewed stays bound to its key.
func TestRenewalOfBoundTokens(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Renewing)
	p := f.NewProver()
	bound := f.Issued(t, tokeneptest.ClientCredentials().By("billing").Proving(p, nil))
	renew := tokeneptest.ExchangeAccessToken(bound).By("billing").At(tokeneptest.IcebergPath)
	f.Send(t, renew).Refused(t, 400, tokenep.InvalidRequest)
	_, token := f.Granted(t, renew.Proving(p, nil))
	boundTo(t, token, p)
}

// The password grant gives bound tokens too, and so do the refresh tokens that come of it.
func TestPasswordWithProof(t *testing.T) {
	f := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("ada")))
	p := f.NewProver()
	a, token := f.Granted(t, byPassword().Proving(p, nil))
	boundTo(t, token, p)
	f.Send(t, tokeneptest.Refresh("legacy", a.RefreshToken())).Refused(t, 400, tokenep.InvalidDPoPProof)
}

// A server whose store is away says so, and no client throws its key away.
func TestProofWithoutStore(t *testing.T) {
	f := tokeneptest.New(t, func(c *server.Config) { c.RevocationMaxAge = 0 })
	r := tokeneptest.ClientCredentials().By("billing").Proving(f.NewProver(), nil)
	f.Store.SetAway(true)
	f.Send(t, r).Refused(t, 503, tokenep.TemporarilyUnavailable)
	f.Store.SetAway(false)
	f.Granted(t, r)
}
