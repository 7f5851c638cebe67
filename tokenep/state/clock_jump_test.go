package state_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What is good for a while, or for one use: make returns how it is used, and life is how long it
// may be.
var perishable = []struct {
	name string
	once bool // good for one use
	life time.Duration
	make func(t *testing.T, i *issuer) (use func() error)
}{
	{"code", true, state.DefaultCodeLife, func(t *testing.T, i *issuer) func() error {
		code, _, err := i.signIn(t.Context(), "ann")
		must(t, err)
		return func() error { _, err := redeem(t.Context(), i.codes, code, anyCode); return err }
	}},
	{"device code", true, state.DefaultDeviceLife, func(t *testing.T, i *issuer) func() error {
		code, err := i.allowedDevice(t.Context(), "ann")
		must(t, err)
		return func() error { _, err := poll(t.Context(), i.devices, code, anyDevice); return err }
	}},
	{"id", true, time.Minute + verify.MaxLeeway, func(t *testing.T, i *issuer) func() error {
		id, exp := state.GenerateSecret(), i.now().Add(time.Minute)
		return func() error { return i.seen.Add(t.Context(), "jump", id, exp) }
	}},
	{"refresh token", false, state.DefaultIdle, func(t *testing.T, i *issuer) func() error {
		token, _ := mustStart(t, i.families)
		return func() error {
			next, err := i.refresh(t.Context(), token)
			if err == nil {
				token = next
			}
			return err
		}
	}},
	{"API token", false, day(1), func(t *testing.T, i *issuer) func() error {
		token, _ := mustCreate(t, i.tokens, "ann")
		return func() error { _, err := exchange(t.Context(), i.tokens, token); return err }
	}},
	{"secret of a client", false, time.Hour, func(t *testing.T, i *issuer) func() error {
		client := billing()
		client.Secrets = []tokenep.Secret{{Hash: tokenep.HashSecret("s"), Expires: i.now().Add(time.Hour)}}
		must(t, client.Validate())
		basic := clientauth.All(clientauth.NewSecrets(clientauth.SecretOptions{Now: i.now}), nil, nil)[0]
		sent := &tokenep.Credentials{Method: basic.Method(), Readings: []tokenep.Reading{{ID: client.ID, Secret: "s"}}}
		return func() error { return basic.Verify(t.Context(), &client, sent) }
	}},
	{"API token that is rolled when it is used", true, day(1), func(t *testing.T, i *issuer) func() error {
		token, made := mustCreate(t, i.tokens, "ann")
		return func() error {
			_, err := exchange(t.Context(), i.tokens, token)
			if err == nil {
				_, _, err = i.tokens.Roll(t.Context(), made.ID, 0)
			}
			return err
		}
	}},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onEachJump runs a test with a clock that is set ahead, and back, by an hour.
func onEachJump(t *testing.T, test func(t *testing.T, i *issuer, c *clock, jump time.Duration)) {
	t.Helper()
	for name, jump := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) { test(t, newIssuer(s, c.Now), c, jump) })
		})
	}
}

// collect has engines drop what has expired: memory does with each insert.
func collect(t *testing.T, i *issuer, c *clock) {
	t.Helper()
	for range 20 {
		must(t, i.seen.Add(t.Context(), "garbage", state.GenerateSecret(), c.Now().Add(time.Minute)))
	}
	if b, ok := i.seen.Store.(*bolt.Store); ok {
		_, err := b.Sweep(t.Context())
		must(t, err)
	}
}

// A clock that is set an hour ahead or back, and set right again, lets nobody use anything twice.
func TestClockThatJumpsLetsNothingBeSpentTwice(t *testing.T) {
	for _, p := range perishable {
		if !p.once {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			onEachJump(t, func(t *testing.T, i *issuer, c *clock, jump time.Duration) {
				// From before the jump on, or from during it, or from after it.
				for _, when := range []int{0, 1, 2} {
					use := p.make(t, i)
					used := 0
					for step, d := range []time.Duration{0, jump, -jump, time.Second} {
						c.Advance(d)
						collect(t, i, c)
						if step >= when && use() == nil {
							used++
						}
					}
					if used > 1 || when == 0 && used == 0 {
						t.Errorf("used from step %d on, it was good %d times, want once", when, used)
					}
				}
			})
		})
	}
}

// Nothing becomes immortal: what is made while the clock is wrong, or before, is dead when its time
// is over, an hour late at most; and nothing that is used while the clock is wrong lives longer for
// that.
func TestClockThatJumpsMakesNothingImmortal(t *testing.T) {
	for _, p := range perishable {
		t.Run(p.name, func(t *testing.T) {
			onEachJump(t, func(t *testing.T, i *issuer, c *clock, jump time.Duration) {
				for name, steps := range map[string][]time.Duration{
					"made before": {0, jump, -jump}, "made after": {jump, 0, -jump}, "and the clock stays wrong": {0, jump, 0},
				} {
					c.Advance(steps[0])
					use := p.make(t, i)
					if !p.once {
						must(t, use())
					}
					c.Advance(steps[1])
					if !p.once {
						_ = use()
					}
					c.Advance(steps[2])
					c.Advance(p.life + time.Hour)
					if err := use(); err == nil || errors.Is(err, store.ErrUnavailable) {
						t.Errorf("%s: %v after %v, want a refusal", name, err, p.life+time.Hour)
					}
				}
			})
		})
	}
}

// An access token that is revoked stays so for as long as it lives, although the clock was wrong
// when it was revoked, or is for a while after. Then the entry is forgotten, by the log and by the
// set.
func TestClockThatJumpsBringsNoRevokedTokenBack(t *testing.T) {
	for name, steps := range map[string][2]int{"revoked before the jump": {0, 1}, "revoked during the jump": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			onEachJump(t, func(t *testing.T, i *issuer, c *clock, jump time.Duration) {
				issued := c.Now()
				token, made := mustCreate(t, i.tokens, "ann")
				_, renewed := mustCreate(t, i.tokens, "bob")
				_, f := mustStart(t, i.families)
				c.Advance(time.Second + time.Duration(steps[0])*jump)
				must(t, i.log.Add(t.Context(), verify.Revocation{
					Claim: "jti", Value: "one", Expires: issued.Add(accessLife + verify.MaxLeeway),
				}))
				must(t, i.tokens.Revoke(t.Context(), made.ID, ""))
				must(t, i.families.Revoke(t.Context(), f.ID))
				_, _, err := i.tokens.Roll(t.Context(), renewed.ID, 0)
				must(t, err)
				c.Advance(time.Duration(steps[1]) * jump)
				for _, d := range []time.Duration{0, -jump, accessLife / 2, accessLife/2 - 2*time.Second} {
					c.Advance(d)
					collect(t, i, c)
					must(t, i.log.Follow(t.Context()))
					restarted := newIssuer(i.codes.Store, c.Now)
					must(t, restarted.log.Start(t.Context()))
					for _, node := range []*issuer{i, restarted} {
						// It may have been issued by a node whose clock was as wrong.
						later := accessToken(renewed.ID)
						later.IssuedAt = issued.Add(max(0, jump))
						if !node.revoked("one") || !node.grantRevoked(made.ID) || !node.grantRevoked(f.ID) || !node.set.Revoked(later) {
							t.Fatalf("%v after it was issued, a revoked token is good", c.Now().Sub(issued))
						}
					}
				}
				if _, err := exchange(t.Context(), i.tokens, token); !errors.Is(err, state.ErrBadAPIToken) {
					t.Errorf("the API token: %v", err)
				}
				c.Advance(3 * time.Hour)
				collect(t, i, c)
				must(t, i.log.Follow(t.Context()))
				if n := i.set.Len(); n != 0 {
					t.Errorf("%d entries are kept for ever", n)
				}
			})
		})
	}
}

// Two nodes, one of which is an hour ahead, spend nothing twice, and keep each other's families.
func TestNodesWhoseClocksDifferSpendNothingTwice(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		ahead := newClock()
		ahead.Advance(time.Hour)
		nodes := [2]*issuer{newIssuer(node(), c.Now), newIssuer(node(), ahead.Now)}
		for first := range nodes {
			one, other := nodes[first], nodes[1-first]
			code, made, err := other.signIn(t.Context(), "ann")
			must(t, err)
			_, err = one.redeem(t.Context(), code)
			if _, again := other.redeem(t.Context(), code); (err == nil) == (again == nil) {
				t.Errorf("a code at one node: %v, then at the other: %v, want one of them", err, again)
			}
			if err == nil && !other.grantRevoked(made.Family) {
				t.Error("a replay at the other node ends nothing")
			}

			token, f := mustStart(t, one.families)
			for i := range 6 { // to and fro
				token, err = nodes[i%2].refresh(t.Context(), token)
				must(t, err)
			}
			if _, err := other.families.Inspect(t.Context(), token); err != nil || token == "" {
				t.Errorf("family %s: %v", f.ID, err)
			}

			text, apiToken := mustCreate(t, one.tokens, fmt.Sprint("ann ", first))
			if _, _, err := other.tokens.Roll(t.Context(), apiToken.ID, 0); err != nil {
				t.Errorf("rolling at the other node: %v", err)
			}
			if _, err := exchange(t.Context(), one.tokens, text); !errors.Is(err, state.ErrRolledAPIToken) {
				t.Errorf("the old secret: %v", err)
			}
			exp := ahead.Now().Add(time.Minute)
			must(t, one.seen.Add(t.Context(), "nodes", fmt.Sprint(first), exp))
			if err := other.seen.Add(t.Context(), "nodes", fmt.Sprint(first), exp); !errors.Is(err, state.ErrSpent) {
				t.Errorf("an id at the other node: %v, want ErrSpent", err)
			}
		}
	})
}
