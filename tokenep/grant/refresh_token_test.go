package grant_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 6749 §6: less scope, or fewer resources, narrow one access token, and never the grant. More
// is refused, like the token of another client, and nothing comes of it.
func TestRefreshRules(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, tokeneptest.WithClients(other("other", grant.RefreshTokenType)))
	a, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "scope", "read")))
	b, _ := s.Granted(t, redeemCode("native", s.Code(t, "native", "resource", orders)))
	site := func(pairs ...string) request { return refresh("site", a.RefreshToken(), pairs...) }
	s.Run(t, []rule{
		refuses("6: refresh_token missing", site("refresh_token", ""), 400, tokenep.InvalidRequest),
		refuses("6: unknown", site("refresh_token", "rt_"), 400, tokenep.InvalidGrant),
		refuses("6: another client", refresh("other", a.RefreshToken()), 400, tokenep.InvalidGrant),
		refuses("6: a public client", refresh("native", a.RefreshToken()), 400, tokenep.InvalidGrant),
		refuses("6: a confidential client that does not authenticate",
			tokeneptest.Post("grant_type", grant.RefreshTokenType, "refresh_token", a.RefreshToken(), "client_id", "site"), 401, tokenep.InvalidClient),
		refuses("6: more scope", site("scope", "read write"), 400, tokenep.InvalidScope),
		refuses("6: scope of nobody", site("scope", "admin"), 400, tokenep.InvalidScope),
		refuses("RFC 8707 2.2: another resource", refresh("native", b.RefreshToken(), "resource", invoices), 400, tokenep.InvalidTarget),
		refuses("RFC 8707 2.2: a resource of nobody", site("resource", "https://elsewhere.example"), 400, tokenep.InvalidTarget),
		grants("after all that, the token", site()),
		grants("and that of the public client", refresh("native", b.RefreshToken())),
	})
}

// The access token is narrowed, and the family keeps what the user allowed.
func TestRefreshNarrowsTheAccessTokenAlone(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	for _, client := range []string{"site", "native"} {
		a, first := s.Granted(t, redeemCode(client, s.Code(t, client)))
		if first.Scope.String() != "read write" || len(first.Audience) != 2 {
			t.Errorf("%+v", first)
		}
		b, narrow := s.Granted(t, refresh(client, a.RefreshToken(), "scope", "read", "resource", invoices))
		if narrow.Scope.String() != "read" || len(narrow.Audience) != 1 || b.JSON["scope"] != "read" {
			t.Errorf("%+v %s", narrow, b.Body)
		}
		_, whole := s.Granted(t, refresh(client, b.RefreshToken()))
		if whole.Scope.String() != "read write" || len(whole.Audience) != 2 || whole.Claims["grant_id"] != first.Claims["grant_id"] {
			t.Errorf("%+v", whole)
		}
	}
}

// RFC 9700 §4.14.2: public clients rotate, and reuse ends the family with all its access tokens.
// Confidential clients prove who they are: theirs goes on, however late.
func TestRotation(t *testing.T) {
	type outcome struct{ public, confidential bool } // is the token another one?
	for rotation, want := range map[grant.Rotation]outcome{
		"": {true, false}, grant.RotatePublic: {true, false}, grant.RotateAlways: {true, true}, grant.RotateNever: {false, false},
	} {
		t.Run("rotation "+string(rotation), func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.RefreshTokens.Rotation = rotation })
			for client, rotates := range map[string]bool{"native": want.public, "site": want.confidential} {
				a, _ := s.Granted(t, redeemCode(client, s.Code(t, client)))
				b, _ := s.Granted(t, refresh(client, a.RefreshToken()))
				if b.RefreshToken() == "" || (a.RefreshToken() != b.RefreshToken()) != rotates {
					t.Errorf("%s has another token: %v, want %v", client, !rotates, rotates)
				}
				s.Clock.Advance(state.DefaultGrace)
				again, _ := s.Granted(t, refresh(client, a.RefreshToken()))
				if again.RefreshToken() != b.RefreshToken() {
					t.Errorf("%s has a second successor", client)
				}
				s.Clock.Advance(time.Millisecond)
				if !rotates {
					s.Granted(t, refresh(client, a.RefreshToken()))
					continue
				}
				s.Send(t, refresh(client, a.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
				s.Send(t, refresh(client, b.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
				if _, err := s.Verify(t, b.AccessToken()); err == nil {
					t.Errorf("%s: the family has ended, and its access token is good", client)
				}
			}
		})
	}
	if err := grant.Rotation("sometimes").Validate(); err == nil {
		t.Error("any rotation is good")
	}
}

// A change of the setting ends no family, in whichever direction.
func TestRotationChanges(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	a, _ := s.Granted(t, redeemCode("site", s.Code(t, "site")))
	token := a.RefreshToken()
	for _, rotation := range []grant.Rotation{grant.RotateAlways, grant.RotateNever, grant.RotateAlways, grant.RotatePublic} {
		c := s.Config
		c.RefreshTokens.Rotation = rotation
		s = s.Next(t, c)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s.Clock.Advance(time.Hour)
			a, _ := s.Granted(t, refresh("site", token))
			token = a.RefreshToken()
		}
	}
}

// RFC 9700 §4.14.2: a refresh token ends when it is not used, and when the time is up that the user
// was told, whether it is rotated or not. The answer says when (draft-ietf-oauth-refresh-token-
// expiration).
func TestRefreshTokensEnd(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		c.RefreshTokens.Idle, c.RefreshTokens.Absolute = time.Hour, 150*time.Minute
	})
	for _, client := range []string{"site", "native"} {
		unused, _ := s.Granted(t, redeemCode(client, s.Code(t, client)))
		a, _ := s.Granted(t, redeemCode(client, s.Code(t, client)))
		for _, step := range []struct {
			after          time.Duration
			timeout, whole float64
		}{
			{0, 3600, 9000}, {50 * time.Minute, 3600, 6000}, {50 * time.Minute, 3000, 3000}, {49 * time.Minute, 60, 60},
		} {
			s.Clock.Advance(step.after)
			b, token := s.Granted(t, refresh(client, a.RefreshToken()))
			if b.JSON["refresh_token_timeout"] != step.timeout || b.JSON["authorization_expires_in"] != step.whole {
				t.Errorf("%s: %s; want %v and %v s", client, b.Body, step.timeout, step.whole)
			}
			if left := token.Expires.Sub(s.Clock.Now()).Seconds(); left > step.whole {
				t.Errorf("%s: the access token outlives the authorization by %v s", client, left-step.whole)
			}
			a = b
		}
		s.Clock.Advance(time.Minute)
		s.Send(t, refresh(client, a.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
		s.Send(t, refresh(client, unused.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
	}
}

// A resource that the server does not serve to the client any more is invalid_grant: a client that
// is told invalid_target does not ask the user anew.
func TestRefreshOfWhatIsNotServed(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	both, _ := s.Granted(t, redeemCode("site", s.Code(t, "site")))
	one, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "resource", invoices)))
	c := s.Config
	for i := range c.Clients {
		if c.Clients[i].ID == "site" {
			c.Clients[i].Audience = []string{orders}
		}
	}
	s = s.Next(t, c)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, token := s.Granted(t, refresh("site", both.RefreshToken())); len(token.Audience) != 1 || token.Audience[0] != orders {
		t.Errorf("aud %q, want what is left", token.Audience)
	}
	s.Run(t, []rule{
		refuses("all of it", refresh("site", one.RefreshToken()), 400, tokenep.InvalidGrant),
		refuses("asked for by name", refresh("site", one.RefreshToken(), "resource", invoices), 400, tokenep.InvalidGrant),
		refuses("asked for by name, beside another", refresh("site", both.RefreshToken(), "resource", invoices), 400, tokenep.InvalidGrant),
		refuses("what never was", refresh("site", both.RefreshToken(), "resource", issuer), 400, tokenep.InvalidTarget),
	})
}

// Fifty refreshes at once, with one token, are fifty answers, and one family.
func TestFiftyRefreshesAtOnce(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	for _, client := range []string{"site", "native"} {
		a, _ := s.Granted(t, redeemCode(client, s.Code(t, client)))
		next := make([]string, 50)
		var wg sync.WaitGroup
		for i := range next {
			wg.Go(func() {
				b := s.Send(t, refresh(client, a.RefreshToken()))
				if b.Status != 200 {
					t.Errorf("%d %s", b.Status, b.Body)
				}
				next[i] = b.RefreshToken()
			})
		}
		wg.Wait()
		for _, token := range next {
			if token != next[0] {
				t.Fatalf("%s has several successors", client)
			}
		}
		s.Granted(t, refresh(client, next[0]))
	}
}

// A refresh of a client that is not rotated writes nothing, most of the time.
func TestRefreshWritesNothing(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	a, _ := s.Granted(t, redeemCode("site", s.Code(t, "site")))
	before := s.Store.Writes()
	for range 100 {
		s.Clock.Advance(time.Minute)
		s.Granted(t, refresh("site", a.RefreshToken()))
	}
	if n := s.Store.Writes() - before; n != 0 {
		t.Errorf("100 refreshes wrote %d records", n)
	}
	s.Clock.Advance(34 * time.Hour)
	s.Granted(t, refresh("site", a.RefreshToken()))
	if n := s.Store.Writes() - before; n != 1 {
		t.Errorf("after a tenth of the idle time: %d writes, want 1", n)
	}
}
