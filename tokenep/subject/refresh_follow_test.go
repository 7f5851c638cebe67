package subject_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// Revoking anything that a family came of ends it, with its access tokens.
func TestAncestorsEndExchangedFamilies(t *testing.T) {
	for name, revoke := range map[string]func(f *tokeneptest.Server, family, actor string) error{
		"the policy": func(f *tokeneptest.Server, _, _ string) error { return f.RevokeGrant(t.Context(), "policy:deploy") },
		"the person": func(f *tokeneptest.Server, _, _ string) error {
			return f.RevokeSubject(t.Context(), "github:acme/shop")
		},
		"the person's access":    func(f *tokeneptest.Server, _, _ string) error { return f.RevokeUser(t.Context(), "github:acme/shop") },
		"the client":             func(f *tokeneptest.Server, _, _ string) error { return f.RevokeClient(t.Context(), "billing") },
		"the family":             func(f *tokeneptest.Server, family, _ string) error { return f.RevokeGrant(t.Context(), family) },
		"the actor's API token":  func(f *tokeneptest.Server, _, actor string) error { return f.APITokens.Revoke(t.Context(), actor, "") },
		"the actor":              func(f *tokeneptest.Server, _, _ string) error { return f.RevokeSubject(t.Context(), "bob") },
		"the access of an actor": func(f *tokeneptest.Server, _, _ string) error { return f.DisableUser(t.Context(), "bob") },
	} {
		t.Run(name, func(t *testing.T) {
			github := ci()
			f := tokeneptest.New(t, staying(t, github))
			text, made := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
			a, _ := f.Granted(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, "actor_token", text, "actor_token_type", apiToken).By("billing"))
			f.Clock.Advance(time.Minute)
			again, token := f.Granted(t, refresh(a.JSON["refresh_token"]).By("billing"))
			if !tokeneptest.EqualJSON(token.Claims["act"], map[string]any{"sub": "bob", "client_id": "api_token:" + made.ID}) {
				t.Errorf("act is %v", token.Claims["act"])
			}
			family := token.Ancestors[len(token.Ancestors)-1].GrantID
			f.Clock.Advance(time.Minute)
			if err := revoke(f, family, made.ID); err != nil {
				t.Fatal(err)
			}
			for _, token := range []string{a.AccessToken(), again.AccessToken()} {
				if _, err := f.Verify(t, token); err == nil {
					t.Error("an access token is still good")
				}
			}
			f.Clock.Advance(time.Hour)
			f.Run(t, []rule{refuses("refresh", refresh(a.JSON["refresh_token"]).By("billing"), 400, tokenep.InvalidGrant)})
			if a := f.Send(t, post("token", a.JSON["refresh_token"].(string)).At("/oauth/introspect").By("billing")); a.JSON["active"] != false {
				t.Errorf("introspection: %s", a.Body)
			}
		})
	}
}

// Refresh tokens with an actor last no longer than the actor (RFC 8693 §1.1): its own token, or its
// policy, which must give refresh tokens too and is asked again, as are those of the client.
func TestRefreshTokensFollowTheActor(t *testing.T) {
	github, bots := ci(), verifytest.New("https://bots.example", tokeneptest.Issuer)
	bot := subject.Policy{Name: "bot", Subject: value(t, `"bot:" + claims.sub`), Audience: []string{tokeneptest.Orders}, TTL: 5 * time.Minute}
	asBot := func(may any, pairs ...string) request {
		pairs = append(pairs, "actor_token", bots.Sign(verifytest.Claims{"sub": "x", "client_id": nil}), "actor_token_type", grant.JWTType)
		return tokeneptest.Exchange(github.Sign(job(verifytest.Claims{"may_act": may})), grant.JWTType, pairs...).By("billing")
	}
	f := tokeneptest.New(t, staying(t, github), trusts(bots, bot))
	if a, _ := f.Granted(t, asBot(nil)); a.JSON["refresh_token"] != nil {
		t.Error("a refresh token is given with an actor whose policy gives none")
	}
	f.Send(t, asBot(nil, "requested_token_type", tokenep.IssuedRefreshToken)).Refused(t, 400, tokenep.InvalidRequest)
	ofBot := f.Mint(t, tokenep.Claims{Subject: "bot:x", GrantID: "policy:bot", ClientID: "billing"})
	if a, _ := f.Granted(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, "actor_token", ofBot, "actor_token_type", accessToken).By("billing")); a.JSON["refresh_token"] != nil {
		t.Error("a refresh token is given with what the actor's policy gave")
	}

	type config = server.Config
	billing := func(change func(*tokenep.Client)) func(*config, *subject.Policy) {
		return func(c *config, _ *subject.Policy) { tokeneptest.Alter("billing", change)(c) }
	}
	mayAct := map[string]any{"sub": "bot:x", "iss": tokeneptest.Issuer}
	for name, row := range map[string]struct {
		change         func(*config, *subject.Policy)
		good, byMayAct bool
	}{
		"as it was":         {good: true},
		"no refresh tokens": {change: func(_ *config, p *subject.Policy) { p.RefreshToken = false }},
		"for nobody":        {change: func(_ *config, p *subject.Policy) { p.DryRun = true }},
		"other clients":     {change: func(_ *config, p *subject.Policy) { p.Clients = []string{"broker"} }},
		"gone":              {change: func(_ *config, p *subject.Policy) { p.Name = "other" }},
		"another audience":  {change: func(_ *config, p *subject.Policy) { p.Audience = []string{tokeneptest.Invoices} }, good: true},
		"no actor_from":     {change: billing(func(c *tokenep.Client) { c.ActorFrom = nil })},
		"no may_act_for":    {change: billing(func(c *tokenep.Client) { c.MayActFor = nil })},
		"actor_from names the actor's issuer": {good: true, change: billing(func(c *tokenep.Client) {
			c.ActorFrom, c.MayActFor = []string{"iss=https://bots.example"}, []string{"iss=" + githubIssuer + " sub=github:acme/shop"}
		})},
		"actor_from names the actor, as if it were ours":       {change: billing(func(c *tokenep.Client) { c.ActorFrom = []string{"sub=bot:x"} })},
		"may_act_for names the subject, as if it were ours":    {change: billing(func(c *tokenep.Client) { c.MayActFor = []string{"sub=github:acme/shop"} })},
		"no may_act_for, and the subject had a may_act":        {good: true, byMayAct: true, change: billing(func(c *tokenep.Client) { c.MayActFor = nil })},
		"no actor_from, although the subject had a may_act":    {byMayAct: true, change: billing(func(c *tokenep.Client) { c.ActorFrom = nil })},
		"without the grant token_exchange, or the actor's own": {change: billing(func(c *tokenep.Client) { c.GrantTypes = []string{tokenep.RefreshTokenType} })},
	} {
		t.Run(name, func(t *testing.T) {
			lasting := bot
			lasting.RefreshToken = true
			f := tokeneptest.New(t, staying(t, github), trusts(bots, lasting))
			ask := asBot(nil)
			if row.byMayAct {
				ask = asBot(mayAct)
			}
			a, _ := f.Granted(t, ask)
			c := f.Config
			c.Subjects = c.Subjects[:1]
			if row.change != nil {
				row.change(&c, &lasting)
			}
			trusts(bots, lasting)(&c)
			f.Clock.Advance(2 * time.Hour)
			f = f.Next(t, c)
			if !row.good {
				f.Send(t, refresh(a.JSON["refresh_token"]).By("billing")).Refused(t, 400, tokenep.InvalidGrant)
				return
			}
			_, token := f.Granted(t, refresh(a.JSON["refresh_token"]).By("billing"))
			if life := token.Expires.Sub(token.IssuedAt); life != bot.TTL || token.Claims["act"] == nil {
				t.Errorf("good for %s, want the ttl of the actor's policy; act is %v", life, token.Claims["act"])
			}
		})
	}

	// An actor of this server: its token, or API token, bounds the family.
	f = tokeneptest.New(t, staying(t, github))
	end := f.Clock.Now().Add(time.Hour).Truncate(time.Second)
	api, _ := f.NewAPIToken(t, state.APIToken{Owner: "bob", Expires: end})
	own := f.Mint(t, tokenep.Claims{Subject: "bob", ClientID: "billing", Expires: end})
	for kind, actor := range map[string]string{apiToken: api, accessToken: own} {
		r := tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, "actor_token", actor, "actor_token_type", kind,
			"requested_token_type", tokenep.IssuedRefreshToken).By("billing")
		if a := f.Send(t, r); !tokeneptest.EqualJSON(a.JSON["expires_in"], int(end.Sub(f.Clock.Now())/time.Second)) {
			t.Errorf("%s: %s, want a refresh token that ends with the actor token", kind, a.Body)
		}
	}
}

// Where people get refresh tokens too, those of a policy that gives none any more end nevertheless.
func TestRefreshTokensOfNoPolicyAnyMore(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, tokeneptest.WithPeople, staying(t, github))
	a, _ := f.Granted(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType).By("billing"))
	c := f.Config
	c.Subjects = nil
	trusts(github, deploy(t))(&c)
	f.Next(t, c).Send(t, refresh(a.JSON["refresh_token"]).By("billing")).Refused(t, 400, tokenep.InvalidGrant)
}

// What the policy says now is the most that a refresh token gives.
func TestRefreshTokensFollowThePolicy(t *testing.T) {
	for name, change := range map[string]func(p *subject.Policy){
		"as it was": nil, "narrower": func(p *subject.Policy) { p.Scope, p.TTL = verify.Scope{"orders:read"}, time.Minute },
		"no refresh tokens": func(p *subject.Policy) { p.RefreshToken = false }, "for nobody": func(p *subject.Policy) { p.DryRun = true },
		"for other clients": func(p *subject.Policy) { p.Clients = []string{"broker"} }, "gone": func(p *subject.Policy) { p.Name = "other" },
		"no exchange by the client": func(*subject.Policy) {},
		"for another service":       func(p *subject.Policy) { p.Audience = []string{tokeneptest.Invoices} },
	} {
		t.Run(name, func(t *testing.T) {
			github := ci()
			f := tokeneptest.New(t, staying(t, github))
			a, _ := f.Granted(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType).By("billing"))
			c := f.Config
			if c.Subjects = nil; change == nil {
				change = func(*subject.Policy) {}
			}
			p := deploy(t)
			p.RefreshToken = true
			change(&p)
			trusts(github, p)(&c)
			if name == "no exchange by the client" {
				tokeneptest.Alter("billing", func(c *tokenep.Client) { c.GrantTypes = []string{tokenep.RefreshTokenType} })(&c)
			}
			f = f.Next(t, c)
			ask := refresh(a.JSON["refresh_token"]).By("billing")
			switch name {
			case "as it was", "narrower":
			case "no refresh tokens": // of nothing else either
				f.Send(t, ask).Refused(t, 400, tokenep.UnsupportedGrantType)
				return
			default:
				f.Send(t, ask).Refused(t, 400, tokenep.InvalidGrant)
				return
			}
			_, token := f.Granted(t, ask)
			if token.Scope.String() != p.Scope.String() || token.Expires.Sub(token.IssuedAt) != p.TTL {
				t.Errorf("scope %s, good for %s", token.Scope, token.Expires.Sub(token.IssuedAt))
			}
		})
	}
}
