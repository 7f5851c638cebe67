package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// jumps are the ways in which a clock is set wrong, and right again.
var jumps = map[string][]time.Duration{
	"ahead":          {time.Hour},
	"back":           {-time.Hour},
	"ahead and back": {time.Hour, -time.Hour},
	"back and ahead": {-time.Hour, time.Hour},
}

// onEachJump runs a test for each way. jump sets the clock, a step for each call, until it returns
// false.
func onEachJump(t *testing.T, run func(t *testing.T, f *tokeneptest.Server, jump func() bool), changes ...tokeneptest.Change) {
	for name, steps := range jumps {
		t.Run(name, func(t *testing.T) {
			f := tokeneptest.New(t, changes...)
			run(t, f, func() bool {
				if len(steps) == 0 {
					return false
				}
				f.Clock.Advance(steps[0])
				steps = steps[1:]
				if err := f.Keys.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				return true
			})
		})
	}
}

// cached returns a verifier that shares the cache of the server, as oauth_verify does.
func cached(t *testing.T, f *tokeneptest.Server) *verify.Verifier {
	t.Helper()
	return f.NewVerifier(t, func(c *verify.Config) { c.Cache = f.Config.Memory.Cache })
}

// A token is refused from its exp on, whatever the clock did in between, and whether it was in the
// cache or not.
func TestClockThatJumpsMakesNoTokenImmortal(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *tokeneptest.Server, jump func() bool) {
		proven := cached(t, f)
		a, token := f.Granted(t, plain.By("billing"))
		raw := a.AccessToken()
		text, limited := f.NewAPIToken(t, state.APIToken{Expires: f.Clock.Now().Add(90 * time.Minute)})
		for more := true; more; more = jump() {
			for _, when := range []time.Time{token.Expires.Add(-time.Second), token.Expires} {
				at(f, when, func() {
					want := when.Before(token.Expires)
					_, plainly := f.Verify(t, raw)
					_, fromCache := proven.Verify(t.Context(), verify.Presentation{Token: raw})
					if (plainly == nil) != want || (fromCache == nil) != want {
						t.Errorf("at %s: %v, and from the cache %v; want it to pass: %t", when, plainly, fromCache, want)
					}
				})
			}
			at(f, limited.Expires, func() {
				f.Send(t, redeem(text)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
			})
		}
	})
}

// at calls ask at another time.
func at(f *tokeneptest.Server, when time.Time, ask func()) {
	d := when.Sub(f.Clock.Now())
	f.Clock.Advance(d)
	ask()
	f.Clock.Advance(-d)
}

// What was revoked stays so, also if its entry could be dropped for a while.
func TestClockThatJumpsBringsNothingBack(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *tokeneptest.Server, jump func() bool) {
		proven := cached(t, f)
		var revoked []string
		for _, client := range []string{"billing", "short"} { // four hours, and a minute and a half
			a, _ := f.Granted(t, plain.By(client))
			token := a.AccessToken()
			if a := f.Send(t, post("token", token).By(client).At(revokePath)); a.Status != http.StatusOK {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			revoked = append(revoked, token)
		}
		text, made := f.NewAPIToken(t, anyToken)
		bearer := redeem(text)
		a, _ := f.Granted(t, bearer)
		revoked = append(revoked, a.AccessToken())
		if err := f.APITokens.Revoke(t.Context(), made.ID, ""); err != nil {
			t.Fatal(err)
		}
		for more := true; more; more = jump() {
			for i, token := range revoked {
				_, plainly := f.Verify(t, token)
				if _, fromCache := proven.Verify(t.Context(), verify.Presentation{Token: token}); plainly == nil || fromCache == nil {
					t.Errorf("revoked token %d passes: %v %v", i, plainly, fromCache)
				}
			}
			f.Send(t, bearer).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
			f.NewAPIToken(t, anyToken) // inserted, and the store drops what has expired
			// A node that starts now reads the same from the store.
			fresh := f.Config
			fresh.Memory = server.NewMemory(f.Clock.Now)
			other := f.Next(t, fresh)
			if err := other.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, token := range revoked {
				if _, err := other.Verify(t, token); err == nil {
					t.Errorf("revoked token %d passes on a node that has just started", i)
				}
			}
		}
	})
}

// The old secret of an API token that was rolled stays refused, and the new one good.
func TestClockThatJumpsSpendsNothingTwice(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *tokeneptest.Server, jump func() bool) {
		text, made := f.NewAPIToken(t, anyToken)
		next, _, err := f.APITokens.Roll(t.Context(), made.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		for jump() {
			f.Send(t, redeem(text)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
			if a := f.Send(t, redeem(next)); a.Status != http.StatusOK {
				t.Errorf("the new one is answered with %d", a.Status)
			}
		}
	})
}

// The server signs with a key that is published, and verifiers accept what it signs.
func TestClockThatJumpsSignsWithAPublishedKey(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *tokeneptest.Server, jump func() bool) {
		for more := true; more; more = jump() {
			f.Granted(t, plain.By("billing"))
			if err := f.Keys.Rotate(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			a, _ := f.Granted(t, plain.By("billing"))
			if jwks := f.Send(t, get("/oauth/jwks")); !strings.Contains(string(jwks.Body), kid(t, a.AccessToken())) {
				t.Errorf("the key set lacks the key that signs: %s", jwks.Body)
			}
		}
	})
}

// kid returns the key id in the header of a token.
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

// An address that was refused may come back after the time that it was told, and no later because
// the clock was set back.
func TestClockThatJumpsLocksNobodyOut(t *testing.T) {
	onEachJump(t, func(t *testing.T, f *tokeneptest.Server, jump func() bool) {
		for range 21 {
			_ = f.Config.Memory.Limiter.Attempt(tokenep.RateLimit{}, tokeneptest.Peer, "billing").Count()
		}
		for jump() {
			a := f.Send(t, plain.By("billing"))
			if a.Status != http.StatusTooManyRequests {
				continue
			}
			wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
			if err != nil || wait > 60 {
				t.Errorf("Retry-After: %s", a.Header.Get("Retry-After"))
			}
		}
		f.Clock.Advance(4 * time.Minute)
		f.Granted(t, plain.By("billing"))
	}, tokeneptest.Limited)
}
