package grant_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// delegating returns clients of the exchange grant that may exchange the tokens of all, and differ
// in what they may do with actors:
//
//	plain    has no policy
//	forme    may act for alice
//	forours  may act for subjects of this issuer
//	forzoe   may act for zoe, who is no subject here
//	helped   may bring tokens of the client plain as actors, and act for all
func delegating() []tokenep.Client {
	var all []tokenep.Client
	for id, policy := range map[string]tokenep.Client{
		"plain": {}, "forme": {MayActFor: []string{"sub=alice"}}, "forours": {MayActFor: []string{"iss=" + issuer}},
		"forzoe": {MayActFor: []string{"sub=zoe"}}, "helped": {MayActFor: []string{"*"}, ActorFrom: []string{"client_id=plain"}},
	} {
		c := tokeneptest.NewClient(id, exchange)
		c.ExchangeFrom, c.Audience = []string{"*"}, []string{orders}
		c.MayActFor, c.ActorFrom = policy.MayActFor, policy.ActorFrom
		all = append(all, c)
	}
	return all
}

// The matrix of RFC 8693 §4.1 and §4.4: act × may_act × actor token × client. What an exchange
// comes to is decided by two questions: whose actor token it is, and whether that actor may act.
func TestDelegationMatrix(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithClients(delegating()...))
	absent := struct{}{}
	acts := map[string]any{
		"absent": absent, "object": object{"sub": "bob"}, "string": "bob", "list": []any{object{"sub": "bob"}}, "null": nil, "number": 7,
	}
	mayActs := map[string]any{
		"absent": absent, "matching": object{"sub": "agent"}, "other": object{"sub": "carol"}, "empty": object{},
		"half": object{"sub": "agent", "client_id": "nobody"}, "client": nil, // see below
		"string": "agent", "list": []any{object{"sub": "agent"}}, "null": nil, "number": 7,
	}
	for actName, act := range acts {
		for mayName, may := range mayActs {
			for _, actor := range []string{"none", "own", "other's"} {
				for _, client := range []string{"plain", "forme", "forours", "forzoe", "helped"} {
					extra := object{}
					if act != absent {
						extra["act"] = act
					}
					if mayName == "client" {
						may = object{"client_id": client, "iss": issuer}
					}
					if may != absent {
						extra["may_act"] = may
					}
					token := f.Mint(t, tokenep.Claims{Extra: extra})
					r := swap(token).By(client)
					switch actor {
					case "own":
						r = swap(token, "actor_token", f.Mint(t, tokenep.Claims{Subject: "agent", ClientID: client}), "actor_token_type", accessToken).By(client)
					case "other's":
						r = swap(token, "actor_token", f.Mint(t, tokenep.Claims{Subject: "agent", ClientID: "plain"}), "actor_token_type", accessToken).By(client)
					}
					name := "act " + actName + ", may_act " + mayName + ", actor " + actor + ", client " + client
					wellFormed := (actName == "absent" || actName == "object") && (may == absent || isObject(may))
					mine := actor != "other's" || client == "plain" || client == "helped"
					byPolicy := may == absent && client != "plain" && client != "forzoe"
					byClaim := mayName == "matching" && actor != "none" || mayName == "client" && (actor == "none" || actor == "own" || client == "plain")
					acting := actor != "none" || may != absent
					good := wellFormed && mine && (!acting || byPolicy && actor != "none" || byClaim)
					a := f.Send(t, r)
					if !good {
						if a.Status != 400 || a.JSON["error"] != "invalid_request" {
							t.Errorf("%s: %d %s, want it refused", name, a.Status, a.Body)
						}
						continue
					}
					if a.Status != 200 {
						t.Errorf("%s: %d %s, want a token", name, a.Status, a.Body)
						continue
					}
					got, err := f.Verify(t, a.AccessToken())
					if err != nil {
						t.Fatal(err)
					}
					if want := wantAct(act, actor, client, acting); !tokeneptest.EqualJSON(got.Claims["act"], want) {
						t.Errorf("%s: act is %v, want %v", name, got.Claims["act"], want)
					}
					if _, left := got.Claims["may_act"]; left || got.Subject != "alice" {
						t.Errorf("%s: sub %q, may_act is left: %v", name, got.Subject, left)
					}
				}
			}
		}
	}
}

func isObject(v any) bool { _, ok := v.(object); return ok }

// wantAct is the act of the new token: the new actor outside, and the earlier one within.
func wantAct(act any, actor, client string, acting bool) any {
	earlier, _ := act.(object)
	if !acting {
		if earlier == nil {
			return nil
		}
		return earlier
	}
	want := object{"sub": "agent", "client_id": client}
	switch actor {
	case "none":
		want["sub"] = "client:" + client
	case "other's":
		want["client_id"] = "plain"
	}
	if earlier != nil {
		want["act"] = earlier
	}
	return want
}

// RFC 8693 §4.4: whose actor token. One that a policy names may be of any kind, and needs no
// exchange_from, which is a permission of its own.
func TestActorTokens(t *testing.T) {
	narrow := tokeneptest.NewClient("narrow", exchange)
	narrow.Audience, narrow.ActorFrom, narrow.MayActFor = []string{orders}, []string{"client_id=reports", "iss=" + issuer}, []string{"*"}
	f := tokeneptest.New(t, tokeneptest.WithClients(narrow))
	mine := f.Mint(t, tokenep.Claims{ClientID: "narrow"})
	acts := func(actorToken, kind string) request {
		return swap(mine, "actor_token", actorToken, "actor_token_type", kind).By("narrow")
	}
	secret, made := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
	f.Run(t, []rule{
		grants("an access token of a client that actor_from names", acts(f.Mint(t, tokenep.Claims{ClientID: "reports"}), accessToken)),
		grants("an API token, by the issuer", acts(secret, apiToken)),
		refuses("of a client that may be an actor, as subject", swap(f.Mint(t, tokenep.Claims{ClientID: "reports"})).By("narrow"), 400, tokenep.InvalidRequest),
		refuses("one in which somebody acts already", acts(f.Mint(t, tokenep.Claims{ClientID: "reports", Act: object{"sub": "x"}}), accessToken), 400, tokenep.InvalidRequest),
		refuses("bound to a key, as actor", acts(f.Mint(t, tokenep.Claims{ClientID: "reports", Confirmation: object{"jkt": "x"}}), accessToken), 400, tokenep.InvalidRequest),
		refuses("bound to a key, as subject", swap(f.Mint(t, tokenep.Claims{ClientID: "narrow", Confirmation: object{"jkt": "x"}})).By("narrow"), 400, tokenep.InvalidRequest),
		refuses("an API token as actor, and no client", redeem(secret, "actor_token", secret, "actor_token_type", apiToken), 400, tokenep.InvalidRequest),
	})
	_, token := f.Granted(t, acts(secret, apiToken))
	if want := (object{"sub": "bob", "client_id": "api_token:" + made.ID}); !tokeneptest.EqualJSON(token.Claims["act"], want) {
		t.Errorf("act is %v, want %v", token.Claims["act"], want)
	}
}

// A client's may_act is in all that it is issued, but never in the place of a token's own.
func TestMayActIsIssued(t *testing.T) {
	billing := func(c *tokenep.Client) { c.MayAct = []string{"client_id=gateway", "sub=client:gateway"} }
	want := object{"client_id": "gateway", "sub": "client:gateway"}
	f := tokeneptest.New(t, tokeneptest.Alter("billing", billing))
	_, token := f.Granted(t, plain.By("billing"))
	if got := token.Claims["may_act"]; !tokeneptest.EqualJSON(got, want) {
		t.Errorf("may_act is %v, want %v", got, want)
	}
	a, token := f.Granted(t, swap(f.Mint(t, tokenep.Claims{})).By("billing"))
	if got := token.Claims["may_act"]; !tokeneptest.EqualJSON(got, want) {
		t.Errorf("after an exchange may_act is %v, want %v", got, want)
	}
	_, token = f.Granted(t, swap(a.AccessToken()).By("gateway"))
	if got := token.Claims["act"]; !tokeneptest.EqualJSON(got, want) || token.Claims["may_act"] != nil {
		t.Errorf("act is %v, want %v; may_act is %v", got, want, token.Claims["may_act"])
	}
	f.Run(t, []rule{
		refuses("4.4: whom the policy does not name", swap(a.AccessToken()).By("broker"), 400, tokenep.InvalidRequest),
		refuses("4.4: not even who may act for all", swap(a.AccessToken()).By("billing"), 400, tokenep.InvalidRequest),
	})
	for _, wrong := range [][]string{{"email=x"}, {"sub"}, {"sub="}, {"=x"}, {"sub=a", "sub=b"}, {"sub=\x00"}} {
		if err := (&tokenep.Client{ID: "x", AuthMethod: tokenep.AuthNone, MayAct: wrong}).Validate(); err == nil {
			t.Errorf("may_act %q is accepted", wrong)
		}
	}
}

// RFC 8693 §1 and §2.1: a client that was called with a token exchanges it for the next service,
// where exchange_to says so, and only if it asks for it.
func TestExchangeToTheNextService(t *testing.T) {
	const ledger = "https://api.example/ledger"
	to := func(c *tokenep.Client) { c.ExchangeTo = []string{ledger} }
	f := tokeneptest.New(t, tokeneptest.Alter("gateway", to))
	called := f.Mint(t, tokenep.Claims{Audience: []string{"gateway"}, Scope: verify.Scope{"orders:read", "admin"}})
	both := f.Mint(t, tokenep.Claims{Audience: []string{"gateway", orders}, Scope: verify.Scope{"orders:read"}})
	text, _ := f.NewAPIToken(t, anyToken)
	for _, row := range []struct {
		name    string
		request request
		want    any
	}{
		{"the next service", swap(called, "audience", ledger).By("gateway"), ledger},
		{"as a resource", swap(called, "resource", "HTTPS://api.example:443/ledger").By("gateway"), ledger},
		{"the next service and one of its own", swap(both, "audience", ledger, "resource", orders).By("gateway"), []any{ledger, orders}},
		{"nothing is asked: never the next service", swap(both).By("gateway"), orders},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, token := f.Granted(t, row.request)
			if !tokeneptest.EqualJSON(token.Claims["aud"], row.want) || token.Scope.String() != "orders:read" {
				t.Errorf("aud %v, scope %q", token.Claims["aud"], token.Scope)
			}
		})
	}
	f.Run(t, []rule{
		refuses("2.2.2: nothing is asked, and nothing in common", swap(called).By("gateway"), 400, tokenep.InvalidTarget),
		refuses("2.2.2: another service", swap(called, "audience", invoices).By("gateway"), 400, tokenep.InvalidTarget),
		refuses("2.2.2: another beside it", swap(called, "audience", ledger, "resource", invoices).By("gateway"), 400, tokenep.InvalidTarget),
		refuses("2.2.2: a client without the policy", swap(called, "audience", ledger).By("broker"), 400, tokenep.InvalidTarget),
		refuses("2.2.2: an API token is for one service", redeem(text, "audience", ledger).By("gateway"), 400, tokenep.InvalidTarget),
		refuses("2.2.2: more scope than the token has", swap(both, "audience", ledger, "scope", "invoices").By("gateway"), 400, tokenep.InvalidScope),
		refuses("client credentials have no next service", post("grant_type", "client_credentials", "audience", ledger).By("gateway"), 400, tokenep.InvalidTarget),
	})
}
