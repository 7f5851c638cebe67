package subject_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func blocks(texts ...string) []netip.Prefix {
	list, err := verify.ParseAddresses(texts)
	if err != nil {
		panic(err)
	}
	return list
}

// atPeer lets all requests come from one address.
func atPeer(c *server.Config) {
	c.ClientAddress = func(*http.Request) netip.Addr { return tokeneptest.Peer }
}

// RFC 8693 §2.2.2: an API token that is good, and may not be used like this. Nothing is spent.
func TestExchangeHoldsToTheLimitsOfAPITokens(t *testing.T) {
	f := tokeneptest.New(t, atPeer)
	here, elsewhere := blocks(tokeneptest.Peer.String()), blocks("198.51.100.0/24")
	newToken := func(want state.APIToken) string {
		text, _ := f.NewAPIToken(t, want)
		return text
	}
	f.Run(t, []rule{
		grants("from an allowed address", redeem(newToken(state.APIToken{Addresses: verify.Addresses{AllowFrom: here}}))),
		refuses("from another address", redeem(newToken(state.APIToken{Addresses: verify.Addresses{AllowFrom: elsewhere}})), 400, tokenep.InvalidRequest),
		refuses("from a denied address", redeem(newToken(state.APIToken{Addresses: verify.Addresses{DenyFrom: here}})), 400, tokenep.InvalidRequest),
		refuses("too early", redeem(newToken(state.APIToken{NotBefore: tokeneptest.Start.Add(time.Hour)})), 400, tokenep.InvalidRequest),
	})
	for name, want := range map[string]state.APIToken{
		"rate":  {Rate: verify.Rate{N: 2, Per: time.Hour}},
		"quota": {Quota: verify.Rate{N: 2, Per: 30 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			text := newToken(want)
			f.Granted(t, redeem(text))
			for range 5 { // refused for something else
				f.Send(t, redeem(text, "scope", "orders:write admin")).Refused(t, 400, tokenep.InvalidScope)
			}
			f.Granted(t, redeem(text))
			writes := f.Store.Writes()
			for range 3 {
				a := f.Send(t, redeem(text))
				a.Refused(t, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable)
				if got := a.Header.Get("Retry-After"); got != strconv.Itoa(30*60) {
					t.Errorf("Retry-After is %q, want half an hour", got)
				}
			}
			if now := f.Store.Writes(); now != writes {
				t.Errorf("%d records were written for refused requests", now-writes)
			}
			f.Clock.Advance(30 * time.Minute)
			f.Granted(t, redeem(text))
		})
	}
}

// Addresses and rate go with the access token, and with all that it is exchanged for.
func TestLimitsAreSealedIntoAccessTokens(t *testing.T) {
	f := tokeneptest.New(t, atPeer, tokeneptest.AnyActor)
	_, free := f.Granted(t, redeem(func() string { text, _ := f.NewAPIToken(t, anyToken); return text }()))
	if free.Claims["use_limits"] != nil || free.Limits != nil {
		t.Errorf("a token without limits has %v", free.Claims["use_limits"])
	}
	text, made := f.NewAPIToken(t, state.APIToken{
		Addresses: verify.Addresses{AllowFrom: blocks("192.0.2.0/24", "2001:db8::/32", tokeneptest.Peer.String()), DenyFrom: blocks("192.0.2.7")},
		Rate:      verify.Rate{N: 100, Per: time.Minute}, Quota: verify.Rate{N: 10, Per: time.Hour},
	})
	own := map[string]any{
		"id": made.ID, "allow_from": []any{"192.0.2.0/24", "2001:db8::/32", tokeneptest.Peer.String() + "/32"},
		"deny_from": []any{"192.0.2.7/32"}, "rate": "100/1m",
	}
	a, token := f.Granted(t, redeem(text).By("billing"))
	if got := token.Claims["use_limits"]; !tokeneptest.EqualJSON(got, []any{own}) {
		t.Errorf("use_limits is %v, want %v", got, own)
	}
	next, child := f.Granted(t, swap(a.AccessToken()).By("billing"))
	if got := child.Claims["use_limits"]; !tokeneptest.EqualJSON(got, []any{own}) {
		t.Errorf("after an exchange use_limits is %v, want %v", got, own)
	}
	slow, slowMade := f.NewAPIToken(t, state.APIToken{Rate: verify.Rate{N: 1, Per: time.Hour}})
	other := map[string]any{"id": slowMade.ID, "rate": "1/1h"}
	_, acting := f.Granted(t, swap(next.AccessToken(), "actor_token", slow, "actor_token_type", apiToken).By("billing"))
	if got := acting.Claims["use_limits"]; !tokeneptest.EqualJSON(got, []any{own, other}) {
		t.Errorf("with an actor use_limits is %v, want both", got)
	}
	// The same API token twice is one limit.
	_, twice := f.Granted(t, swap(next.AccessToken(), "actor_token", text, "actor_token_type", apiToken).By("billing"))
	if got := twice.Claims["use_limits"]; !tokeneptest.EqualJSON(got, []any{own}) {
		t.Errorf("twice the same, use_limits is %v, want one", got)
	}
}
