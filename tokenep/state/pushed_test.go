package state_test

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func aRequest() state.AuthorizationRequest {
	maxAge := int64(0)
	return state.AuthorizationRequest{
		ClientID: "web", RegistrationID: "R", RedirectURI: "https://web.example/cb", RedirectImplied: true, State: "s",
		Mode: "query", Scope: verify.Scope{"orders"}, Audience: []string{"https://api.example"}, Challenge: "c",
		ChallengeMethod: "S256", Nonce: "n", Prompt: []string{"consent"}, MaxAge: &maxAge,
	}
}

// RFC 9126 §2.2, §4, §7.3: when a pushed request can be opened, and that it can be spent once.
func TestPushedRequests(t *testing.T) {
	const open, spend = "open", "spend"
	type step struct {
		after time.Duration
		verb  string
		want  error
	}
	for name, steps := range map[string][]step{
		"opened again and again, then spent once": {
			{0, open, nil}, {0, open, nil}, {0, spend, nil}, {0, open, state.ErrSpent}, {0, spend, state.ErrSpent},
		},
		"opened just in time, and spent much later": {
			{state.DefaultPushedLife - 1e6, open, nil}, {1e6, open, state.ErrExpired}, {state.PushedTail - time.Second, spend, nil},
		},
		"the clock goes back, and it stays spent": {{0, spend, nil}, {-time.Hour, open, state.ErrSpent}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				pushed := state.PushedRequests{Store: s, Now: c.Now}
				reference, made, err := pushed.Push(t.Context(), aRequest())
				if err != nil || made.Expires.Sub(made.Created) != 90*time.Second {
					t.Fatalf("Push: %+v, %v", made, err)
				}
				for _, step := range steps {
					c.Advance(step.after)
					if step.verb == spend {
						err = pushed.Spend(t.Context(), reference)
					} else {
						var got state.AuthorizationRequest
						got, err = pushed.Open(t.Context(), reference, "web")
						if err == nil && !reflect.DeepEqual(got, aRequest()) {
							t.Errorf("opened %+v", got)
						}
					}
					if !errors.Is(err, step.want) {
						t.Errorf("%s: %v, want %v", step.verb, err, step.want)
					}
				}
			})
		})
	}
}

func TestPushedRequestIsOfOneClient(t *testing.T) {
	c := newClock()
	s := storetest.NewFaulty(newMemory(t, c.Now))
	pushed := state.PushedRequests{Store: s, Life: time.Minute, Now: c.Now}
	reference, _, err := pushed.Push(t.Context(), aRequest())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		reference, client string
		want              error
	}{
		{reference, "other", state.ErrUnknown},
		{state.GenerateSecret(), "web", state.ErrUnknown},
		{"", "web", state.ErrMalformed},
		{reference + "0", "web", state.ErrMalformed},
	} {
		if got, err := pushed.Open(t.Context(), row.reference, row.client); !errors.Is(err, row.want) || got.ClientID != "" {
			t.Errorf("%q of %s: %+v, %v, want %v", row.reference, row.client, got, err, row.want)
		}
	}
	if err := pushed.Spend(t.Context(), state.GenerateSecret()); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("Spend: %v", err)
	}
	c.Advance(time.Minute)
	if _, err := pushed.Open(t.Context(), reference, "web"); !errors.Is(err, state.ErrExpired) {
		t.Errorf("Open: %v", err)
	}
	s.Fail(away())
	_, _, pushErr := pushed.Push(t.Context(), aRequest())
	_, openErr := pushed.Open(t.Context(), reference, "web")
	for _, err := range []error{pushErr, openErr, pushed.Spend(t.Context(), reference)} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
			t.Errorf("%v, want store.ErrUnavailable", err)
		}
	}
}

// RFC 9126 §7.3: a page in two windows gives one code.
func TestOfEightWhoSpendAPushedRequestOneSucceeds(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		nodes := []state.PushedRequests{{Store: node(), Now: c.Now}, {Store: node(), Now: c.Now}}
		reference, _, err := nodes[0].Push(t.Context(), aRequest())
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := nodes[i%2].Spend(t.Context(), reference); err == nil {
					won.Add(1)
				} else if !errors.Is(err, state.ErrSpent) {
					t.Errorf("Spend: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d succeeded", won.Load())
		}
	})
}
