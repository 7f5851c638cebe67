package endpoint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 7009: a client revokes its own tokens, and learns nothing of others.
func TestRevoke(t *testing.T) {
	f := tokeneptest.New(t)
	revoke := func(pairs ...string) request { return post(pairs...).At(revokePath) }
	mine := f.Issued(t, plain.By("billing"))
	text, _ := f.NewAPIToken(t, anyToken)
	f.Run(t, []rule{
		refuses("2.1: no token", revoke().By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: an empty token", revoke("token", "").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: the token twice", revoke("token", mine, "token", mine).By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.1: no client", revoke("token", mine), 401, tokenep.InvalidClient),
		refuses("2.1: a wrong secret", revoke("token", mine).Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("2.1: confidential, without its secret", revoke("token", mine, "client_id", "billing"), 401, tokenep.InvalidClient),
		refuses("2.1: the token as credential", revoke("token", mine).With("Authorization", "Bearer "+mine), 401, tokenep.InvalidClient),
		refuses("2.1: another client's token", revoke("token", mine).By("reports"), 400, tokenep.InvalidGrant),
		refuses("2.1: another client, public", revoke("token", mine, "client_id", "app"), 400, tokenep.InvalidGrant),
		refuses("junk from nobody", revoke("token", "x"), 401, tokenep.InvalidClient),
		refuses("JSON", revoke("token", mine).By("billing").With("Content-Type", "application/json"), 400, tokenep.InvalidRequest),
		refuses("the token in the URL", revoke().By("billing").At(revokePath+"?token="+mine), 400, tokenep.InvalidRequest),
	})
	if _, err := f.Verify(t, mine); err != nil {
		t.Fatalf("a refused revocation revoked the token: %v", err)
	}
	done := func(name string, r request, token string) {
		t.Helper()
		a := f.Send(t, r)
		if a.Status != http.StatusOK || string(a.Body) != "{}" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		a.NotStored(t)
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("%s: the token is still good", name)
		}
	}
	writes := f.Store.Writes()
	done("2.2: an unknown token", revoke("token", "x").By("billing"), "x")
	done("2.2: with a changed signature", revoke("token", mine+"x").By("billing"), mine+"x")
	if now := f.Store.Writes(); now != writes {
		t.Errorf("unknown tokens wrote %d records", now-writes)
	}
	expired := f.Mint(t, tokenep.Claims{Expires: tokeneptest.Start.Truncate(time.Second)})
	done("2.2: an expired token", revoke("token", expired).By("billing"), expired)
	done("2.2: its own token", revoke("token", mine).By("billing"), mine)
	writes = f.Store.Writes()
	done("2.2: once more", revoke("token", mine).By("billing"), mine)
	if now := f.Store.Writes(); now != writes {
		t.Errorf("revoking a token again wrote %d records", now-writes)
	}
	hinted := f.Issued(t, plain.By("billing"))
	done("2.1: a wrong hint", revoke("token", hinted, "token_type_hint", "refresh_token").By("billing"), hinted)
	hinted = f.Issued(t, plain.By("billing"))
	done("2.1: an unknown hint, and parameters of other endpoints", revoke("token", hinted, "token_type_hint", "x", "scope", "\"", "resource", "#").By("billing"), hinted)
	public := f.Mint(t, tokenep.Claims{ClientID: "app"})
	done("a mistyped API token is unknown", revoke("token", text+"x").By("billing"), text+"x")
	done("2.1: a public client", revoke("token", public, "client_id", "app"), public)
}

// RFC 7009 §2.1: the tokens that a token was exchanged for are revoked with it; the one that it
// came of is not.
func TestRevokeExchanged(t *testing.T) {
	f := tokeneptest.New(t)
	swap := func(token, kind, client string) string {
		r := post("grant_type", exchange, "subject_token", token, "subject_token_type", kind)
		if client != "" {
			r = r.By(client)
		}
		a, _ := f.Granted(t, r)
		return a.AccessToken()
	}
	good := func(name, token string, want bool) {
		t.Helper()
		if _, err := f.Verify(t, token); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	root := f.Mint(t, tokenep.Claims{})
	child := swap(root, accessToken, "billing")
	sibling := swap(root, accessToken, "billing")
	grandchild := swap(child, accessToken, "billing")
	f.Send(t, post("token", sibling).By("billing").At(revokePath))
	good("its sibling was revoked", child, true)
	good("its child was revoked", root, true)
	f.Send(t, post("token", root).By("billing").At(revokePath))
	good("the token itself", root, false)
	good("what it was exchanged for", child, false)
	good("and what that was exchanged for", grandchild, false)

	// A token that was exchanged for an API token without a client is revoked by whoever holds it.
	// The API token stays good.
	text, made := f.NewAPIToken(t, anyToken)
	bare, other := swap(text, apiToken, ""), swap(text, apiToken, "")
	before := f.Config.Memory.Revocations.Len()
	f.Send(t, post("token", bare).By("billing").At(revokePath)).Refused(t, 400, tokenep.InvalidGrant)
	for _, time := range []string{"once", "twice"} {
		if a := f.Send(t, post("token", bare).At(revokePath)); a.Status != http.StatusOK || string(a.Body) != "{}" {
			t.Errorf("%s: %d %s", time, a.Status, a.Body)
		}
	}
	if n := f.Config.Memory.Revocations.Len(); n != before+1 {
		t.Errorf("%d entries more, want 1", n-before)
	}
	good("the bare token", bare, false)
	good("the other one", other, true)
	if err := f.APITokens.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	good("what came of a revoked API token", other, false)
}

// A verifier may accept a token for some time after its expiry, since clocks differ. A revoked one
// stays refused in that time too.
func TestRevokeOutlivesLeeway(t *testing.T) {
	f := tokeneptest.New(t)
	v := f.NewVerifier(t, func(c *verify.Config) { c.Leeway = verify.MaxLeeway })
	revoked, kept := f.Mint(t, tokenep.Claims{}), f.Mint(t, tokenep.Claims{})
	f.Send(t, post("token", revoked).By("billing").At(revokePath))
	f.Clock.Advance(time.Hour + 4*time.Minute)
	f.Config.Memory.Revocations.Sweep(f.Clock.Now())
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: kept}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: revoked}); err == nil {
		t.Error("a revoked token is good again after its expiry")
	}
}

// A token that verifiers still accept after its expiry, since clocks differ, can still be revoked.
func TestRevokeWithinLeeway(t *testing.T) {
	f := tokeneptest.New(t)
	v := f.NewVerifier(t, func(c *verify.Config) { c.Leeway = verify.MaxLeeway })
	token := f.Mint(t, tokenep.Claims{})
	f.Clock.Advance(time.Hour + 4*time.Minute)
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: token}); err != nil {
		t.Fatal(err)
	}
	f.Send(t, post("token", token).By("billing").At(revokePath))
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: token}); err == nil {
		t.Error("a token that was revoked after its expiry is still taken")
	}
}

// After a reload that shortens the life of tokens, earlier tokens live for as long as before. If
// they are revoked, they stay so for as long.
func TestRevokeOutlivesShorterLife(t *testing.T) {
	f := tokeneptest.New(t)
	text, made := f.NewAPIToken(t, anyToken)
	a, _ := f.Granted(t, post("grant_type", exchange, "subject_token", text, "subject_token_type", apiToken))
	bare := a.AccessToken()
	client := tokenep.Client{ID: "passing", GrantTypes: []string{cc}}
	secret, err := f.Clients.Add(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	a, _ = f.Granted(t, plain.Basic("passing", secret))
	passing := a.AccessToken()

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
	if err := reloaded.APITokens.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := reloaded.Clients.Remove(t.Context(), "passing"); err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(3 * time.Hour)
	c.Memory.Revocations.Sweep(f.Clock.Now())
	for name, token := range map[string]string{"what came of a revoked API token": bare, "the token of a removed client": passing} {
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("%s is good again", name)
		}
	}
}

// The log says which token of whom was revoked, once.
func TestRevocationIsLogged(t *testing.T) {
	holder := tokenep.APITokenClientPrefix + "000000000000"
	for client, by := range map[string]func(request) request{
		"billing": func(r request) request { return r.By("billing") },
		holder:    func(r request) request { return r }, // the token is enough
	} {
		f := tokeneptest.New(t)
		token := f.Mint(t, tokenep.Claims{ClientID: client})
		parsed, err := f.Verify(t, token)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			f.Send(t, by(post("token", token).At(revokePath)))
		}
		log := f.Log.String()
		_, line, found := strings.Cut(log, "token revoked")
		line, _, _ = strings.Cut(line, "\n")
		if !found || strings.Count(log, "token revoked") != 1 || !strings.Contains(line, "client="+client) || !strings.Contains(line, "jti="+parsed.ID) {
			t.Errorf("%s: the log is\n%s", client, log)
		}
	}
}

// RFC 7009 §2.1: a client revokes a refresh token of its own, of any generation, and with it all
// that came of the same sign-in. Others learn nothing, and change nothing.
func TestRevokeRefreshToken(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople)
	revoke := func(token string, pairs ...string) request {
		return post(append([]string{"token", token}, pairs...)...).At(revokePath)
	}
	for _, client := range []string{"site", "native"} {
		by := func(r request) request {
			if client == "native" {
				r.Body += "&client_id=native"
				return r
			}
			return r.By(client)
		}
		a, _ := f.Granted(t, tokeneptest.RedeemCode(client, f.Code(t, client)))
		b, _ := f.Granted(t, tokeneptest.Refresh(client, a.RefreshToken()))
		f.Run(t, []rule{
			refuses("nobody", revoke(a.RefreshToken()), 401, tokenep.InvalidClient),
			refuses("another client", revoke(a.RefreshToken()).By("billing"), 400, tokenep.InvalidGrant),
			refuses("a public client", revoke(a.RefreshToken(), "client_id", "app"), 400, tokenep.InvalidGrant),
		})
		c, _ := f.Granted(t, tokeneptest.Refresh(client, b.RefreshToken()))
		for _, time := range []string{"once", "twice"} { // which may have been rotated
			if got := f.Send(t, by(revoke(a.RefreshToken(), "token_type_hint", "access_token"))); got.Status != 200 || string(got.Body) != "{}" {
				t.Errorf("%s: %d %s", time, got.Status, got.Body)
			}
		}
		f.Send(t, tokeneptest.Refresh(client, c.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
		for _, token := range []string{a.AccessToken(), b.AccessToken(), c.AccessToken()} {
			if _, err := f.Verify(t, token); err == nil {
				t.Errorf("%s: an access token is good", client)
			}
		}
	}
	if got := f.Send(t, revoke("rt_"+strings.Repeat("A", 120)).By("site")); got.Status != 200 {
		t.Errorf("an unknown one: %d %s", got.Status, got.Body)
	}
}

// Whoever holds an API token may end it, and with it what came of it.
func TestRevokeAPIToken(t *testing.T) {
	f := tokeneptest.New(t)
	for name, by := range map[string]func(request) request{
		"nobody":   func(r request) request { return r },
		"a client": func(r request) request { return r.By("billing") },
	} {
		text, _ := f.NewAPIToken(t, anyToken)
		token := f.Issued(t, tokeneptest.ExchangeAPIToken(text))
		for _, time := range []string{"once", "twice"} {
			if a := f.Send(t, by(post("token", text).At(revokePath))); a.Status != 200 || string(a.Body) != "{}" {
				t.Errorf("%s, %s: %d %s", name, time, a.Status, a.Body)
			}
		}
		f.Send(t, tokeneptest.ExchangeAPIToken(text)).Refused(t, 400, tokenep.InvalidRequest)
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("%s: an access token is good", name)
		}
	}
	text, _ := f.NewAPIToken(t, anyToken)
	f.Send(t, post("token", text).Basic("billing", "x").At(revokePath)).Refused(t, 401, tokenep.InvalidClient)
	f.Store.SetAway(true)
	f.Send(t, post("token", text).At(revokePath)).Refused(t, 503, tokenep.TemporarilyUnavailable)

	none := tokeneptest.New(t, func(c *server.Config) { c.Exchange = server.Exchange{} })
	none.Send(t, post("token", text).At(revokePath)).Refused(t, 400, tokenep.UnsupportedTokenType)
}

// A token is revoked by its client whatever it is bound to: whoever has lost the key must be able
// to.
func TestRevokeBoundToken(t *testing.T) {
	s := tokeneptest.New(t)
	token := s.Issued(t, plain.By("billing").Proving(s.NewProver(), nil))
	active := func() any { return s.Send(t, introspect(token).By("billing")).JSON["active"] }
	if active() != true {
		t.Fatal("it is not active")
	}
	s.Send(t, post("token", token).By("billing").At(revokePath))
	if active() != false {
		t.Error("it was revoked, and is active")
	}
}
