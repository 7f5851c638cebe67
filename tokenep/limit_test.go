package tokenep_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 6749 §10.10: failed authentication is slowed down and then refused. While it is refused, a
// right secret is refused too, so that nobody learns that it was right; after some time requests
// are answered again.
func TestClientAuthLimit(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Limited)
	wrong := plain.Basic("billing", "x")
	for range 10 {
		f.Send(t, wrong).Refused(t, 401, tokenep.InvalidClient)
		f.Send(t, plain.Basic("reports", "x")).Refused(t, 401, tokenep.InvalidClient)
	}
	f.Granted(t, plain.By("reports")) // ten failures cost nothing
	limiter := f.Config.Memory.Limiter
	for range 11 {
		_ = limiter.Attempt(tokenep.RateLimit{}, tokeneptest.Peer, "billing").Count()
	}
	for name, r := range map[string]request{
		"a wrong secret": wrong, "a right secret": plain.By("billing"), "the body": post("grant_type", cc, "client_id", "billing", "client_secret", "billing-secret"), "revocation": post("token", "x").By("billing").At(revokePath),
	} {
		a := f.Send(t, r)
		a.Refused(t, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable)
		if a.Header.Get("Retry-After") != "20" {
			t.Errorf("%s: Retry-After: %s", name, a.Header.Get("Retry-After"))
		}
	}
	text, _ := f.NewAPIToken(t, anyToken)
	f.Granted(t, redeem(text)) // has no client to guess
	f.Clock.Advance(4500 * time.Millisecond)
	if a := f.Send(t, wrong); a.Header.Get("Retry-After") != "16" {
		t.Errorf("Retry-After of 15.5 s: %s", a.Header.Get("Retry-After"))
	}
	f.Clock.Advance(110 * time.Second) // eleven are forgotten
	f.Granted(t, plain.By("billing"))
}

// A library that tries Basic first and then the body fails once each time (x/oauth2, AutoDetect).
// It is never locked out, however often it asks.
func TestClientAuthLimitProbe(t *testing.T) {
	bodies := tokeneptest.NewClient("bodies", cc)
	bodies.AuthMethod = tokenep.AuthPost
	f := tokeneptest.New(t, tokeneptest.Limited, tokeneptest.WithClients(bodies))
	for range 50 {
		f.Send(t, plain.By("bodies")).Refused(t, 401, tokenep.InvalidClient)
		f.Granted(t, post("grant_type", cc, "client_id", "bodies", "client_secret", "bodies-secret"))
	}
	// The success of one client does not make up for guesses at another.
	for range 22 {
		f.Send(t, plain.Basic("billing", "x"))
		f.Granted(t, plain.By("reports"))
	}
	f.Send(t, plain.By("billing")).Refused(t, 429, tokenep.TemporarilyUnavailable)
}

// The delay grows from nothing at ten failures to two seconds at twenty. It is measured by the fake
// clock of synctest.
func TestClientAuthSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &tokenep.Limiter{Now: time.Now}
		address := netip.MustParseAddr("2001:db8::1")
		for n, want := range map[int]time.Duration{10: 0, 11: 200 * time.Millisecond, 15: time.Second, 20: 2 * time.Second} {
			*l = tokenep.Limiter{Now: time.Now}
			for range n {
				_ = l.Attempt(tokenep.RateLimit{}, address, "x").Count()
			}
			before := time.Now()
			if err := l.Attempt(tokenep.RateLimit{}, netip.MustParseAddr("2001:db8::ffff"), "x").Allow(t.Context()); err != nil {
				t.Errorf("%d failures: %v", n, err)
			}
			if waited := time.Since(before); waited.Round(time.Millisecond) != want {
				t.Errorf("after %d failures in the same /64 a request waits %s, want %s", n, waited, want)
			}
			before = time.Now()
			if err := l.Attempt(tokenep.RateLimit{}, netip.MustParseAddr("2001:db8:0:1::1"), "x").Allow(t.Context()); err != nil || time.Since(before) != 0 {
				t.Errorf("another network waits %s, %v", time.Since(before), err)
			}
		}
	})
}

// Failures of an IPv4 address are counted for that address alone, however it is written.
func TestClientAuthLimitAddresses(t *testing.T) {
	now := tokeneptest.Start
	l := &tokenep.Limiter{Now: func() time.Time { return now }}
	for range 30 {
		_ = l.Attempt(tokenep.RateLimit{}, netip.MustParseAddr("::ffff:192.0.2.1"), "x").Count()
	}
	for address, want := range map[string]bool{"192.0.2.1": false, "::ffff:192.0.2.1": false, "192.0.2.2": true} {
		if err := l.Attempt(tokenep.RateLimit{}, netip.MustParseAddr(address), "x").Allow(t.Context()); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	now = now.Add(300 * time.Second)
	if err := l.Attempt(tokenep.RateLimit{}, tokeneptest.Peer, "x").Allow(t.Context()); err != nil {
		t.Errorf("after five minutes: %v", err)
	}
	var none *tokenep.Limiter
	attempt := none.Attempt(tokenep.RateLimit{}, netip.Addr{}, "x")
	if err := errors.Join(attempt.Count(), attempt.Allow(t.Context()), attempt.Succeeded()); err != nil {
		t.Errorf("no limiter: %v", err)
	}
}
