package grant_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// renews is a request at the path that renews tokens.
func renews(token string, pairs ...string) request {
	return swap(token, pairs...).At(tokeneptest.IcebergPath)
}

// bearer is how clients of Iceberg present the token that they want to renew.
func bearer(r request, token string) request { return r.With("Authorization", "Bearer "+token) }

// Token exchange of RFC 8693 in the place of a refresh token: the same claims, and a new expiry.
func TestRenewal(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Renewing)
	signedIn := f.Clock.Now().Add(-time.Hour).Truncate(time.Second)
	claims := tokenep.Claims{
		Scope: verify.Scope{"orders:read", "orders:write"}, Audience: []string{orders, invoices}, GrantID: "G", Act: object{"sub": "bob"},
		SignIn: tokenep.SignIn{Time: signedIn, Class: "gold", Methods: []string{"pwd", "otp"}}, Extra: object{"tenant": "north", "roles": []any{"a"}},
	}
	first := f.Mint(t, claims)
	before, _ := f.Verify(t, first)
	began := before.IssuedAt.Unix()
	token := first
	for n := range 40 { // more often than a token could have ancestors
		f.Clock.Advance(30 * time.Minute)
		a, after := f.Granted(t, bearer(renews(token), token))
		token = a.AccessToken()
		for name, value := range before.Claims {
			if slices.Contains([]string{"exp", "iat"}, name) {
				continue
			}
			if !tokeneptest.EqualJSON(after.Claims[name], value) {
				t.Errorf("renewal %d: %s is %v, want %v", n, name, after.Claims[name], value)
			}
		}
		if at := after.Claims["chain_iat"]; !tokeneptest.EqualJSON(at, began) {
			t.Errorf("renewal %d: chain_iat is %v, want %d", n, at, began)
		}
		left := time.Unix(began, 0).Add(tokeneptest.MaxChain).Sub(after.IssuedAt)
		if life := after.Expires.Sub(after.IssuedAt); life != min(left, 4*time.Hour) || len(after.Ancestors) != 1 {
			t.Errorf("renewal %d: lives %s, and has %d ancestors", n, life, len(after.Ancestors))
		}
	}
	// What was the last one is refused when the chain ends.
	last, _ := f.Verify(t, token)
	f.Clock.Advance(last.Expires.Sub(f.Clock.Now()) - time.Second)
	f.Run(t, []rule{grants("a second before the end", bearer(renews(token), token))})
	f.Clock.Advance(time.Second)
	f.Run(t, []rule{
		refuses("at the end, by its Bearer", bearer(renews(token), token), 401, tokenep.InvalidClient),
		refuses("at the end, by the client", renews(token).By("billing"), 400, tokenep.InvalidRequest),
	})
}

// Who may renew what, and for how long after it has expired.
func TestRenewalRules(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Renewing, tokeneptest.AnyActor)
	second := tokeneptest.Start.Truncate(time.Second)
	soon := func(c tokenep.Claims) string { c.Expires = second.Add(time.Minute); return f.Mint(t, c) }
	mine, others := soon(tokenep.Claims{}), soon(tokenep.Claims{ClientID: "reports"})
	agent := f.Mint(t, tokenep.Claims{Subject: "agent"})
	mayAct := soon(tokenep.Claims{MayAct: object{"client_id": "billing"}})
	secret, _ := f.NewAPIToken(t, state.APIToken{Expires: second.Add(5 * time.Hour)})
	fromSecret, _ := f.Granted(t, redeem(secret).By("billing"))
	rooted := fromSecret.AccessToken()
	for _, row := range []struct {
		name    string
		request request
		want    time.Duration
	}{
		{"its own", renews(mine).By("billing"), 4 * time.Hour},
		{"its own, by its Bearer", bearer(renews(mine), mine), 4 * time.Hour},
		{"its own, at a path that renews nothing", swap(mine).By("billing"), time.Minute},
		{"that of another client", renews(others).By("broker"), time.Minute},
		{"with an actor", renews(mine, "actor_token", agent, "actor_token_type", accessToken).By("billing"), time.Minute},
		{"one for which the client acts", renews(mayAct).By("billing"), time.Minute},
	} {
		if _, token := f.Granted(t, row.request); token.Expires.Sub(second) != row.want {
			t.Errorf("%s: lives %s, want %s", row.name, token.Expires.Sub(second), row.want)
		}
	}
	f.Clock.Advance(2 * time.Hour)
	if _, token := f.Granted(t, renews(rooted).By("billing")); token.Expires.Sub(second) != 5*time.Hour {
		t.Errorf("what came of an API token outlives it: %s", token.Expires.Sub(second))
	}
	later := f.Clock.Now().Truncate(time.Second)
	mine = f.Mint(t, tokenep.Claims{Expires: later.Add(time.Minute)})
	others = f.Mint(t, tokenep.Claims{ClientID: "reports", Expires: later.Add(time.Minute)})
	agent = f.Mint(t, tokenep.Claims{Subject: "agent", Expires: later.Add(time.Minute)})
	alive := f.Mint(t, tokenep.Claims{Expires: later.Add(time.Hour)})
	f.Clock.Advance(time.Hour - time.Second + time.Minute)
	f.Run(t, []rule{
		grants("expired within the window", renews(mine).By("billing")),
		grants("the same, beside its Bearer, which is not looked at", bearer(renews(mine, "client_id", "billing", "client_secret", "billing-secret"), mine)),
		refuses("expired, by its Bearer", bearer(renews(mine), mine), 401, tokenep.InvalidClient),
		refuses("expired, elsewhere", swap(mine).By("billing"), 400, tokenep.InvalidRequest),
		refuses("expired, of another client", renews(others).By("broker"), 400, tokenep.InvalidRequest),
		refuses("expired, with an actor", renews(mine, "actor_token", alive, "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("an actor that has expired", renews(alive, "actor_token", agent, "actor_token_type", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("a changed signature", renews(mine[:len(mine)-3]+"xxx").By("billing"), 400, tokenep.InvalidRequest),
	})
	f.Clock.Advance(2 * time.Second)
	f.Run(t, []rule{refuses("expired before the window", renews(mine).By("billing"), 400, tokenep.InvalidRequest)})
}

// A token that the client could not renew is renewed by no detour either: what comes of an exchange
// that brought in somebody else's token, or used up a may_act, ends with that.
func TestNoRenewalInTwoSteps(t *testing.T) {
	second := tokeneptest.Start.Truncate(time.Second)
	helped := func(c *tokenep.Client) { c.ActorFrom, c.MayActFor = []string{"*"}, []string{"*"} }
	f := tokeneptest.New(t, tokeneptest.Renewing, tokeneptest.AnyActor, tokeneptest.Alter("broker", helped))
	soon := func(c tokenep.Claims) string { c.Expires = second.Add(time.Minute); return f.Mint(t, c) }
	acting := func(subject, actor string) request {
		return swap(subject, "actor_token", actor, "actor_token_type", accessToken)
	}
	policy := func(client string) tokenep.Claims {
		return tokenep.Claims{ClientID: client, Subject: "agent", GrantID: "policy:bot"}
	}
	mine := f.Mint(t, tokenep.Claims{})
	api, _ := f.NewAPIToken(t, state.APIToken{Owner: "bob", Expires: second.Add(time.Minute)})
	for _, row := range []struct {
		name, client string
		first        request
		want         time.Duration
	}{
		{"its own", "billing", swap(soon(tokenep.Claims{})), 4 * time.Hour},
		{"its own, and its own actor", "billing", acting(soon(tokenep.Claims{}), soon(tokenep.Claims{Subject: "client:billing"})), 4 * time.Hour},
		{"of another client", "broker", swap(soon(tokenep.Claims{ClientID: "reports"})), time.Minute},
		{"of another client, with an actor", "broker", acting(soon(tokenep.Claims{ClientID: "reports"}), f.Mint(t, tokenep.Claims{ClientID: "broker"})), time.Minute},
		{"an actor of another client", "billing", acting(mine, soon(tokenep.Claims{ClientID: "reports", Subject: "agent"})), time.Minute},
		{"an actor by API token", "billing", redeem(api, "actor_token", mine, "actor_token_type", accessToken), time.Minute},
		{"an actor of a policy", "billing", acting(mine, soon(policy("billing"))), time.Minute},
		{"a subject of a policy", "billing", swap(soon(policy("billing"))), time.Minute},
		{"a may_act", "billing", swap(soon(tokenep.Claims{MayAct: object{"client_id": "billing"}})), time.Minute},
	} {
		a, _ := f.Granted(t, row.first.By(row.client))
		for step := range 2 {
			var token *verify.Token
			if a, token = f.Granted(t, renews(a.AccessToken()).By(row.client)); token.Expires.Sub(second) != row.want {
				t.Errorf("%s, step %d: lives %s, want %s", row.name, step, token.Expires.Sub(second), row.want)
			}
		}
	}
}

// RFC 7009 §2.1: revoking any form of a token that was renewed, or what it came of, ends all of
// them, and nothing of them can be renewed until the end of the chain.
func TestRevokingARenewedToken(t *testing.T) {
	for name, revoke := range map[string]func(*tokeneptest.Server, []string) error{
		"the first":         func(f *tokeneptest.Server, forms []string) error { return revokeByHolder(t, f, forms[0]) },
		"one in the middle": func(f *tokeneptest.Server, forms []string) error { return revokeByHolder(t, f, forms[1]) },
		"the last":          func(f *tokeneptest.Server, forms []string) error { return revokeByHolder(t, f, forms[2]) },
		"by its jti": func(f *tokeneptest.Server, forms []string) error {
			return f.RevokeToken(t.Context(), id(t, f, forms[2]), f.Clock.Now())
		},
		"by its grant":       func(f *tokeneptest.Server, _ []string) error { return f.RevokeGrant(t.Context(), "G") },
		"all of the client":  func(f *tokeneptest.Server, _ []string) error { return f.RevokeClient(t.Context(), "billing") },
		"all of the subject": func(f *tokeneptest.Server, _ []string) error { return f.RevokeSubject(t.Context(), "alice") },
	} {
		f := tokeneptest.New(t, tokeneptest.Renewing)
		token := f.Mint(t, tokenep.Claims{GrantID: "G"})
		forms := []string{token}
		for range 2 {
			f.Clock.Advance(59 * time.Minute)
			a, _ := f.Granted(t, bearer(renews(token), token))
			token = a.AccessToken()
			forms = append(forms, token)
		}
		if err := revoke(f, forms); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("%s: the last form is good", name)
		}
		expires := f.Clock.Now().Add(4 * time.Hour)
		f.Clock.Advance(expires.Sub(f.Clock.Now()) + 30*time.Minute)
		f.Config.Memory.Revocations.Sweep(f.Clock.Now())
		f.Send(t, renews(token).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
		f.Clock.Advance(tokeneptest.MaxChain - 7*time.Hour)
		f.Config.Memory.Revocations.Sweep(f.Clock.Now())
		if f.Config.Memory.Revocations.Len() == 0 {
			t.Errorf("%s: the revocation was dropped before the end of the chain", name)
		}
	}
}

func revokeByHolder(t *testing.T, f *tokeneptest.Server, token string) error {
	t.Helper()
	if a := f.Send(t, post("token", token).At(tokeneptest.RevokePath).By("billing")); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	return nil
}

func id(t *testing.T, f *tokeneptest.Server, token string) string {
	t.Helper()
	verified, err := f.Verify(t, token)
	if err != nil {
		t.Fatal(err)
	}
	return verified.ID
}

// What bounds a chain is written by the server alone, and is not passed over in another form.
func TestChainClaims(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Renewing)
	for _, extra := range []object{{"chain_iat": "1"}, {"chain_iat": nil}, {"chain_exp": 1.5}, {"auth_time": "x"}} {
		f.Send(t, swap(f.Mint(t, tokenep.Claims{Extra: extra})).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
	}
	_, token := f.Granted(t, swap(f.Mint(t, tokenep.Claims{})).By("billing"))
	if _, there := token.Claims["auth_time"]; there {
		t.Error("auth_time was invented")
	}
	if _, err := server.New(func() server.Config {
		c := f.Config
		c.Exchange.MaxChain = time.Second
		return c
	}()); err == nil {
		t.Error("a chain of a second is accepted")
	}
	plain := f.Config
	plain.Exchange.MaxChain = 0
	s, err := server.New(plain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mount(server.Paths{Token: []server.TokenPath{{Path: "/t", Dialect: tokeneptest.Iceberg()}}}); err == nil {
		t.Error("a path renews tokens for ever")
	}
}

// A token that was revoked while chains of exchanges were shorter, or none, is not renewed when
// they are longer again and the revocation is forgotten. Later ones are.
func TestRenewalAfterMaxChainWasAway(t *testing.T) {
	for name, between := range map[string]time.Duration{"away": 0, "shorter": time.Hour, "the same": tokeneptest.MaxChain} {
		for how, memory := range map[string]bool{"reload": true, "start": false} {
			t.Run(name+", "+how, func(t *testing.T) {
				f := tokeneptest.New(t, tokeneptest.Renewing)
				with := func(chain time.Duration) *tokeneptest.Server {
					c := f.Config
					c.Exchange.MaxChain = chain
					if !memory {
						c.Memory = server.NewMemory(c.Now)
					}
					next := f.Next(t, c)
					if err := next.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					return next
				}
				f.Clock.Advance(time.Second)
				s := with(between)
				f.Clock.Advance(time.Second)
				token := s.Mint(t, tokenep.Claims{Expires: f.Clock.Now().Add(10 * time.Minute).Truncate(time.Second)})
				f.Clock.Advance(time.Minute)
				s = with(tokeneptest.MaxChain)
				later := s.Mint(t, tokenep.Claims{Expires: f.Clock.Now().Add(10 * time.Minute).Truncate(time.Second)})
				live := s.Issued(t, renews(token).By("billing"))
				f.Clock.Advance(30 * time.Minute)
				s.Run(t, []rule{grants("one that began since then", renews(later).By("billing")), grants("one that is live", renews(live).By("billing"))})
				again := with(tokeneptest.MaxChain)
				again.Run(t, []rule{grants("also after a reload", renews(later).By("billing"))})
				r := refuses("one of before", renews(token).By("billing"), 400, tokenep.InvalidRequest)
				if name == "the same" {
					r = grants("one of before", renews(token).By("billing"))
				}
				again.Run(t, []rule{r})
			})
		}
	}
}
