package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// jumps are what a clock may do that is set wrong, and right again.
var jumps = map[string][]time.Duration{
	"ahead":          {time.Hour},
	"back":           {-time.Hour},
	"ahead and back": {time.Hour, -time.Hour},
	"back and ahead": {-time.Hour, time.Hour},
}

// onEachJump runs a test whose clock is set by jump, a step for each call, until it returns false.
func onEachJump(t *testing.T, run func(t *testing.T, f *fixture, jump func() bool), changes ...func(*server.Config)) {
	for name, steps := range jumps {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, changes...)
			run(t, f, func() bool {
				if len(steps) == 0 {
					return false
				}
				f.clock.Advance(steps[0])
				steps = steps[1:]
				if err := f.Keys.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				return true
			})
		})
	}
}

// cached asks a verifier that knows what was proven before, as oauth_verify does.
func (f *fixture) cached(t *testing.T) *verify.Verifier {
	t.Helper()
	trusted := f.Trusted()
	trusted.InsecureAnyAudience = true
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Cache: f.Config.Memory.Cache, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A token is dead at its exp, whatever the clock did in between, and whether it was proven before or not.
func TestClockThatJumpsMakesNoTokenImmortal(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *fixture, jump func() bool) {
		cached := f.cached(t)
		a, token := f.granted(t, plain.by("billing"))
		raw := a.json["access_token"].(string)
		text, limited := f.apiToken(t, state.APIToken{Expires: f.clock.Now().Add(90 * time.Minute)})
		for more := true; more; more = jump() {
			for _, at := range []time.Time{token.Expires.Add(-time.Second), token.Expires} {
				f.at(at, func() {
					want := at.Before(token.Expires)
					_, plainly := f.verify(t, raw)
					_, proven := cached.Verify(t.Context(), verify.Presentation{Token: raw})
					if (plainly == nil) != want || (proven == nil) != want {
						t.Errorf("at %s: %v, and from the cache %v; want it to pass: %t", at, plainly, proven, want)
					}
				})
			}
			f.at(limited.Expires, func() {
				refused(t, f.do(t, redeem(text)), http.StatusBadRequest, tokenep.InvalidRequest)
			})
		}
	})
}

// at asks what holds at another time.
func (f *fixture) at(when time.Time, ask func()) {
	d := when.Sub(f.clock.Now())
	f.clock.Advance(d)
	ask()
	f.clock.Advance(-d)
}

// What was revoked stays so, also if its entry was old enough to be dropped for a while.
func TestClockThatJumpsBringsNothingBack(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *fixture, jump func() bool) {
		cached := f.cached(t)
		var revoked []string
		for _, client := range []string{"billing", "short"} { // four hours, and a minute and a half
			a, _ := f.granted(t, plain.by(client))
			token := a.json["access_token"].(string)
			if a := f.do(t, post("token", token).by(client).at(revokePath)); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			revoked = append(revoked, token)
		}
		text, made := f.apiToken(t, anyToken)
		bearer := redeem(text)
		a, _ := f.granted(t, bearer)
		revoked = append(revoked, a.json["access_token"].(string))
		if err := f.APITokens.Revoke(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		for more := true; more; more = jump() {
			for i, token := range revoked {
				_, plainly := f.verify(t, token)
				if _, proven := cached.Verify(t.Context(), verify.Presentation{Token: token}); plainly == nil || proven == nil {
					t.Errorf("revoked token %d passes: %v %v", i, plainly, proven)
				}
			}
			refused(t, f.do(t, bearer), http.StatusBadRequest, tokenep.InvalidRequest)
			f.apiToken(t, anyToken) // inserted, and the store drops what has expired
			// A node that starts now reads the same from the store.
			fresh := f.Config
			fresh.Memory = server.NewMemory(f.clock.Now)
			other := &fixture{clock: f.clock, log: f.log}
			other.serve(t, fresh)
			if err := other.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, token := range revoked {
				if _, err := other.verify(t, token); err == nil {
					t.Errorf("revoked token %d passes on a node that has just started", i)
				}
			}
		}
	})
}

// What can be done once is done once: an API token is rotated, and the old one is no more.
func TestClockThatJumpsSpendsNothingTwice(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *fixture, jump func() bool) {
		text, made := f.apiToken(t, anyToken)
		next, _, err := f.APITokens.Rotate(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		for jump() {
			if _, _, err := f.APITokens.Rotate(t.Context(), made.ID); err == nil {
				t.Error("rotated twice")
			}
			refused(t, f.do(t, redeem(text)), http.StatusBadRequest, tokenep.InvalidRequest)
			f.granted(t, redeem(next))
		}
	})
}

// The server signs with a key that is published, and what it signs passes.
func TestClockThatJumpsSignsWithAPublishedKey(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *fixture, jump func() bool) {
		for more := true; more; more = jump() {
			f.granted(t, plain.by("billing"))
			if err := f.Keys.Rotate(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			a, _ := f.granted(t, plain.by("billing"))
			if jwks := f.do(t, get("/oauth/jwks")); !strings.Contains(string(jwks.body), kid(t, a.json["access_token"].(string))) {
				t.Errorf("the key set lacks the key that signs: %s", jwks.body)
			}
		}
	})
}

// kid is the key that a token names in its header.
func kid(t *testing.T, token string) string {
	t.Helper()
	var header struct{ Kid string }
	text, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil || header.Kid == "" {
		t.Fatalf("%s: %v", text, err)
	}
	return `"` + header.Kid + `"`
}

// An address that was slowed down is back after as long as it was told, and no later because the clock has gone back.
func TestClockThatJumpsLocksNobodyOut(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *fixture, jump func() bool) {
		for range 21 {
			_ = f.Config.Memory.Limiter.Failed(netip.MustParseAddr("192.0.2.1"), "billing")
		}
		for jump() {
			a := f.do(t, plain.by("billing"))
			if a.status != http.StatusTooManyRequests {
				continue
			}
			wait, err := strconv.Atoi(a.header.Get("Retry-After"))
			if err != nil || wait > 60 {
				t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
			}
		}
		f.clock.Advance(4 * time.Minute)
		f.granted(t, plain.by("billing"))
	}, limited)
}
