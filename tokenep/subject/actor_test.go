package subject_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
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
	deep := object{"sub": "bot"}
	for range 10 {
		deep = object{"sub": "bot", "act": deep}
	}
	f.Run(t, []rule{
		refuses("the name of a client here", ask(verifytest.Claims{"act": object{"sub": "client:gateway"}}), 400, tokenep.InvalidRequest),
		refuses("nobody", ask(verifytest.Claims{"act": object{}}), 400, tokenep.InvalidRequest),
		refuses("too many", ask(verifytest.Claims{"act": deep}), 400, tokenep.InvalidRequest),
		refuses("their bob is not ours", ask(verifytest.Claims{"may_act": object{"sub": "bob"}}, "actor_token", ofBob, "actor_token_type", apiToken), 400, tokenep.InvalidRequest),
	})
}
