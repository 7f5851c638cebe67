package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 7009: a client takes back its own tokens, and is told nothing of others.
func TestRevoke(t *testing.T) {
	f := newFixture(t)
	revoke := func(pairs ...string) request { return post(pairs...).at(revokePath) }
	issued := func(r request) string {
		a, _ := f.granted(t, r)
		return a.json["access_token"].(string)
	}
	mine := issued(plain.by("billing"))
	text, _ := f.apiToken(t, anyToken)
	f.hold(t, []rule{
		{"2.1: no token", revoke().by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: an empty token", revoke("token", "").by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: the token twice", revoke("token", mine, "token", mine).by("billing"), 400, tokenep.InvalidRequest},
		{"2.1: no client", revoke("token", mine), 401, tokenep.InvalidClient},
		{"2.1: a wrong secret", revoke("token", mine).basic("billing", "x"), 401, tokenep.InvalidClient},
		{"2.1: confidential, without its secret", revoke("token", mine, "client_id", "billing"), 401, tokenep.InvalidClient},
		{"2.1: the token as credential", revoke("token", mine).with("Authorization", "Bearer "+mine), 401, tokenep.InvalidClient},
		{"2.1: another client's token", revoke("token", mine).by("reports"), 400, tokenep.InvalidGrant},
		{"2.1: another client, public", revoke("token", mine, "client_id", "app"), 400, tokenep.InvalidGrant},
		{"junk from nobody", revoke("token", "x"), 401, tokenep.InvalidClient},
		{"JSON", revoke("token", mine).by("billing").with("Content-Type", "application/json"), 400, tokenep.InvalidRequest},
		{"2.2.1: an API token", revoke("token", text).by("billing"), 400, tokenep.UnsupportedTokenType},
		{"2.2.1: an API token from nobody", revoke("token", text), 400, tokenep.UnsupportedTokenType},
		{"the token in the URL", revoke().by("billing").at(revokePath + "?token=" + mine), 400, tokenep.InvalidRequest},
	})
	if _, err := f.verify(t, mine); err != nil {
		t.Fatalf("a refused revocation revoked the token: %v", err)
	}
	done := func(name string, r request, token string) {
		t.Helper()
		a := f.do(t, r)
		if a.status != http.StatusOK || string(a.body) != "{}" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		noStore(t, a)
		if _, err := f.verify(t, token); err == nil {
			t.Errorf("%s: the token is still good", name)
		}
	}
	writes := f.store.writes.Load()
	done("2.2: an unknown token", revoke("token", "x").by("billing"), "x")
	done("2.2: with a changed signature", revoke("token", mine+"x").by("billing"), mine+"x")
	if now := f.store.writes.Load(); now != writes {
		t.Errorf("unknown tokens wrote %d records", now-writes)
	}
	expired := f.mint(t, tokenep.Claims{Expires: start.Truncate(time.Second)})
	done("2.2: an expired token", revoke("token", expired).by("billing"), expired)
	done("2.2: its own token", revoke("token", mine).by("billing"), mine)
	done("2.2: once more", revoke("token", mine).by("billing"), mine)
	hinted := issued(plain.by("billing"))
	done("2.1: a wrong hint", revoke("token", hinted, "token_type_hint", "refresh_token").by("billing"), hinted)
	hinted = issued(plain.by("billing"))
	done("2.1: an unknown hint, and parameters of other endpoints", revoke("token", hinted, "token_type_hint", "x", "scope", "\"", "resource", "#").by("billing"), hinted)
	public := f.mint(t, tokenep.Claims{ClientID: "app"})
	done("a mistyped API token is unknown", revoke("token", text+"x").by("billing"), text+"x")
	done("2.1: a public client", revoke("token", public, "client_id", "app"), public)
}

// RFC 7009 §2.1: what came of a token goes with it; what it came of stays.
func TestRevokeExchanged(t *testing.T) {
	f := newFixture(t)
	swap := func(token, kind, client string) string {
		r := post("grant_type", exchange, "subject_token", token, "subject_token_type", kind)
		if client != "" {
			r = r.by(client)
		}
		a, _ := f.granted(t, r)
		return a.json["access_token"].(string)
	}
	good := func(name, token string, want bool) {
		t.Helper()
		if _, err := f.verify(t, token); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	root := f.mint(t, tokenep.Claims{})
	child := swap(root, accessToken, "billing")
	sibling := swap(root, accessToken, "billing")
	grandchild := swap(child, accessToken, "billing")
	f.do(t, post("token", sibling).by("billing").at(revokePath))
	good("its sibling was revoked", child, true)
	good("its child was revoked", root, true)
	f.do(t, post("token", root).by("billing").at(revokePath))
	good("the token itself", root, false)
	good("what it was exchanged for", child, false)
	good("and what that was exchanged for", grandchild, false)

	// A token that was had for an API token alone is taken back by whoever has it; the API token goes on.
	text, made := f.apiToken(t, anyToken)
	bare, other := swap(text, apiToken, ""), swap(text, apiToken, "")
	before := f.Config.Memory.Revocations.Len()
	refused(t, f.do(t, post("token", bare).by("billing").at(revokePath)), 400, tokenep.InvalidGrant)
	for _, time := range []string{"once", "twice"} {
		if a := f.do(t, post("token", bare).at(revokePath)); a.status != http.StatusOK || string(a.body) != "{}" {
			t.Errorf("%s: %d %s", time, a.status, a.body)
		}
	}
	if n := f.Config.Memory.Revocations.Len(); n != before+2 {
		t.Errorf("%d entries more, want 2", n-before)
	}
	good("the bare token", bare, false)
	good("the other one", other, true)
	if err := f.APITokens.Revoke(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	good("what came of a revoked API token", other, false)
}

// A verifier may take a token for some time after its expiry, for the sake of clocks that differ. A revoked one it takes at no time.
func TestRevokeOutlivesLeeway(t *testing.T) {
	f := newFixture(t)
	trusted := f.Trusted()
	trusted.InsecureAnyAudience = true
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Leeway: verify.MaxLeeway, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	revoked, kept := f.mint(t, tokenep.Claims{}), f.mint(t, tokenep.Claims{})
	f.do(t, post("token", revoked).by("billing").at(revokePath))
	f.clock.Advance(time.Hour + 4*time.Minute)
	f.Config.Memory.Revocations.Sweep(f.clock.Now())
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: kept}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: revoked}); err == nil {
		t.Error("a revoked token is good again after its expiry")
	}
}

// What a verifier still takes, for the sake of clocks that differ, can still be revoked.
func TestRevokeWithinLeeway(t *testing.T) {
	f := newFixture(t)
	trusted := f.Trusted()
	trusted.InsecureAnyAudience = true
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Leeway: verify.MaxLeeway, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	token := f.mint(t, tokenep.Claims{})
	f.clock.Advance(time.Hour + 4*time.Minute)
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: token}); err != nil {
		t.Fatal(err)
	}
	f.do(t, post("token", token).by("billing").at(revokePath))
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: token}); err == nil {
		t.Error("a token that was revoked after its expiry is still taken")
	}
}

// After a reload that shortens the life of tokens, those of before live on for as long as they were promised. When they are revoked they stay revoked.
func TestRevokeOutlivesShorterLife(t *testing.T) {
	f := newFixture(t)
	text, made := f.apiToken(t, anyToken)
	a, _ := f.granted(t, post("grant_type", exchange, "subject_token", text, "subject_token_type", apiToken))
	bare := a.json["access_token"].(string)
	client := tokenep.Client{ID: "passing", GrantTypes: []string{cc}}
	secret, err := f.Clients.Add(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	a, _ = f.granted(t, plain.basic("passing", secret))
	passing := a.json["access_token"].(string)

	c := f.Config
	c.TokenTTL, c.Clients = time.Minute, nil
	reloaded, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := reloaded.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if life := reloaded.TokenLife(); life < 4*time.Hour {
		t.Errorf("tokens are taken to live %s", life)
	}
	if err := reloaded.APITokens.Revoke(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if err := reloaded.Clients.Remove(t.Context(), "passing"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(3 * time.Hour)
	c.Memory.Revocations.Sweep(f.clock.Now())
	for name, token := range map[string]string{"what came of a revoked API token": bare, "the token of a removed client": passing} {
		if _, err := f.verify(t, token); err == nil {
			t.Errorf("%s is good again", name)
		}
	}
}
