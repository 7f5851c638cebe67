package endpoint_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

const introspectPath = "/oauth/introspect"

// withResources is a Change: api is the protected resource Orders, and monitor stands for all.
func withResources(c *server.Config) {
	tokeneptest.WithPeople(c)
	api, monitor := tokeneptest.NewClient("api"), tokeneptest.NewClient("monitor")
	api.Introspect, monitor.Introspect = []string{tokeneptest.Orders}, []string{"*"}
	c.Clients = append(c.Clients, api, monitor)
}

func introspect(token string, pairs ...string) request {
	return post(append([]string{"token", token}, pairs...)...).At(introspectPath)
}

// RFC 7662 §2.1 and §2.3: who may ask, and how.
func TestIntrospectionRules(t *testing.T) {
	s := tokeneptest.New(t, withResources)
	token, users := s.Issued(t, plain.By("billing")), s.Mint(t, tokenep.Claims{})
	s.Run(t, []rule{
		refuses("2.1: no token", introspect("").By("api"), 400, tokenep.InvalidRequest),
		refuses("2.1: the token twice", introspect(token, "token", token).By("api"), 400, tokenep.InvalidRequest),
		refuses("2.1: nobody", introspect(token), 401, tokenep.InvalidClient),
		refuses("2.1: a bad bearer token", introspect(token).With("Authorization", "Bearer junk"), 401, tokenep.InvalidClient),
		refuses("2.1: the bearer token of a user", introspect(token).With("Authorization", "Bearer "+users), 401, tokenep.InvalidClient),
		refuses("2.1: a wrong secret", introspect(token).Basic("api", "x"), 401, tokenep.InvalidClient),
		refuses("2.1: a public client", introspect(token, "client_id", "native"), 400, tokenep.UnauthorizedClient),
		refuses("2.1: GET", tokeneptest.Get(introspectPath+"?token="+token).By("api"), 405, tokenep.InvalidRequest),
		refuses("4: the token in the URL", introspect("").By("api").At(introspectPath+"?token="+token), 400, tokenep.InvalidRequest),
	})
}

// RFC 7662 §2.2: what each kind of token says to whom. Whoever is not to know is told
// {"active":false}, and nothing else; so is everybody of a token that is not good.
func TestIntrospection(t *testing.T) {
	s := tokeneptest.New(t, withResources)
	told := func(r request) map[string]any {
		t.Helper()
		before := s.Store.Writes()
		a := s.Send(t, r)
		if a.Status != 200 || s.Store.Writes() != before {
			t.Fatalf("%d %s, %d writes", a.Status, a.Body, s.Store.Writes()-before)
		}
		a.NotStored(t)
		if a.JSON["active"] == false && len(a.JSON) != 1 {
			t.Errorf("too much is said: %s", a.Body)
		}
		return a.JSON
	}
	people, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site", "resource", tokeneptest.Orders)))
	text, made := s.NewAPIToken(t, state.APIToken{Scope: []string{"read"}})
	own := s.Issued(t, plain.By("billing"))
	reports := s.Issued(t, plain.By("reports"))
	acting := s.Mint(t, tokenep.Claims{
		Subject: "bob", ClientID: "site", Act: map[string]any{"sub": "alice"}, MayAct: map[string]any{"sub": "carol"},
		Confirmation: map[string]any{"jkt": "x"}, SignIn: tokenep.SignIn{Time: s.Clock.Now(), Class: "loa2", Methods: []string{"pwd"}},
	})
	begun := tokeneptest.Start.Truncate(time.Second).Unix()
	for _, c := range []struct {
		name, token, client string
		want                map[string]any // nil: not active
	}{
		{"an access token, its client", people.AccessToken(), "site", map[string]any{
			"iss": issuer, "sub": "alice", "username": "alice", "client_id": "site", "aud": tokeneptest.Orders, "scope": "read write",
			"token_type": "Bearer", "iat": begun, "exp": begun + 4*3600,
		}},
		{"an access token, its resource", people.AccessToken(), "api", map[string]any{"sub": "alice", "client_id": "site"}},
		{"an access token, all resources", people.AccessToken(), "monitor", map[string]any{"sub": "alice"}},
		{"an access token, another client", people.AccessToken(), "billing", nil},
		{"an access token, another resource", reports, "api", nil},
		{"a token of a client's own", own, "billing", map[string]any{"sub": "client:billing", "username": nil}},
		{"a delegated token", acting, "api", map[string]any{
			"sub": "bob", "act": map[string]any{"sub": "alice"}, "may_act": map[string]any{"sub": "carol"}, "cnf": map[string]any{"jkt": "x"},
			"token_type": "DPoP", "auth_time": s.Clock.Now().Unix(), "acr": "loa2", "amr": []string{"pwd"},
		}},
		{"a refresh token, its client", people.RefreshToken(), "site", map[string]any{
			"iss": issuer, "sub": "alice", "client_id": "site", "aud": tokeneptest.Orders, "scope": "read write", "token_type": nil,
			"exp": begun + 14*24*3600,
		}},
		{"a refresh token, a resource", people.RefreshToken(), "monitor", nil},
		{"a refresh token, another client", people.RefreshToken(), "billing", nil},
		{"an API token, its service", text, "api", map[string]any{
			"sub": "alice", "client_id": "api_token:" + made.ID, "aud": tokeneptest.Orders, "scope": "read", "exp": made.Expires.Unix(),
		}},
		{"an API token, another client", text, "site", nil},
		{"junk", "junk", "monitor", nil},
		{"an access token with another signature", own + "x", "monitor", nil},
		{"an unknown refresh token", strings.Replace(people.RefreshToken(), "rt_", "rt_A", 1)[:len(people.RefreshToken())], "site", nil},
		{"a mistyped API token", text + "x", "monitor", nil},
	} {
		for _, hint := range []string{"", "access_token", "refresh_token", "junk"} {
			got := told(introspect(c.token, "token_type_hint", hint).By(c.client))
			if got["active"] != (c.want != nil) {
				t.Errorf("%s: %v", c.name, got)
			}
			for member, want := range c.want {
				if !tokeneptest.EqualJSON(got[member], want) {
					t.Errorf("%s: %s is %v, want %v", c.name, member, got[member], want)
				}
			}
		}
	}

	// A token is not active from its exp on, although verifiers forgive clocks that differ.
	ending := s.Mint(t, tokenep.Claims{Expires: tokeneptest.Start.Truncate(time.Second).Add(time.Minute)})
	for _, step := range []struct {
		after  time.Duration
		active bool
	}{{59 * time.Second, true}, {100 * time.Millisecond, false}} {
		s.Clock.Advance(step.after)
		if got := told(introspect(ending).By("monitor")); got["active"] != step.active {
			t.Errorf("%s before its exp: %v", time.Minute-step.after, got)
		}
	}

	// Dead tokens: revoked, rotated, expired.
	for _, r := range []request{
		post("token", own).By("billing"), post("token", people.RefreshToken()).By("site"), post("token", text),
	} {
		if a := s.Send(t, r.At(revokePath)); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	s.Clock.Advance(4 * time.Hour)
	for name, token := range map[string]string{
		"revoked": own, "of a revoked refresh token": people.AccessToken(), "a revoked refresh token": people.RefreshToken(),
		"a revoked API token": text, "expired": acting,
	} {
		for _, client := range []string{"site", "billing", "monitor"} {
			if got := told(introspect(token).By(client)); got["active"] != false {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

// RFC 7662 §2.1: a bearer token that a client got for itself says who asks.
func TestIntrospectionByABearerToken(t *testing.T) {
	s := tokeneptest.New(t, withResources)
	token, others := s.Issued(t, plain.By("billing")), s.Issued(t, plain.By("reports"))
	for asked, active := range map[string]bool{token: true, others: false} {
		a := s.Send(t, introspect(asked).With("Authorization", "bearer "+token))
		if a.Status != 200 || a.JSON["active"] != active {
			t.Errorf("%d %s, want active: %v", a.Status, a.Body, active)
		}
	}
	if a := s.Send(t, introspect(others).By("monitor")); a.JSON["active"] != true {
		t.Errorf("%s", a.Body)
	}
	s.Send(t, post("token", token).By("billing").At(revokePath))
	s.Send(t, introspect(others).With("Authorization", "Bearer "+token)).Refused(t, 401, tokenep.InvalidClient)
}

// A rotated refresh token that is introspected ends nothing: to look is not to use.
func TestIntrospectionOfARotatedToken(t *testing.T) {
	s := tokeneptest.New(t, withResources, func(c *server.Config) { c.RefreshTokens.Rotation = "always" })
	a, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site")))
	b, _ := s.Granted(t, tokeneptest.Refresh("site", a.RefreshToken()))
	s.Clock.Advance(state.DefaultGrace + time.Second)
	if got := s.Send(t, introspect(a.RefreshToken()).By("site")); got.JSON["active"] != false {
		t.Errorf("%s", got.Body)
	}
	s.Granted(t, tokeneptest.Refresh("site", b.RefreshToken()))
}

// Nobody can tell while the store is away: that is no answer to throw a token away for.
func TestIntrospectionWhenTheStoreIsAway(t *testing.T) {
	s := tokeneptest.New(t, withResources)
	a, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site")))
	text, _ := s.NewAPIToken(t, anyToken)
	s.Store.SetAway(true)
	s.Send(t, introspect(a.RefreshToken()).By("site")).Refused(t, 503, tokenep.TemporarilyUnavailable)
	s.Send(t, introspect(text).By("api")).Refused(t, 503, tokenep.TemporarilyUnavailable)
	if got := s.Send(t, introspect(a.AccessToken()).By("api")); got.JSON["active"] != true {
		t.Errorf("an access token needs no store: %s", got.Body)
	}
}

// RFC 7662 §2.2: an API token says what it is good for now: no more than its owner may have, within
// its limits, and until when, if it ends.
func TestIntrospectionOfAnAPIToken(t *testing.T) {
	may := map[string]verify.Scope{"alice": {"read", "write"}}
	s := tokeneptest.New(t, withResources, func(c *server.Config) {
		rules := *c.Exchange.APITokens
		rules.AllowNever = true
		rules.OwnerScope = func(_ context.Context, owner, _ string) (verify.Scope, error) {
			if may[owner] == nil {
				return nil, state.ErrNotAllowed
			}
			return may[owner], nil
		}
		c.Exchange.APITokens = &rules
	})
	text, made := s.NewAPIToken(t, state.APIToken{
		Scope: []string{"read", "write"}, NoExpiry: true, Rate: verify.Rate{N: 10, Per: time.Minute},
		Addresses: verify.Addresses{AllowFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	})
	free, _ := s.NewAPIToken(t, state.APIToken{Scope: []string{"write"}})
	ask := func(token string) map[string]any { return s.Send(t, introspect(token).By("api")).JSON }

	limits := []any{map[string]any{"id": made.ID, "allow_from": []string{"192.0.2.0/24"}, "rate": "10/1m"}}
	if got := ask(text); got["active"] != true || got["scope"] != "read write" || !tokeneptest.EqualJSON(got["use_limits"], limits) {
		t.Errorf("%v", got)
	} else if _, there := got["exp"]; there {
		t.Errorf("exp of a token that never ends: %v", got)
	}
	if got := ask(free); got["exp"] == nil || got["use_limits"] != nil {
		t.Errorf("one that ends, and has no limits: %v", got)
	}
	may["alice"] = verify.Scope{"read"}
	if got := ask(text); got["active"] != true || got["scope"] != "read" {
		t.Errorf("its owner may have less now: %v", got)
	}
	if got := ask(free); got["scope"] != nil {
		t.Errorf("its owner may have nothing of it now: %v", got)
	}
	delete(may, "alice")
	if got := ask(text); got["active"] != false || len(got) != 1 {
		t.Errorf("its owner may not have it: %v", got)
	}
}
