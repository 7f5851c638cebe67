package grant_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

type object = map[string]any

// RFC 8693 §2.1 (parameters) and §2.2.2 (errors: a bad token is invalid_request).
func TestExchange(t *testing.T) {
	f := tokeneptest.New(t)
	mine := f.Mint(t, tokenep.Claims{Scope: verify.Scope{"orders:read"}})
	text, _ := f.NewAPIToken(t, state.APIToken{Scope: verify.Scope{"orders:read"}})
	foreign := "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUiLCJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ."
	f.Run(t, []rule{
		grants("2.1: one of ours", swap(mine).By("billing")),
		grants("2.1: one of ours, as a JWT", post("grant_type", exchange, "subject_token", mine, "subject_token_type", grant.JWTType).By("billing")),
		grants("2.1: an access token is requested", swap(mine, "requested_token_type", accessToken).By("billing")),
		grants("2.1: a JWT is requested", swap(mine, "requested_token_type", grant.JWTType).By("billing")),
		grants("2.1: an API token", redeem(text)),
		grants("2.1: an API token, and a client", redeem(text).By("billing")),
		grants("2.1: empty parameters are none", redeem(text, "actor_token", "", "actor_token_type", "", "requested_token_type", "", "scope", "", "resource", "")),
		grants("beside a Bearer header", swap(mine, "client_id", "billing", "client_secret", "billing-secret").With("Authorization", "Bearer "+mine)),
		grants("an API token beside a Bearer header", redeem(text).With("Authorization", "Bearer x")),

		refuses("2.1: no subject_token", post("grant_type", exchange, "subject_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: an empty subject_token", swap("").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: no subject_token_type", post("grant_type", exchange, "subject_token", mine).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: neither, and no client", post("grant_type", exchange), 400, tokenep.InvalidRequest),
		refuses("2.1: actor_token_type without actor_token", swap(mine, "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: actor_token without actor_token_type", swap(mine, "actor_token", mine).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: an unknown requested_token_type", swap(mine, "requested_token_type", "x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: an ID token is requested", swap(mine, "requested_token_type", "urn:ietf:params:oauth:token-type:id_token").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: a refresh token is requested", swap(mine, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: an unknown subject_token_type", post("grant_type", exchange, "subject_token", mine, "subject_token_type", "x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: the same, and no client", post("grant_type", exchange, "subject_token", mine, "subject_token_type", "x"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: an unknown actor_token_type", swap(mine, "actor_token", mine, "actor_token_type", "x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: an access token that says it is an API token", post("grant_type", exchange, "subject_token", mine, "subject_token_type", apiToken), 400, tokenep.InvalidRequest),
		refuses("2.2.2: an API token that says it is an access token", swap(text).By("billing"), 400, tokenep.InvalidRequest),

		refuses("2.2.2: junk", swap("x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: a changed signature", swap(mine[:len(mine)-3]+"xxx").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: alg none", swap(foreign).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: expired", swap(f.Mint(t, tokenep.Claims{Expires: tokeneptest.Start.Truncate(time.Second)})).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: ten kilobytes", swap(strings.Repeat("x", 10<<10)).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: an actor that is junk", swap(mine, "actor_token", "x", "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.2.2: an actor that has expired", swap(mine, "actor_token", f.Mint(t, tokenep.Claims{Expires: tokeneptest.Start.Truncate(time.Second)}), "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),

		refuses("5: an access token, and no client", swap(mine), 401, tokenep.InvalidClient),
		refuses("5: the same under its other name", post("grant_type", exchange, "subject_token", mine, "subject_token_type", grant.JWTType), 401, tokenep.InvalidClient),
		refuses("5: an access token as actor, and no client", redeem(text, "actor_token", mine, "actor_token_type", accessToken), 400, tokenep.InvalidRequest),
		refuses("a wrong client is refused even where none is needed", redeem(text).Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("a public client", swap(mine, "client_id", "app"), 400, tokenep.UnauthorizedClient),
		refuses("a public client with an API token", redeem(text, "client_id", "app"), 400, tokenep.UnauthorizedClient),
		refuses("a client without the grant", swap(mine).By("reports"), 400, tokenep.UnauthorizedClient),

		grants("its own", swap(mine).By("billing")),
		grants("of a client that it may exchange from", swap(mine).By("gateway")),
		grants("of anybody", swap(mine).By("broker")),
		grants("issued for it", swap(f.Mint(t, tokenep.Claims{Audience: []string{"stranger", orders}})).By("stranger")),
		refuses("neither issued to it nor for it", swap(mine).By("stranger"), 400, tokenep.InvalidRequest),
		refuses("of another client than it may exchange from", swap(f.Mint(t, tokenep.Claims{ClientID: "reports"})).By("gateway"), 400, tokenep.InvalidRequest),
		refuses("an actor of another client", swap(mine, "actor_token", f.Mint(t, tokenep.Claims{ClientID: "reports"}), "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
	})
	f.Config.Memory.Revocations.Add(verify.Revocation{Claim: "sub", Value: "alice"})
	f.Run(t, []rule{refuses("2.2.2: revoked", swap(mine).By("billing"), 400, tokenep.InvalidRequest)})
}

// Without Exchange.Anonymous, an API token needs a client beside it.
func TestExchangeNotAnonymous(t *testing.T) {
	f := tokeneptest.New(t, func(c *server.Config) { c.Exchange.Anonymous = false })
	text, _ := f.NewAPIToken(t, anyToken)
	f.Run(t, []rule{
		refuses("no client", redeem(text), 401, tokenep.InvalidClient),
		refuses("no client, with a Bearer header", redeem(text).With("Authorization", "Bearer x"), 401, tokenep.InvalidClient),
		grants("a client", redeem(text).By("billing")),
	})
}

// RFC 8693 §2.2.2 and RFC 6749 §5.2: the new token reaches no further than the old one, nor than
// the client.
func TestExchangeNarrows(t *testing.T) {
	f := tokeneptest.New(t)
	wide := f.Mint(t, tokenep.Claims{Scope: verify.Scope{"orders:read", "orders:write", "admin"}, Audience: []string{orders, invoices}})
	plain := f.Mint(t, tokenep.Claims{Scope: verify.Scope{"orders:read"}})
	elsewhere := f.Mint(t, tokenep.Claims{Audience: []string{"https://other.example"}})
	text, _ := f.NewAPIToken(t, state.APIToken{Scope: verify.Scope{"orders:read", "admin"}})
	bare, _ := f.NewAPIToken(t, anyToken)
	service, _ := f.NewAPIToken(t, state.APIToken{Service: "https://other.example"})
	for _, token := range []string{text, service} {
		// The last use of an API token is written once a minute, and here before the requests that
		// are to write nothing.
		f.Granted(t, redeem(token))
	}
	f.Run(t, []rule{
		refuses("scope: more than the token has", swap(plain, "scope", "orders:write").By("billing"), 400, tokenep.InvalidScope),
		refuses("scope: more than the token has, in part", swap(plain, "scope", "orders:read orders:write").By("billing"), 400, tokenep.InvalidScope),
		refuses("scope: more than the client has", swap(wide, "scope", "admin").By("billing"), 400, tokenep.InvalidScope),
		refuses("scope: more than the exchanging client has", swap(wide, "scope", "orders:write").By("gateway"), 400, tokenep.InvalidScope),
		refuses("scope: more than the API token has", redeem(text, "scope", "orders:write"), 400, tokenep.InvalidScope),
		refuses("scope: malformed", redeem(text, "scope", `"`), 400, tokenep.InvalidScope),
		refuses("target: more than the token has", swap(plain, "audience", invoices).By("billing"), 400, tokenep.InvalidTarget),
		refuses("target: more than the token has, in part", swap(plain, "resource", orders, "audience", invoices).By("billing"), 400, tokenep.InvalidTarget),
		refuses("target: more than the client has", swap(wide, "audience", invoices).By("gateway"), 400, tokenep.InvalidTarget),
		refuses("target: not the client's comes before the token is looked at", swap("x", "audience", "y").By("billing"), 400, tokenep.InvalidTarget),
		refuses("target: none asked, and none in common", swap(elsewhere).By("billing"), 400, tokenep.InvalidTarget),
		refuses("target: none asked, and none in common with the API token's service", redeem(service).By("billing"), 400, tokenep.InvalidTarget),
		refuses("target: another service than the API token's", redeem(text, "audience", invoices), 400, tokenep.InvalidTarget),
		refuses("target: not absolute", redeem(text, "resource", "orders"), 400, tokenep.InvalidTarget),
	})
	for _, row := range []struct {
		name            string
		request         request
		scope, answered string
		audience        []string
	}{
		{"nothing asked: what token and client have in common", swap(wide).By("billing"), "orders:read orders:write", "orders:read orders:write", []string{orders, invoices}},
		{"nothing asked: less, when the client has less", swap(wide).By("gateway"), "orders:read", "orders:read", []string{orders}},
		{"less is asked", swap(wide, "scope", "orders:write", "resource", invoices).By("billing"), "orders:write", "orders:write", []string{invoices}},
		{"no scope in common", swap(f.Mint(t, tokenep.Claims{Scope: verify.Scope{"admin"}})).By("billing"), "", "", []string{orders}},
		{"an API token: everything, which nobody asked for by name", redeem(text), "orders:read admin", "orders:read admin", []string{orders}},
		{"2.2.1: where scope means nothing, no answer has one", redeem(text).At(tokeneptest.PhrasePath), "orders:read admin", "", []string{orders}},
		{"an API token: less is asked, and said", redeem(text, "scope", "admin"), "admin", "admin", []string{orders}},
		{"an API token: its service is asked for", redeem(text, "audience", orders), "orders:read admin", "orders:read admin", []string{orders}},
		{"an API token and a client: what both have", redeem(text).By("billing"), "orders:read", "orders:read", []string{orders}},
		{"an API token without scope", redeem(bare), "", "", []string{orders}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, token := f.Granted(t, row.request)
			answered, _ := a.JSON["scope"].(string)
			if token.Scope.String() != row.scope || answered != row.answered || !slices.Equal(token.Audience, row.audience) {
				t.Errorf("scope %q (the answer says %q), aud %q; want %q (%q), %q", token.Scope, answered, token.Audience, row.scope, row.answered, row.audience)
			}
			if a.JSON["issued_token_type"] != accessToken {
				t.Errorf("issued_token_type is %v", a.JSON["issued_token_type"])
			}
		})
	}
}

// The new token expires no later than the subject token, the actor token, the API token, and the
// lives that the client and the server allow.
func TestExchangeExpiry(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.AnyActor)
	second := tokeneptest.Start.Truncate(time.Second)
	until := func(d time.Duration) string { return f.Mint(t, tokenep.Claims{Expires: second.Add(d)}) }
	ofShort := f.Mint(t, tokenep.Claims{ClientID: "short", Audience: []string{issuer}, Expires: second.Add(time.Hour)})
	soon, _ := f.NewAPIToken(t, state.APIToken{Expires: second.Add(time.Minute)})
	late, _ := f.NewAPIToken(t, anyToken)
	for _, row := range []struct {
		name    string
		request request
		want    time.Duration
	}{
		{"the subject's", swap(until(time.Hour)).By("billing"), time.Hour},
		{"the server's", swap(until(24 * time.Hour)).By("billing"), 4 * time.Hour},
		{"the client's", swap(ofShort).By("short"), 90 * time.Second},
		{"the actor's", swap(until(time.Hour), "actor_token", until(time.Minute), "actor_token_type", accessToken).By("billing"), time.Minute},
		{"the subject's, with an actor", swap(until(time.Minute), "actor_token", until(time.Hour), "actor_token_type", accessToken).By("billing"), time.Minute},
		{"an actor's API token", swap(until(time.Hour), "actor_token", soon, "actor_token_type", apiToken).By("billing"), time.Minute},
		{"the API token's", redeem(soon), time.Minute},
		{"the server's, for an API token", redeem(late), 4 * time.Hour},
		{"one second", swap(until(time.Second)).By("billing"), time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, token := f.Granted(t, row.request); token.Expires.Sub(second) != row.want {
				t.Errorf("lives %s, want %s", token.Expires.Sub(second), row.want)
			}
		})
	}
}

// RFC 8693 §4.1 (act) and §4.4 (may_act).
func TestExchangeActor(t *testing.T) {
	f := tokeneptest.New(t)
	act := object{"sub": "bob", "act": object{"sub": "carol"}}
	client := object{"sub": "client:billing", "client_id": "billing"}
	agent := f.Mint(t, tokenep.Claims{Subject: "agent"})
	subject := func(act, may object) string { return f.Mint(t, tokenep.Claims{Act: act, MayAct: may}) }
	odd := func(claim string, value any) string { return f.Mint(t, tokenep.Claims{Extra: object{claim: value}}) }
	acts := func(token string) request {
		return swap(token, "actor_token", agent, "actor_token_type", accessToken).By("billing")
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
	f.Run(t, []rule{
		refuses("4.4: the actor is another", acts(subject(nil, object{"sub": "bob"})), 400, tokenep.InvalidRequest),
		refuses("4.4: one member differs", acts(subject(nil, object{"sub": "agent", "client_id": "x"})), 400, tokenep.InvalidRequest),
		refuses("4.4: a member that the actor does not have", acts(subject(nil, object{"sub": "agent", "email": "a@b"})), 400, tokenep.InvalidRequest),
		refuses("4.4: a member of another type", acts(subject(nil, object{"sub": []any{"agent"}})), 400, tokenep.InvalidRequest),
		refuses("4.4: nobody may act", acts(subject(nil, object{})), 400, tokenep.InvalidRequest),
		refuses("4.4: nobody may act, not even the client", swap(subject(nil, object{})).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.4: no actor_token, and the client may not act", swap(subject(nil, object{"sub": "agent"})).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.4: a user who is called as the client", swap(subject(nil, object{"sub": "billing"})).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.4: may_act is a string", acts(odd("may_act", "agent")), 400, tokenep.InvalidRequest),
		refuses("4.4: may_act is a list", acts(odd("may_act", []any{object{"sub": "agent"}})), 400, tokenep.InvalidRequest),
		refuses("4.4: may_act is null", acts(odd("may_act", nil)), 400, tokenep.InvalidRequest),
		refuses("4.4: may_act is a string, and nobody acts", swap(odd("may_act", "billing")).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.1: act is a string", swap(odd("act", "agent")).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.1: act is a list", acts(odd("act", []any{"agent"})), 400, tokenep.InvalidRequest),
		refuses("4.1: act is null", swap(odd("act", nil)).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.1: an inner act is a string", swap(odd("act", object{"sub": "a", "act": "b"})).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.1: act of the actor's token is a string", swap(subject(nil, nil), "actor_token", odd("act", "b"), "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("4.1: too many have acted for each other", acts(subject(chain(8), nil)), 400, tokenep.InvalidRequest),
		refuses("a token that no verifier would take", acts(subject(object{"sub": strings.Repeat("x", 5800)}, nil)), 400, tokenep.InvalidRequest),
		refuses("4.1: the same by may_act", swap(subject(chain(8), client)).By("billing"), 400, tokenep.InvalidRequest),
	})
	for _, row := range []struct {
		name    string
		request request
		want    any
	}{
		{"1.1: nobody acts", swap(subject(nil, nil)).By("billing"), nil},
		{"1.1: an actor acts", acts(subject(nil, nil)), object{"sub": "agent", "client_id": "billing"}},
		{"4.1: act survives an exchange without actor", swap(subject(act, nil)).By("billing"), act},
		{"4.1: the new actor is the outer one", acts(subject(act, nil)), object{"sub": "agent", "client_id": "billing", "act": act}},
		{"a long token", acts(subject(object{"sub": strings.Repeat("x", 5400)}, nil)), object{"sub": "agent", "client_id": "billing", "act": object{"sub": strings.Repeat("x", 5400)}}},
		{"4.1: as many as may be", acts(subject(chain(7), nil)), object{"sub": "agent", "client_id": "billing", "act": chain(7)}},
		{"4.1: a long chain is copied as it is", swap(subject(chain(8), nil)).By("billing"), chain(8)},
		{"4.4: the actor may", acts(subject(nil, object{"sub": "agent"})), object{"sub": "agent", "client_id": "billing"}},
		{"4.4: the actor may, in all members", acts(subject(nil, object{"sub": "agent", "client_id": "billing"})), object{"sub": "agent", "client_id": "billing"}},
		{"4.4: the client may, and acts", swap(subject(nil, client)).By("billing"), client},
		{"4.4: the client may, and acts after others", swap(subject(act, object{"client_id": "billing"})).By("billing"), object{"sub": "client:billing", "client_id": "billing", "act": act}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, token := f.Granted(t, row.request)
			if got := token.Claims["act"]; !tokeneptest.EqualJSON(got, row.want) {
				t.Errorf("act is %v, want %v", got, row.want)
			}
			if token.Subject != "alice" || token.ClientID != "billing" || token.Claims["may_act"] != nil {
				t.Errorf("sub %q, client_id %q, may_act %v", token.Subject, token.ClientID, token.Claims["may_act"])
			}
		})
	}
}

// RFC 9068 §2.2: whom the token is about, and which client it was issued to. No user has the name
// of a client (§5).
func TestExchangeClaims(t *testing.T) {
	f := tokeneptest.New(t)
	text, made := f.NewAPIToken(t, anyToken)
	for _, name := range []string{`a"b`, `a\b`, "<a&b>", "Zoë", `","sub":"admin`} {
		other, _ := f.NewAPIToken(t, state.APIToken{Owner: name, Service: "urn:" + name})
		if _, token := f.Granted(t, redeem(other)); token.Subject != name || token.Claims["aud"] != "urn:"+name {
			t.Errorf("claims: %v", token.Claims)
		}
	}
	a, token := f.Granted(t, redeem(text))
	if got := a.Members(); !slices.Equal(got, []string{"access_token", "expires_in", "issued_token_type", "token_type"}) {
		t.Errorf("members: %q", got)
	}
	if token.Subject != "alice" || token.ClientID != "api_token:"+made.ID || token.Claims["grant_id"] != made.ID || token.Claims["aud"] != orders {
		t.Errorf("claims: %v", token.Claims)
	}
	if _, token := f.Granted(t, redeem(text).By("billing")); token.Subject != "alice" || token.ClientID != "billing" || token.Claims["grant_id"] != made.ID {
		t.Errorf("claims: %v", token.Claims)
	}
	own, _ := f.Granted(t, plain.By("billing"))
	raw := own.AccessToken()
	parent, _ := f.Verify(t, raw)
	_, child := f.Granted(t, swap(raw).By("gateway"))
	if child.Subject != "client:billing" || child.ClientID != "gateway" || child.Claims["grant_id"] != nil || child.ID == parent.ID {
		t.Errorf("claims: %v", child.Claims)
	}
	if _, _, err := f.APITokens.Create(t.Context(), state.APIToken{Owner: "client:billing", Service: orders}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("an API token of a user who is called as a client: %v", err)
	}
	if _, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "api_token:" + made.ID}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("a client that is called as an API token: %v", err)
	}
}
