package state_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func TestRotateChangesTheSecretAndNothingElse(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, set := newAPITokens(s, c)
		oldText, old := mustCreate(t, tokens, "ann")
		c.Advance(24 * time.Hour)
		text, made, err := tokens.Rotate(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exchange(t.Context(), tokens, text); err != nil {
			t.Errorf("the new one: %v", err)
		}
		if _, err := exchange(t.Context(), tokens, oldText); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("the old one: %v, want ErrRevokedAPIToken", err)
		}
		if !set.Revoked(accessToken(old.ID)) || set.Revoked(accessToken(made.ID)) {
			t.Error("want the access tokens of the old one revoked, and only those")
		}
		if made.ID == old.ID || made.Name != old.Name || made.Owner != old.Owner || made.Service != old.Service ||
			!slices.Equal(made.Scope, old.Scope) || !made.Expires.Equal(old.Expires) {
			t.Errorf("made %+v of %+v", made, old)
		}
		if _, _, err := tokens.Rotate(t.Context(), old.ID); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("rotating a revoked token: %v, want ErrRevokedAPIToken", err)
		}
		if _, _, err := tokens.Rotate(t.Context(), "000000000000"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("rotating an unknown token: %v, want store.ErrNotFound", err)
		}
	})
}

func TestRotateProlongsNothing(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	_, old := mustCreate(t, tokens, "ann")
	tokens.MaxAge = time.Hour // lowered meanwhile
	_, made, err := tokens.Rotate(t.Context(), old.ID)
	if want := c.Now().Add(time.Hour); err != nil || !made.Expires.Equal(want) {
		t.Errorf("expires %v, %v, want %v, the maximum of today", made.Expires, err, want)
	}
	c.Advance(time.Hour)
	if _, _, err := tokens.Rotate(t.Context(), made.ID); !errors.Is(err, state.ErrExpiredAPIToken) && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("rotating an expired token: %v, want ErrExpiredAPIToken, or store.ErrNotFound once it is swept", err)
	}
}

func TestRotateNeedsNoRoomBelowTheMaximum(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		var last state.APIToken
		for range tokens.MaxPerUser {
			_, last = mustCreate(t, tokens, "ann")
		}
		for range 5 {
			_, next, err := tokens.Rotate(t.Context(), last.ID)
			if err != nil {
				t.Fatal(err)
			}
			last = next
			if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, state.ErrTooMany) {
				t.Fatalf("one more: %v, want ErrTooMany", err)
			}
		}
		tokens.MaxPerUser = 1 // lowered meanwhile
		if _, _, err := tokens.Rotate(t.Context(), last.ID); err != nil {
			t.Errorf("with a lower maximum: %v", err)
		}
	})
}

// Wherever a process dies while it rotates, one of the two works, and the owner can finish what it
// began.
func TestRotateThatDiesLeavesATokenThatWorks(t *testing.T) {
	for n := range 6 {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			c := newClock()
			f := storetest.NewFaulty(newMemory(t, c.Now))
			tokens, set := newAPITokens(f, c)
			tokens.MaxPerUser = 2
			mustCreate(t, tokens, "ann")
			text, old := mustCreate(t, tokens, "ann")
			dieAtWrite(f, n)
			next, made, err := tokens.Rotate(t.Context(), old.ID)
			f.Fail(nil)
			if err == nil { // it had no more writes to die at
				text, old = next, made
			}
			if _, err := exchange(t.Context(), tokens, text); err != nil {
				t.Fatalf("no token works: %v", err)
			}
			c.Advance(time.Minute)
			if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, state.ErrTooMany) {
				t.Errorf("one more than the maximum: %v, want ErrTooMany", err)
			}
			if got := live(t, tokens, "ann"); got > 2 {
				t.Errorf("%d live after another one was refused, want 2", got)
			}
			if _, err := exchange(t.Context(), tokens, text); err != nil {
				t.Errorf("it was ended in favour of one that nobody saw: %v", err)
			}
			issued := accessToken(old.ID)
			issued.IssuedAt = c.Now().Add(time.Second)
			if set.Revoked(issued) {
				t.Error("it works, but the access tokens that are issued for it do not")
			}
		})
	}
}

func TestRotateThatDiedIsRepeated(t *testing.T) {
	for n := range 5 {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			c := newClock()
			f := storetest.NewFaulty(newMemory(t, c.Now))
			tokens, _ := newAPITokens(f, c)
			tokens.MaxPerUser = 1
			oldText, old := mustCreate(t, tokens, "ann")
			dieAtWrite(f, n)
			_, _, err := tokens.Rotate(t.Context(), old.ID)
			f.Fail(nil)
			if err == nil {
				return // it had no more writes to die at
			}
			c.Advance(time.Minute)
			text, _, err := tokens.Rotate(t.Context(), old.ID)
			if err != nil {
				t.Fatalf("once more: %v", err)
			}
			if _, err := exchange(t.Context(), tokens, text); err != nil {
				t.Errorf("the new one: %v", err)
			}
			if _, err := exchange(t.Context(), tokens, oldText); !errors.Is(err, state.ErrRevokedAPIToken) {
				t.Errorf("the old one: %v, want ErrRevokedAPIToken", err)
			}
			if n := live(t, tokens, "ann"); n != 1 {
				t.Errorf("%d live, want 1: the one that nobody saw must be gone", n)
			}
		})
	}
}

// What one interrupted rotation has left does not hide what the next one leaves.
func TestRotateThatDiedTwiceIsRepeated(t *testing.T) {
	for first := range 5 {
		for second := range 12 {
			t.Run(fmt.Sprintf("write %d, then %d", first, second), func(t *testing.T) {
				c := newClock()
				f := storetest.NewFaulty(newMemory(t, c.Now))
				tokens, _ := newAPITokens(f, c)
				_, old := mustCreate(t, tokens, "ann")
				for _, n := range []int{first, second} {
					dieAtWrite(f, n)
					_, _, err := tokens.Rotate(t.Context(), old.ID)
					f.Fail(nil)
					if err == nil {
						return // it had no more writes to die at
					}
					c.Advance(time.Minute)
				}
				text, _, err := tokens.Rotate(t.Context(), old.ID)
				if err != nil {
					t.Fatalf("once more: %v", err)
				}
				if _, err := exchange(t.Context(), tokens, text); err != nil {
					t.Errorf("the new one: %v", err)
				}
				if n := live(t, tokens, "ann"); n != 1 {
					t.Errorf("%d live, want 1: those that nobody saw must be gone", n)
				}
			})
		}
	}
}

func TestOfManyThatRotateOneTokenOneGetsIt(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		tokens, _ := newAPITokens(node(), c)
		other, _ := newAPITokens(node(), c)
		nodes := []state.APITokens{tokens, other}
		_, old := mustCreate(t, tokens, "ann")
		var wg sync.WaitGroup
		texts := make(chan string, 8)
		for i := range 8 {
			wg.Go(func() {
				text, _, err := nodes[i%2].Rotate(t.Context(), old.ID)
				if err == nil {
					texts <- text
				} else if !errors.Is(err, state.ErrRotating) && !errors.Is(err, state.ErrRevokedAPIToken) {
					t.Errorf("error %v, want ErrRotating or ErrRevokedAPIToken", err)
				}
			})
		}
		wg.Wait()
		if len(texts) != 1 {
			t.Fatalf("%d got a token, want 1", len(texts))
		}
		if _, err := exchange(t.Context(), tokens, <-texts); err != nil {
			t.Errorf("it does not work: %v", err)
		}
		if n := live(t, tokens, "ann"); n != 1 {
			t.Errorf("%d live, want 1", n)
		}
	})
}

// One that is only slow must not end the old token when the new one is gone, wherever its clock is
// set meanwhile.
func TestRotateThatIsTooSlowChangesNothing(t *testing.T) {
	for name, jump := range map[string]time.Duration{"": 0, "and the clock is set back": -time.Hour, "and the clock is set ahead": time.Hour} {
		t.Run(name, func(t *testing.T) { testSlowRotation(t, jump) })
	}
}

func testSlowRotation(t *testing.T, jump time.Duration) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	tokens.MaxPerUser = 1
	quick, _ := newAPITokens(f.Store, c)
	quick.MaxPerUser = 1
	text, old := mustCreate(t, tokens, "ann")
	slept := false
	f.Fail(func(call storetest.Call) storetest.Fault {
		// The write that would revoke the old one.
		if call.Verb == "Swap" && call.ID == old.ID && !slept {
			slept = true
			c.Advance(2 * time.Minute)
			if _, _, err := quick.Create(t.Context(), ask("ann")); !errors.Is(err, state.ErrTooMany) {
				t.Errorf("one more: %v, want ErrTooMany", err)
			}
			c.Advance(jump)
		}
		return storetest.None
	})
	if _, _, err := tokens.Rotate(t.Context(), old.ID); !errors.Is(err, state.ErrRotating) {
		t.Errorf("Rotate: %v, want ErrRotating", err)
	}
	if _, err := exchange(t.Context(), quick, text); err != nil {
		t.Errorf("the old one: %v", err)
	}
	if n := live(t, quick, "ann"); n != 1 {
		t.Errorf("%d live, want 1", n)
	}
}

// Somebody who revokes a token means what it is about to become, too.
func TestRevokeBeatsARotation(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	other, _ := newAPITokens(f.Store, c)
	_, old := mustCreate(t, tokens, "ann")
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Insert" && call.Kind == "api_token" {
			if err := other.Revoke(t.Context(), old.ID); err != nil {
				t.Error(err)
			}
		}
		return storetest.None
	})
	if _, _, err := tokens.Rotate(t.Context(), old.ID); !errors.Is(err, state.ErrRevokedAPIToken) {
		t.Errorf("Rotate: %v, want ErrRevokedAPIToken", err)
	}
	if n := live(t, other, "ann"); n != 0 {
		t.Errorf("%d live, want none", n)
	}
}
