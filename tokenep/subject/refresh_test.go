package subject_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const maxChain = 6 * time.Hour

// staying is deploy with refresh tokens, for the client billing, which may use them.
func staying(t testing.TB, i *verifytest.Issuer, changes ...func(*subject.Policy)) tokeneptest.Change {
	return func(c *server.Config) {
		p := deploy(t)
		p.RefreshToken = true
		p.Claims = append(p.Claims, subject.Claim{Name: "run", Value: value(t, "claims.run")})
		for _, change := range changes {
			change(&p)
		}
		trusts(i, p)(c)
		c.Exchange.MaxChain = maxChain
		tokeneptest.Alter("billing", func(c *tokenep.Client) {
			c.GrantTypes = append(slices.Clone(c.GrantTypes), tokenep.RefreshTokenType, grant.JWTBearerType)
		})(c)
		agents(c)
	}
}

func refresh(token any, pairs ...string) request {
	text, _ := token.(string)
	return post(append([]string{"grant_type", "refresh_token", "refresh_token", text}, pairs...)...)
}

// RFC 8693 §2.2.1: a refresh token comes of an exchange where the policy says so. What it is
// exchanged for says the same as the first access token, also when the subject token has expired.
func TestPolicyGivesRefreshTokens(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, staying(t, github, func(p *subject.Policy) {
		p.Grants = []string{exchange, grant.JWTBearerType}
		p.MayAct = []subject.Claim{{Name: "client_id", Value: value(t, `"gateway"`)}}
	}))
	began := f.Clock.Now().Truncate(time.Second)
	ask := tokeneptest.Exchange(github.Sign(job(verifytest.Claims{"run": int64(9007199254740993)})), grant.JWTType, "scope", "orders:read").By("billing")
	a, first := f.Granted(t, ask)
	f.Clock.Advance(2 * time.Hour)
	f.Send(t, ask).Refused(t, 400, tokenep.InvalidRequest)
	again, second := f.Granted(t, refresh(a.JSON["refresh_token"]).By("billing"))
	for _, claim := range []string{"sub", "aud", "scope", "client_id", "repository", "run", "may_act", "grant_id", "ancestors"} {
		if first.Claims[claim] == nil || !tokeneptest.EqualJSON(first.Claims[claim], second.Claims[claim]) {
			t.Errorf("%s is %v, and then %v", claim, first.Claims[claim], second.Claims[claim])
		}
	}
	if life := second.Expires.Sub(second.IssuedAt); life != 10*time.Minute {
		t.Errorf("it lives %s, want the ttl of the policy", life)
	}
	_, acted := f.Granted(t, swap(again.AccessToken()).By("gateway"))
	for _, token := range []*verify.Token{second, acted} {
		if !tokeneptest.EqualJSON(token.Claims["chain_iat"], began.Unix()) {
			t.Errorf("chain_iat is %v, want %d", token.Claims["chain_iat"], began.Unix())
		}
	}
	public := tokenep.Client{ID: "sdk", GrantTypes: []string{exchange, tokenep.RefreshTokenType}, AuthMethod: tokenep.AuthNone, Audience: []string{tokeneptest.Orders}}
	f.Run(t, []rule{
		refuses("more than was asked for at first", refresh(a.JSON["refresh_token"], "scope", "orders:write").By("billing"), 400, tokenep.InvalidScope),
		refuses("by another client", refresh(a.JSON["refresh_token"]).By("gateway"), 400, tokenep.UnauthorizedClient),
	})
	fresh := func() string { return github.Sign(job(nil)) }
	for name, r := range map[string]request{
		"a client without the grant": tokeneptest.Exchange(fresh(), grant.JWTType).By("broker"),
		"RFC 7521 4.1: an assertion": post("grant_type", grant.JWTBearerType, "assertion", fresh()).By("billing"),
		"an own access token":        swap(again.AccessToken()).By("gateway"),
	} {
		if a, _ := f.Granted(t, r); a.JSON["refresh_token"] != nil {
			t.Errorf("%s: a refresh token is given", name)
		}
	}
	f.Clock.Advance(maxChain - 2*time.Hour - time.Minute)
	if _, last := f.Granted(t, refresh(a.JSON["refresh_token"]).By("billing")); last.Expires.After(began.Add(maxChain + time.Second)) {
		t.Errorf("the last one is good until %s", last.Expires)
	}
	f.Clock.Advance(2 * time.Minute)
	f.Send(t, refresh(a.JSON["refresh_token"]).By("billing")).Refused(t, 400, tokenep.InvalidGrant)

	// The tokens of a public client are rotated, and a second use ends them.
	f = tokeneptest.New(t, tokeneptest.WithClients(public), staying(t, github, func(p *subject.Policy) { p.AllowPublic = true }))
	a, _ = f.Granted(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, "client_id", "sdk"))
	next, _ := f.Granted(t, refresh(a.JSON["refresh_token"], "client_id", "sdk"))
	f.Clock.Advance(2 * time.Minute)
	f.Send(t, refresh(a.JSON["refresh_token"], "client_id", "sdk")).Refused(t, 400, tokenep.InvalidGrant)
	f.Send(t, refresh(next.JSON["refresh_token"], "client_id", "sdk")).Refused(t, 400, tokenep.InvalidGrant)
	if _, err := f.Verify(t, next.AccessToken()); err == nil {
		t.Error("the access token outlives its family")
	}
}

// RFC 8693 §2.1: no policy makes an ID token, which says who has signed in: with refresh tokens
// neither.
func TestPolicyGivesNoIDToken(t *testing.T) {
	github := ci()
	openid := func(c *tokenep.Client) { c.Scope = append(verify.Scope{"openid"}, c.Scope...) }
	f := tokeneptest.New(t, tokeneptest.WithPeople, staying(t, github, func(p *subject.Policy) {
		p.Scope, p.Subject = append(p.Scope, "openid"), value(t, `"alice"`)
	}), tokeneptest.Alter("site", openid), tokeneptest.Alter("billing", openid))
	ask := func(pairs ...string) request {
		pairs = append(pairs, "requested_token_type", tokenep.IssuedIDToken)
		return tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, pairs...).By("billing")
	}
	f.Run(t, []rule{
		refuses("an ID token", ask(), 400, tokenep.InvalidRequest),
		refuses("for an audience", ask("audience", tokeneptest.Orders), 400, tokenep.InvalidTarget),
	})
}

// RFC 9449 §5: what comes of an exchange with a proof stays bound to its key, refreshed or not. A
// subject token that is bound to more than the request binds to gives no refresh token.
func TestRefreshTokensOfAPolicyAreBound(t *testing.T) {
	github := ci()
	public := tokenep.Client{ID: "sdk", GrantTypes: []string{exchange, tokenep.RefreshTokenType}, AuthMethod: tokenep.AuthNone, Audience: []string{tokeneptest.Orders}}
	f := tokeneptest.New(t, tokeneptest.WithClients(public), staying(t, github, func(p *subject.Policy) { p.AllowPublic = true }))
	p, other := f.NewProver(), f.NewProver()
	bound := func(t *verify.Token) any { cnf, _ := t.Claims["cnf"].(map[string]any); return cnf["jkt"] }
	for name, subjectClaims := range map[string]verifytest.Claims{"a plain subject": {}, "a bound one": {"cnf": map[string]any{"jkt": p.Thumbprint()}}} {
		for _, client := range []string{"sdk", "billing"} {
			t.Run(name+" by "+client, func(t *testing.T) {
				by := func(r request) request {
					if client == "sdk" {
						r.Body += "&client_id=sdk"
						return r
					}
					return r.By(client)
				}
				subjectClaims["jti"] = name + client
				a, first := f.Granted(t, by(tokeneptest.Exchange(github.Sign(job(subjectClaims)), grant.JWTType)).Proving(p, nil))
				f.Send(t, by(refresh(a.JSON["refresh_token"]))).Refused(t, 400, tokenep.InvalidDPoPProof)
				if client == "sdk" {
					f.Send(t, by(refresh(a.JSON["refresh_token"])).Proving(other, nil)).Refused(t, 400, tokenep.InvalidGrant)
				}
				_, next := f.Granted(t, by(refresh(a.JSON["refresh_token"])).Proving(p, nil))
				if bound(first) != p.Thumbprint() || bound(next) != p.Thumbprint() {
					t.Errorf("bound to %v, and then to %v", bound(first), bound(next))
				}
			})
		}
	}
}

// RFC 8693 §2.1, §2.2.1: the refresh token in the place of the access token, for who asks for it.
func TestRequestedRefreshToken(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, staying(t, github))
	asks := []string{"requested_token_type", tokenep.IssuedRefreshToken}
	a := f.Send(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, asks...).By("billing"))
	if a.JSON["token_type"] != "N_A" || a.JSON["issued_token_type"] != tokenep.IssuedRefreshToken || a.JSON["refresh_token"] != nil ||
		!tokeneptest.EqualJSON(a.JSON["expires_in"], int(maxChain/time.Second)-1) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	f.Granted(t, refresh(a.JSON["access_token"]).By("billing"))
	text, _ := f.NewAPIToken(t, anyToken)
	f.Run(t, []rule{
		refuses("a client without the grant", tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, asks...).By("broker"), 400, tokenep.InvalidRequest),
		refuses("an own access token", swap(f.Issued(t, plain.By("billing")), asks...).By("billing"), 400, tokenep.InvalidRequest),
		refuses("an API token", redeem(text, asks...).By("billing"), 400, tokenep.InvalidRequest),
	})
	f = tokeneptest.New(t, trusts(github, deploy(t)))
	f.Send(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, asks...).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
}

// A policy that could not end its refresh tokens, or would give none, is refused at load.
func TestRefreshTokenPoliciesAreChecked(t *testing.T) {
	for name, change := range map[string]func(c *server.Config, p *subject.Policy){
		"no max_chain":        func(c *server.Config, _ *subject.Policy) { c.Exchange.MaxChain = 0 },
		"no client":           func(_ *server.Config, p *subject.Policy) { p.Clients = []string{subject.NoClient} },
		"for assertions only": func(_ *server.Config, p *subject.Policy) { p.Grants = []string{grant.JWTBearerType} },
	} {
		github := ci()
		c := tokeneptest.Config(tokeneptest.New(t).Store, time.Now)
		c.Exchange.MaxChain = maxChain
		p := deploy(t)
		p.RefreshToken = true
		change(&c, &p)
		trusts(github, p)(&c)
		if _, err := server.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
