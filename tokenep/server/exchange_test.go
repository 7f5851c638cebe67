package server_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

type object = map[string]any

// swap exchanges one of our access tokens, with more parameters behind it.
func swap(token string, pairs ...string) request {
	return post(append([]string{"grant_type", exchange, "subject_token", token, "subject_token_type", accessToken}, pairs...)...)
}

// redeem exchanges an API token, with no client beside it.
func redeem(token string, pairs ...string) request {
	return post(append([]string{"grant_type", exchange, "subject_token", token, "subject_token_type", apiToken}, pairs...)...)
}

// RFC 8693 §2.1 (the parameters) and §2.2.2 (the errors, invalid_request for a token that is not good).
func TestExchange(t *testing.T) {
	f := newFixture(t)
	mine := f.mint(t, tokenep.Claims{Scope: verify.Scope{"orders:read"}})
	text, _ := f.apiToken(t, state.APIToken{Scope: verify.Scope{"orders:read"}})
	foreign := "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUiLCJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ."
	f.hold(t, []rule{
		{"2.1: one of ours", swap(mine).by("billing"), 200, ""},
		{"2.1: one of ours, as a JWT", post("grant_type", exchange, "subject_token", mine, "subject_token_type", grant.JWTType).by("billing"), 200, ""},
		{"2.1: an access token is requested", swap(mine, "requested_token_type", accessToken).by("billing"), 200, ""},
		{"2.1: a JWT is requested", swap(mine, "requested_token_type", grant.JWTType).by("billing"), 200, ""},
		{"2.1: an API token", redeem(text), 200, ""},
		{"2.1: an API token, and a client", redeem(text).by("billing"), 200, ""},
		{"2.1: empty parameters are none", redeem(text, "actor_token", "", "actor_token_type", "", "requested_token_type", "", "scope", "", "resource", ""), 200, ""},
		{"beside a Bearer header", swap(mine, "client_id", "billing", "client_secret", "billing-secret").with("Authorization", "Bearer "+mine), 200, ""},
		{"an API token beside a Bearer header", redeem(text).with("Authorization", "Bearer x"), 200, ""},

		{"2.1: no subject_token", post("grant_type", exchange, "subject_token_type", accessToken).by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: an empty subject_token", swap("").by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: no subject_token_type", post("grant_type", exchange, "subject_token", mine).by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: neither, and no client", post("grant_type", exchange), 400, tokenep.InvalidRequest},
		{"2.1: actor_token_type without actor_token", swap(mine, "actor_token_type", accessToken).by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: actor_token without actor_token_type", swap(mine, "actor_token", mine).by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: an unknown requested_token_type", swap(mine, "requested_token_type", "x").by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: an ID token is requested", swap(mine, "requested_token_type", "urn:ietf:params:oauth:token-type:id_token").by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: a refresh token is requested", swap(mine, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token").by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: an unknown subject_token_type", post("grant_type", exchange, "subject_token", mine, "subject_token_type", "x").by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: the same, and no client", post("grant_type", exchange, "subject_token", mine, "subject_token_type", "x"), 400, tokenep.InvalidRequest},
		{"2.2.2: an unknown actor_token_type", swap(mine, "actor_token", mine, "actor_token_type", "x").by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: an access token that says it is an API token", post("grant_type", exchange, "subject_token", mine, "subject_token_type", apiToken), 400, tokenep.InvalidRequest},
		{"2.2.2: an API token that says it is an access token", swap(text).by("billing"), 400, tokenep.InvalidRequest},

		{"2.2.2: junk", swap("x").by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: a changed signature", swap(mine[:len(mine)-3] + "xxx").by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: alg none", swap(foreign).by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: expired", swap(f.mint(t, tokenep.Claims{Expires: start.Truncate(time.Second)})).by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: ten kilobytes", swap(strings.Repeat("x", 10<<10)).by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: an actor that is junk", swap(mine, "actor_token", "x", "actor_token_type", accessToken).by("billing"), 400, tokenep.InvalidRequest},
		{"2.2.2: an actor that has expired", swap(mine, "actor_token", f.mint(t, tokenep.Claims{Expires: start.Truncate(time.Second)}), "actor_token_type", accessToken).by("billing"), 400, tokenep.InvalidRequest},

		{"5: an access token, and no client", swap(mine), 401, tokenep.InvalidClient},
		{"5: the same under its other name", post("grant_type", exchange, "subject_token", mine, "subject_token_type", grant.JWTType), 401, tokenep.InvalidClient},
		{"5: an access token as actor, and no client", redeem(text, "actor_token", mine, "actor_token_type", accessToken), 400, tokenep.InvalidRequest},
		{"a wrong client is refused even where none is needed", redeem(text).basic("billing", "x"), 401, tokenep.InvalidClient},
		{"a public client", swap(mine, "client_id", "app"), 400, tokenep.UnauthorizedClient},
		{"a public client with an API token", redeem(text, "client_id", "app"), 400, tokenep.UnauthorizedClient},
		{"a client without the grant", swap(mine).by("reports"), 400, tokenep.UnauthorizedClient},

		{"its own", swap(mine).by("billing"), 200, ""},
		{"of a client that it may exchange from", swap(mine).by("gateway"), 200, ""},
		{"of anybody", swap(mine).by("broker"), 200, ""},
		{"issued for it", swap(f.mint(t, tokenep.Claims{Audience: []string{"stranger", orders}})).by("stranger"), 200, ""},
		{"neither issued to it nor for it", swap(mine).by("stranger"), 400, tokenep.InvalidRequest},
		{"of another client than it may exchange from", swap(f.mint(t, tokenep.Claims{ClientID: "reports"})).by("gateway"), 400, tokenep.InvalidRequest},
		{"an actor of another client", swap(mine, "actor_token", f.mint(t, tokenep.Claims{ClientID: "reports"}), "actor_token_type", accessToken).by("billing"), 400, tokenep.InvalidRequest},
	})
	f.Config.Memory.Revocations.Add(verify.Revocation{Claim: "sub", Value: "alice"})
	f.hold(t, []rule{{"2.2.2: revoked", swap(mine).by("billing"), 400, tokenep.InvalidRequest}})
}

// Without the setting, an API token alone is not enough.
func TestExchangeNotAnonymous(t *testing.T) {
	f := newFixture(t, func(c *server.Config) { c.Exchange.Anonymous = false })
	text, _ := f.apiToken(t, anyToken)
	f.hold(t, []rule{
		{"no client", redeem(text), 401, tokenep.InvalidClient},
		{"no client, with a Bearer header", redeem(text).with("Authorization", "Bearer x"), 401, tokenep.InvalidClient},
		{"a client", redeem(text).by("billing"), 200, ""},
	})
}

// RFC 8693 §2.2.2 and RFC 6749 §5.2: the new token reaches no further than the old one, nor than the client.
func TestExchangeNarrows(t *testing.T) {
	f := newFixture(t)
	wide := f.mint(t, tokenep.Claims{Scope: verify.Scope{"orders:read", "orders:write", "admin"}, Audience: []string{orders, invoices}})
	plain := f.mint(t, tokenep.Claims{Scope: verify.Scope{"orders:read"}})
	elsewhere := f.mint(t, tokenep.Claims{Audience: []string{"https://other.example"}})
	text, _ := f.apiToken(t, state.APIToken{Scope: verify.Scope{"orders:read", "admin"}})
	service, _ := f.apiToken(t, state.APIToken{Service: "https://other.example"})
	for _, token := range []string{text, service} {
		f.granted(t, redeem(token)) // when a token was last used is written once a minute, also for a request that is refused later on
	}
	f.hold(t, []rule{
		{"scope: more than the token has", swap(plain, "scope", "orders:write").by("billing"), 400, tokenep.InvalidScope},
		{"scope: more than the token has, in part", swap(plain, "scope", "orders:read orders:write").by("billing"), 400, tokenep.InvalidScope},
		{"scope: more than the client has", swap(wide, "scope", "admin").by("billing"), 400, tokenep.InvalidScope},
		{"scope: more than the exchanging client has", swap(wide, "scope", "orders:write").by("gateway"), 400, tokenep.InvalidScope},
		{"scope: more than the API token has", redeem(text, "scope", "orders:write"), 400, tokenep.InvalidScope},
		{"scope: malformed", redeem(text, "scope", `"`), 400, tokenep.InvalidScope},
		{"target: more than the token has", swap(plain, "audience", invoices).by("billing"), 400, tokenep.InvalidTarget},
		{"target: more than the token has, in part", swap(plain, "resource", orders, "audience", invoices).by("billing"), 400, tokenep.InvalidTarget},
		{"target: more than the client has", swap(wide, "audience", invoices).by("gateway"), 400, tokenep.InvalidTarget},
		{"target: not the client's comes before the token is looked at", swap("x", "audience", "y").by("billing"), 400, tokenep.InvalidTarget},
		{"target: none asked, and none in common", swap(elsewhere).by("billing"), 400, tokenep.InvalidTarget},
		{"target: none asked, and none in common with the API token's service", redeem(service).by("billing"), 400, tokenep.InvalidTarget},
		{"target: another service than the API token's", redeem(text, "audience", invoices), 400, tokenep.InvalidTarget},
		{"target: not absolute", redeem(text, "resource", "orders"), 400, tokenep.InvalidTarget},
	})
	for _, row := range []struct {
		name            string
		request         request
		scope, answered string
		audience        []string
	}{
		{"nothing asked: what token and client have in common", swap(wide).by("billing"), "orders:read orders:write", "orders:read orders:write", []string{orders, invoices}},
		{"nothing asked: less, when the client has less", swap(wide).by("gateway"), "orders:read", "orders:read", []string{orders}},
		{"less is asked", swap(wide, "scope", "orders:write", "resource", invoices).by("billing"), "orders:write", "orders:write", []string{invoices}},
		{"no scope in common", swap(f.mint(t, tokenep.Claims{Scope: verify.Scope{"admin"}})).by("billing"), "", "", []string{orders}},
		{"an API token: everything, and 2.2.1 leaves it implied", redeem(text), "orders:read admin", "", []string{orders}},
		{"an API token: less is asked, and said", redeem(text, "scope", "admin"), "admin", "admin", []string{orders}},
		{"an API token: its service is asked for", redeem(text, "audience", orders), "orders:read admin", "", []string{orders}},
		{"an API token and a client: what both have", redeem(text).by("billing"), "orders:read", "orders:read", []string{orders}},
		{"an API token without scope", redeem(first(f.apiToken(t, anyToken))), "", "", []string{orders}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, token := f.granted(t, row.request)
			answered, _ := a.json["scope"].(string)
			if token.Scope.String() != row.scope || answered != row.answered || !slices.Equal(token.Audience, row.audience) {
				t.Errorf("scope %q (the answer says %q), aud %q; want %q (%q), %q", token.Scope, answered, token.Audience, row.scope, row.answered, row.audience)
			}
			if a.json["issued_token_type"] != accessToken {
				t.Errorf("issued_token_type is %v", a.json["issued_token_type"])
			}
		})
	}
}

// The new token lives no longer than the subject's, the actor's, the API token, the client's setting and the server's.
func TestExchangeExpiry(t *testing.T) {
	f := newFixture(t)
	second := start.Truncate(time.Second)
	until := func(d time.Duration) string { return f.mint(t, tokenep.Claims{Expires: second.Add(d)}) }
	ofShort := f.mint(t, tokenep.Claims{ClientID: "short", Audience: []string{issuer}, Expires: second.Add(time.Hour)})
	soon, _ := f.apiToken(t, state.APIToken{Expires: second.Add(time.Minute)})
	late, _ := f.apiToken(t, anyToken)
	for _, row := range []struct {
		name    string
		request request
		want    time.Duration
	}{
		{"the subject's", swap(until(time.Hour)).by("billing"), time.Hour},
		{"the server's", swap(until(24 * time.Hour)).by("billing"), 4 * time.Hour},
		{"the client's", swap(ofShort).by("short"), 90 * time.Second},
		{"the actor's", swap(until(time.Hour), "actor_token", until(time.Minute), "actor_token_type", accessToken).by("billing"), time.Minute},
		{"the subject's, with an actor", swap(until(time.Minute), "actor_token", until(time.Hour), "actor_token_type", accessToken).by("billing"), time.Minute},
		{"an actor's API token", swap(until(time.Hour), "actor_token", soon, "actor_token_type", apiToken).by("billing"), time.Minute},
		{"the API token's", redeem(soon), time.Minute},
		{"the server's, for an API token", redeem(late), 4 * time.Hour},
		{"one second", swap(until(time.Second)).by("billing"), time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, token := f.granted(t, row.request); token.Expires.Sub(second) != row.want {
				t.Errorf("lives %s, want %s", token.Expires.Sub(second), row.want)
			}
		})
	}
}

// RFC 8693 §4.1 (act) and §4.4 (may_act).
func TestExchangeActor(t *testing.T) {
	f := newFixture(t)
	act := object{"sub": "bob", "act": object{"sub": "carol"}}
	client := object{"sub": "client:billing", "client_id": "billing"}
	agent := f.mint(t, tokenep.Claims{Subject: "agent"})
	subject := func(act, may object) string { return f.mint(t, tokenep.Claims{Act: act, MayAct: may}) }
	acts := func(token string) request {
		return swap(token, "actor_token", agent, "actor_token_type", accessToken).by("billing")
	}
	chain := func(n int) (act object) {
		for range n {
			next := object{"sub": "x"}
			if act != nil {
				next["act"] = act
			}
			act = next
		}
		return act
	}
	f.hold(t, []rule{
		{"4.4: the actor is another", acts(subject(nil, object{"sub": "bob"})), 400, tokenep.InvalidRequest},
		{"4.4: one member differs", acts(subject(nil, object{"sub": "agent", "client_id": "x"})), 400, tokenep.InvalidRequest},
		{"4.4: a member that the actor does not have", acts(subject(nil, object{"sub": "agent", "email": "a@b"})), 400, tokenep.InvalidRequest},
		{"4.4: a member of another type", acts(subject(nil, object{"sub": []any{"agent"}})), 400, tokenep.InvalidRequest},
		{"4.4: nobody may act", acts(subject(nil, object{})), 400, tokenep.InvalidRequest},
		{"4.4: nobody may act, not even the client", swap(subject(nil, object{})).by("billing"), 400, tokenep.InvalidRequest},
		{"4.4: no actor_token, and the client may not act", swap(subject(nil, object{"sub": "agent"})).by("billing"), 400, tokenep.InvalidRequest},
		{"4.4: a user who is called as the client", swap(subject(nil, object{"sub": "billing"})).by("billing"), 400, tokenep.InvalidRequest},
		{"4.1: too many have acted for each other", acts(subject(chain(8), nil)), 400, tokenep.InvalidRequest},
		{"a token that no verifier would take", acts(subject(object{"sub": strings.Repeat("x", 5800)}, nil)), 400, tokenep.InvalidRequest},
		{"4.1: the same by may_act", swap(subject(chain(8), client)).by("billing"), 400, tokenep.InvalidRequest},
	})
	for _, row := range []struct {
		name    string
		request request
		want    any
	}{
		{"1.1: nobody acts", swap(subject(nil, nil)).by("billing"), nil},
		{"1.1: an actor acts", acts(subject(nil, nil)), object{"sub": "agent", "client_id": "billing"}},
		{"4.1: act survives an exchange without actor", swap(subject(act, nil)).by("billing"), act},
		{"4.1: the new actor is the outer one", acts(subject(act, nil)), object{"sub": "agent", "client_id": "billing", "act": act}},
		{"a long token", acts(subject(object{"sub": strings.Repeat("x", 5400)}, nil)), object{"sub": "agent", "client_id": "billing", "act": object{"sub": strings.Repeat("x", 5400)}}},
		{"4.1: as many as may be", acts(subject(chain(7), nil)), object{"sub": "agent", "client_id": "billing", "act": chain(7)}},
		{"4.1: a long chain is copied as it is", swap(subject(chain(8), nil)).by("billing"), chain(8)},
		{"4.4: the actor may", acts(subject(nil, object{"sub": "agent"})), object{"sub": "agent", "client_id": "billing"}},
		{"4.4: the actor may, in all members", acts(subject(nil, object{"sub": "agent", "client_id": "billing"})), object{"sub": "agent", "client_id": "billing"}},
		{"4.4: the client may, and acts", swap(subject(nil, client)).by("billing"), client},
		{"4.4: the client may, and acts after others", swap(subject(act, object{"client_id": "billing"})).by("billing"), object{"sub": "client:billing", "client_id": "billing", "act": act}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, token := f.granted(t, row.request)
			if got := token.Claims["act"]; !equal(got, row.want) {
				t.Errorf("act is %v, want %v", got, row.want)
			}
			if token.Subject != "alice" || token.ClientID != "billing" || token.Claims["may_act"] != nil {
				t.Errorf("sub %q, client_id %q, may_act %v", token.Subject, token.ClientID, token.Claims["may_act"])
			}
		})
	}
}

// RFC 9068 §2.2: whom the token is about and who had it. No name of a user is a client's (§5).
func TestExchangeClaims(t *testing.T) {
	f := newFixture(t)
	text, made := f.apiToken(t, anyToken)
	for _, name := range []string{`a"b`, `a\b`, "<a&b>", "Zoë", `","sub":"admin`} {
		other, _ := f.apiToken(t, state.APIToken{Owner: name, Service: "urn:" + name})
		if _, token := f.granted(t, redeem(other)); token.Subject != name || token.Claims["aud"] != "urn:"+name {
			t.Errorf("claims: %v", token.Claims)
		}
	}
	a, token := f.granted(t, redeem(text))
	if got := members(a); !slices.Equal(got, []string{"access_token", "expires_in", "issued_token_type", "token_type"}) {
		t.Errorf("members: %q", got)
	}
	if token.Subject != "alice" || token.ClientID != "api_token:"+made.ID || token.Claims["grant_id"] != made.ID || token.Claims["aud"] != orders {
		t.Errorf("claims: %v", token.Claims)
	}
	if _, token := f.granted(t, redeem(text).by("billing")); token.Subject != "alice" || token.ClientID != "billing" || token.Claims["grant_id"] != made.ID {
		t.Errorf("claims: %v", token.Claims)
	}
	own, _ := f.granted(t, plain.by("billing"))
	raw := own.json["access_token"].(string)
	parent, _ := f.verify(t, raw)
	_, child := f.granted(t, swap(raw).by("gateway"))
	if child.Subject != "client:billing" || child.ClientID != "gateway" || child.Claims["grant_id"] != parent.ID || child.ID == parent.ID {
		t.Errorf("claims: %v", child.Claims)
	}
	if _, _, err := f.APITokens.Create(t.Context(), state.APIToken{Owner: "client:billing", Service: orders}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("an API token of a user who is called as a client: %v", err)
	}
	if _, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "api_token:" + made.ID}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("a client that is called as an API token: %v", err)
	}
}

// An API token that is mistyped, unknown, expired or revoked is no good, by the RFC's code or by the dialect's, and no answer says which it is.
func TestExchangeAPIToken(t *testing.T) {
	f := newFixture(t)
	good, _ := f.apiToken(t, anyToken)
	soon, _ := f.apiToken(t, state.APIToken{Expires: start.Add(time.Minute)})
	revoked, made := f.apiToken(t, anyToken)
	if err := f.APITokens.Revoke(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	bare := func(token string, pairs ...string) request {
		return post(append([]string{"grant_type", exchange, "subject_token", token}, pairs...)...).at(phrasePath)
	}
	answers := map[string]bool{}
	for name, token := range map[string]string{
		"mistyped": strings.Replace(good, "demo_", "demq_", 1), "cut off": good[:len(good)-1], "longer": good + "x", "in other letters": strings.ToUpper(good),
		"expired": soon, "revoked": revoked, "of another kind": f.mint(t, tokenep.Claims{}), "junk": "x",
	} {
		t.Run(name, func(t *testing.T) {
			writes := f.store.writes.Load()
			a := f.do(t, redeem(token))
			refused(t, a, 400, tokenep.InvalidRequest)
			answers[string(a.body)] = true
			refused(t, f.do(t, bare(token)), 400, tokenep.InvalidGrant)
			if now := f.store.writes.Load(); now != writes {
				t.Errorf("%d records were written", now-writes)
			}
		})
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %q", slices.Collect(maps.Keys(answers)))
	}
	f.hold(t, []rule{
		{"subject_token_type has a default", bare(good), 200, ""},
		{"what the dialect ignores means nothing, even twice", bare(good, "scope", `"`, "scope", "x", "resource", "#", "audience", "x", "actor_token", "x", "actor_token_type", ""), 200, ""},
		{"requested_token_type still means something", bare(good, "requested_token_type", "x"), 400, tokenep.InvalidRequest},
		{"a missing subject_token is no bad one", post("grant_type", exchange).at(phrasePath), 400, tokenep.InvalidRequest},
		{"a type that is not taken is no bad token", bare(good, "subject_token_type", "x"), 400, tokenep.InvalidRequest},
		{"an access token wants a client here too", bare(good, "subject_token_type", accessToken), 401, tokenep.InvalidClient},
		{"another grant at the same path", plain.by("billing").at(phrasePath), 200, ""},
	})
	a, _ := f.granted(t, bare(good, "scope", "orders:read"))
	if got := members(a); !slices.Equal(got, []string{"access_token", "expires_in", "issued_token_type", "token_type"}) {
		t.Errorf("members: %q", got)
	}
}
