package subject_test

import (
	"context"
	"slices"
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

// agents lets the client billing bring actor tokens of others, for everybody.
func agents(c *server.Config) {
	for i := range c.Clients {
		if c.Clients[i].ID == "billing" {
			c.Clients[i].ActorFrom, c.Clients[i].MayActFor = []string{"*"}, []string{"*"}
		}
	}
}

// Who has no access gets none by an actor that has, and does not act for others (RFC 8693 §1.1).
func TestActorsNeedAccess(t *testing.T) {
	github, people := ci(), tokeneptest.NewPeople("ada", "bob")
	f := tokeneptest.New(t, people.SignIn, trusts(github, deploy(t)), agents)
	ofAda, _ := f.NewAPIToken(t, state.APIToken{Owner: "ada"})
	ofBob, _ := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
	asJob := []string{"actor_token", github.Sign(job(nil)), "actor_token_type", grant.JWTType}
	f.Granted(t, redeem(ofAda, asJob...).By("billing"))
	people.Remove("ada")
	f.Clock.Advance(tokenep.DefaultRecheck)
	asJob[1] = github.Sign(job(nil))
	// Her refusal ends what she has.
	f.Send(t, redeem(ofAda).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
	f.Run(t, []rule{
		refuses("gone, with an actor for whom a policy vouches", redeem(ofAda, asJob...).By("billing"), 400, tokenep.InvalidRequest),
		refuses("gone, as the actor", redeem(ofBob, "actor_token", ofAda, "actor_token_type", apiToken).By("billing"), 400, tokenep.InvalidRequest),
		grants("there", redeem(ofBob, asJob...).By("billing")),
	})
	if err := f.DisableUser(t.Context(), "github:acme/shop"); err != nil {
		t.Fatal(err)
	}
	f.Run(t, []rule{refuses("an actor who is disabled", redeem(ofBob, asJob...).By("billing"), 400, tokenep.InvalidRequest)})
}

// Who acts, or has acted, is asked for whenever a token says so: also where the actor token itself
// is not brought again, as in renewals and exchanges of what came of it (RFC 8693 §4.1).
func TestActorsWithinNeedAccess(t *testing.T) {
	type answer = tokeneptest.Answer
	renew := func(a answer) request { return swap(a.AccessToken()).At(tokeneptest.IcebergPath).By("billing") }
	again := func(a answer) request { return refresh(a.JSON["refresh_token"]).By("billing") }
	for name, row := range map[string]struct {
		first func(f *tokeneptest.Server, ofAda string, byBob, asJob []string) answer
		next  func(answer) request
		want  tokenep.Code // the error, once bob is gone
	}{
		"renewed": {func(f *tokeneptest.Server, ofAda string, byBob, _ []string) answer {
			return f.Send(t, redeem(ofAda, byBob...).By("billing"))
		}, renew, tokenep.InvalidRequest},
		"behind a job": {func(f *tokeneptest.Server, ofAda string, byBob, asJob []string) answer {
			a := f.Send(t, redeem(ofAda, byBob...).By("billing"))
			return f.Send(t, swap(a.AccessToken(), asJob...).By("billing"))
		}, renew, tokenep.InvalidRequest},
		"named by another issuer": {func(f *tokeneptest.Server, _ string, _, asJob []string) answer {
			return f.Send(t, tokeneptest.Exchange(asJob[1], grant.JWTType).By("billing"))
		}, again, ""},
		"ours, named by another issuer": {func(f *tokeneptest.Server, _ string, _, asJob []string) answer {
			return f.Send(t, tokeneptest.Exchange(asJob[1], grant.JWTType).By("billing"))
		}, again, tokenep.InvalidGrant},
		"refreshed": {func(f *tokeneptest.Server, _ string, byBob, asJob []string) answer {
			return f.Send(t, tokeneptest.Exchange(asJob[1], grant.JWTType, byBob...).By("billing"))
		}, again, tokenep.InvalidGrant},
		"a policy vouches for the actor": {func(f *tokeneptest.Server, ofAda string, _, asJob []string) answer {
			return f.Send(t, redeem(ofAda, asJob...).By("billing"))
		}, renew, ""},
	} {
		t.Run(name, func(t *testing.T) {
			github, people := ci(), tokeneptest.NewPeople("ada", "bob")
			f := tokeneptest.New(t, people.SignIn, staying(t, github), tokeneptest.Renewing)
			ofAda, _ := f.NewAPIToken(t, state.APIToken{Owner: "ada"})
			ofBob, _ := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
			claims := verifytest.Claims{}
			switch name {
			case "named by another issuer":
				claims["act"] = map[string]any{"sub": "bob"}
			case "ours, named by another issuer":
				claims["act"] = map[string]any{"sub": "bob", "iss": tokeneptest.Issuer}
			}
			a := row.first(f, ofAda, []string{"actor_token", ofBob, "actor_token_type", apiToken},
				[]string{"actor_token", github.Sign(job(claims)), "actor_token_type", grant.JWTType})
			f.Granted(t, row.next(a))
			people.Remove("bob")
			f.Clock.Advance(tokenep.DefaultRecheck + time.Second)
			if row.want == "" {
				f.Granted(t, row.next(a))
				return
			}
			f.Send(t, row.next(a)).Refused(t, 400, row.want)
		})
	}
}

// The actors in a token of somebody else are those of its issuer, and are never taken for ours.
func TestActorsOfOthersKeepTheirIssuer(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, trusts(github, deploy(t)), agents)
	ask := func(claims verifytest.Claims, pairs ...string) request {
		return tokeneptest.Exchange(github.Sign(job(claims)), grant.JWTType, pairs...).By("billing")
	}
	type object = map[string]any
	_, token := f.Granted(t, ask(verifytest.Claims{"act": object{"sub": "bot", "act": object{"sub": "person"}}}))
	want := object{"sub": "bot", "iss": githubIssuer, "act": object{"sub": "person", "iss": githubIssuer}}
	if !tokeneptest.EqualJSON(token.Claims["act"], want) {
		t.Errorf("act is %v, want %v", token.Claims["act"], want)
	}
	ofBob, _ := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
	bot := github.Sign(job(verifytest.Claims{"sub": "bot"}))
	ours := f.Mint(t, tokenep.Claims{MayAct: object{"sub": "bot"}})
	deep := object{"sub": "bot"}
	for range 10 {
		deep = object{"sub": "bot", "act": deep}
	}
	f.Run(t, []rule{
		refuses("the name of a client here", ask(verifytest.Claims{"act": object{"sub": "client:gateway"}}), 400, tokenep.InvalidRequest),
		refuses("nobody", ask(verifytest.Claims{"act": object{}}), 400, tokenep.InvalidRequest),
		refuses("too many", ask(verifytest.Claims{"act": deep}), 400, tokenep.InvalidRequest),
		grants("4.4: their bot, whom their may_act names", ask(verifytest.Claims{"may_act": object{"sub": "bot"}}, "actor_token", bot, "actor_token_type", grant.JWTType)),
		refuses("4.4: another one of theirs", ask(verifytest.Claims{"may_act": object{"sub": "other"}}, "actor_token", bot, "actor_token_type", grant.JWTType), 400, tokenep.InvalidRequest),
		refuses("4.4: their bot, and a member that it lacks", ask(verifytest.Claims{"may_act": object{"sub": "bot", "client_id": "x"}}, "actor_token", bot, "actor_token_type", grant.JWTType), 400, tokenep.InvalidRequest),
		refuses("4.4: our bot is not theirs", swap(ours, "actor_token", bot, "actor_token_type", grant.JWTType).By("billing"), 400, tokenep.InvalidRequest),
		refuses("their bob is not ours", ask(verifytest.Claims{"may_act": object{"sub": "bob"}}, "actor_token", ofBob, "actor_token_type", apiToken), 400, tokenep.InvalidRequest),
	})
}

// A token that is good once is spent by nothing but an exchange that goes through, whatever else
// the request brings (RFC 8693 §2.2.2).
func TestUsedActorSpendsNoSubject(t *testing.T) {
	github := ci()
	once := deploy(t)
	once.Once = true
	f := tokeneptest.New(t, trusts(github, once), agents)
	ask := func(subject, actor string) request {
		return tokeneptest.Exchange(subject, grant.JWTType, "actor_token", actor, "actor_token_type", grant.JWTType).By("billing")
	}
	fresh, used := github.Sign(job(nil)), github.Sign(job(nil))
	f.Granted(t, tokeneptest.Exchange(used, grant.JWTType).By("billing"))
	f.Run(t, []rule{
		refuses("beside an actor that was used", ask(fresh, used), 400, tokenep.InvalidRequest),
		grants("still good", ask(fresh, github.Sign(job(nil)))),
		refuses("used by that", ask(fresh, github.Sign(job(nil))), 400, tokenep.InvalidRequest),
	})
}

// RFC 8693 §2.1: one token may be both, and is used once then.
func TestOneTokenAsSubjectAndActor(t *testing.T) {
	github := ci()
	once := deploy(t)
	once.Once = true
	f := tokeneptest.New(t, trusts(github, once), agents)
	token := github.Sign(job(nil))
	both := tokeneptest.Exchange(token, grant.JWTType, "actor_token", token, "actor_token_type", subject.IDTokenType).By("billing")
	text, _ := f.NewAPIToken(t, state.APIToken{Owner: "ada", Quota: verify.Rate{N: 1, Per: time.Hour}})
	f.Run(t, []rule{
		grants("a token that is good once", both),
		refuses("for the second time", both, 400, tokenep.InvalidRequest),
		grants("an API token that is good once", redeem(text, "actor_token", text, "actor_token_type", apiToken).By("billing")),
	})
}

// Nobody else is shown the JWTs of a configured issuer, or what looks like a credential of this
// server; and a policy of theirs opens nothing of ours.
func TestOpaqueSourcesAreAskedAboutTheirTokensAlone(t *testing.T) {
	github := ci()
	var asked []string
	f := tokeneptest.New(t, func(c *server.Config) {
		tried := subject.Policy{Name: "tried", Subject: value(t, "claims.user"), Clients: []string{subject.NoClient}, DryRun: true}
		open := tried
		open.Name, open.DryRun = "open", false
		prove := func(_ context.Context, _ *tokenep.Request, token string) (*verify.Token, error) {
			asked = append(asked, token)
			return nil, subject.ErrBadToken
		}
		c.Exchange.Anonymous = false
		types := []string{accessToken, grant.JWTType, apiToken}
		c.Subjects = []*subject.Source{{Name: "other", Types: types, Prove: prove, Policies: []subject.Policy{tried, open}}}
	}, trusts(github, deploy(t)))
	text, _ := f.NewAPIToken(t, anyToken)
	f.Run(t, []rule{
		grants("a JWT of an issuer", tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType).By("billing")),
		refuses("one that is no good", tokeneptest.Exchange(github.Sign(job(verifytest.Claims{"aud": "x"})), grant.JWTType).By("billing"), 400, tokenep.InvalidRequest),
		refuses("an API token as another type", swap(text).By("billing"), 400, tokenep.InvalidRequest),
		refuses("an API token without a client", redeem(text), 401, tokenep.InvalidClient),
	})
	if len(asked) > 0 {
		t.Errorf("the other one was shown %q", asked)
	}
}

// RFC 8693 §4.4: a policy says in may_act who may act for the subject of what it gives: the actor
// that it names, in every member, and nobody else, whatever their own policy is.
func TestPolicyGivesMayAct(t *testing.T) {
	github := ci()
	p := deploy(t)
	p.Grants = []string{exchange, grant.JWTBearerType}
	p.MayAct = []subject.Claim{{Name: "client_id", Value: value(t, `"gateway"`)}, {Name: "sub", Value: value(t, `"client:" + claims.agent`)}}
	f := tokeneptest.New(t, trusts(github, p), tokeneptest.Alter("billing", func(c *tokenep.Client) {
		c.MayAct, c.GrantTypes = []string{"client_id=broker"}, append(c.GrantTypes, grant.JWTBearerType)
	}))
	given := func(agent any) request {
		return tokeneptest.Exchange(github.Sign(job(verifytest.Claims{"agent": agent})), grant.JWTType).By("billing")
	}
	for name, ask := range map[string]request{
		"exchange":  given("gateway"),
		"assertion": post("grant_type", grant.JWTBearerType, "assertion", github.Sign(job(verifytest.Claims{"agent": "gateway"}))).By("billing"),
	} {
		a, token := f.Granted(t, ask)
		want := map[string]any{"client_id": "gateway", "sub": "client:gateway"}
		if !tokeneptest.EqualJSON(token.Claims["may_act"], want) {
			t.Fatalf("%s: may_act is %v, want %v, and not that of the client", name, token.Claims["may_act"], want)
		}
		_, acted := f.Granted(t, swap(a.AccessToken()).By("gateway"))
		if !tokeneptest.EqualJSON(acted.Claims["act"], want) || acted.Claims["may_act"] != nil || acted.Subject != "github:acme/shop" {
			t.Errorf("%s: act is %v, may_act %v", name, acted.Claims["act"], acted.Claims["may_act"])
		}
		f.Run(t, []rule{
			refuses("another client", swap(a.AccessToken()).By("broker"), 400, tokenep.InvalidRequest),
			refuses("who may act for all", swap(a.AccessToken()).By("billing"), 400, tokenep.InvalidRequest),
		})
	}
	half := f.Issued(t, given("other"))
	f.Run(t, []rule{
		refuses("one member is another's", swap(half).By("gateway"), 400, tokenep.InvalidRequest),
		refuses("a member that cannot be made", given(nil), 400, tokenep.InvalidRequest),
		refuses("a member that is no text", given(7), 400, tokenep.InvalidRequest),
		refuses("a member that no name can be", given("a\x00"), 400, tokenep.InvalidRequest),
	})
	for name, members := range map[string][]string{"no member of ours": {"email"}, "twice": {"sub", "sub"}, "of an actor's own": {"act"}} {
		p.MayAct = nil
		for _, member := range members {
			p.MayAct = append(p.MayAct, subject.Claim{Name: member, Value: value(t, `"x"`)})
		}
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// RFC 8693 §4.1: a name means something beside its issuer alone. may_act_for and actor_from say
// which one they mean, and nobody passes by a text that somebody else is called by.
func TestWhoIsNamed(t *testing.T) {
	github := ci()
	people := deploy(t)
	people.When, people.Subject = nil, value(t, "claims.repository")
	asked := people
	asked.Name, asked.Subject = "asked", value(t, "claims.user")
	source := func(name, iss string) *subject.Source {
		return &subject.Source{Name: name, Types: []string{"urn:example:" + name}, Policies: []subject.Policy{asked},
			Prove: func(context.Context, *tokenep.Request, string) (*verify.Token, error) {
				return &verify.Token{Issuer: iss, Claims: map[string]any{"user": "alice"}}, nil
			}}
	}
	for entry, granted := range map[string][]string{
		"*":         {"ours", "theirs", "their bob", "asked", "echo", "job"},
		"sub=alice": {"ours"}, "client_id=alice": nil, "client_id=gateway": {"ours"}, "iss=" + tokeneptest.Issuer: {"ours"},
		"iss=" + githubIssuer: {"theirs", "their bob", "job"}, "iss=" + githubIssuer + " sub=alice": {"theirs"}, "iss=asked": {"asked"},
		"sub=gateway": nil, "iss=" + githubIssuer + " sub=client_id=gateway": nil, "client_id=policy:deploy": nil, "iss=alice": nil,
	} {
		f := tokeneptest.New(t, trusts(github, people), func(c *server.Config) {
			second := source("echo", tokeneptest.Issuer)
			second.Policies = []subject.Policy{{Name: "echo", Subject: asked.Subject, Audience: asked.Audience}}
			c.Subjects = append(c.Subjects, source("asked", ""), second)
			for i := range c.Clients {
				if c.Clients[i].ID == "gateway" {
					c.Clients[i].ExchangeFrom, c.Clients[i].ActorFrom = []string{"*"}, []string{"*"}
					c.Clients[i].MayActFor = []string{entry}
				}
				if c.Clients[i].ID == "billing" {
					c.Clients[i].MayActFor, c.Clients[i].ActorFrom = []string{"*"}, []string{entry}
				}
			}
		})
		actor := []string{"actor_token", f.Issued(t, plain.By("gateway")), "actor_token_type", accessToken}
		signed := func(name string) string { return github.Sign(job(verifytest.Claims{"repository": name})) }
		tokens := map[string][2]string{
			"ours": {f.Mint(t, tokenep.Claims{ClientID: "gateway"}), accessToken}, "theirs": {signed("alice"), grant.JWTType},
			"their bob": {signed("bob"), grant.JWTType}, "job": {signed("gateway"), grant.JWTType},
			"asked": {"x", "urn:example:asked"}, "echo": {"x", "urn:example:echo"},
		}
		for name, token := range tokens {
			asSubject := f.Send(t, tokeneptest.Exchange(token[0], token[1], actor...).By("gateway"))
			asActor := f.Send(t, swap(f.Issued(t, plain.By("billing")), "actor_token", token[0], "actor_token_type", token[1]).By("billing"))
			want := 400
			if slices.Contains(granted, name) {
				want = 200
			}
			if asSubject.Status != want || asActor.Status != want {
				t.Errorf("%s, %s: %d as subject, %d as actor, want %d: %s %s", entry, name, asSubject.Status, asActor.Status, want, asSubject.Body, asActor.Body)
			}
		}
	}
	for _, wrong := range []string{"alice", "https://idp.example", "", "sub=", "iss=", "client_id=", "iss= sub=a", "iss=a sub=", "iss=a b", "email=a", "**"} {
		c := tokenep.Client{ID: "x", AuthMethod: tokenep.AuthNone, MayActFor: []string{wrong}}
		d := tokenep.Client{ID: "x", AuthMethod: tokenep.AuthNone, ActorFrom: []string{wrong}}
		if c.Validate() == nil || d.Validate() == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
