package registry_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A client that registered itself ends if it is not used, in every engine; its first use is one
// write, by however many nodes it is noticed.
func TestRegisteredClientEndsUnlessItIsUsed(t *testing.T) {
	enginetest.EachStore(t, func(t *testing.T, s store.Store, c *verifytest.Clock) {
		clients := registry.Registry{Store: s, Now: c.Now}
		var made [2]registry.Registered
		for i := range made {
			var err error
			if made[i], err = clients.Register(t.Context(), tokenep.Client{Name: "x", GrantTypes: []string{"client_credentials"}}, time.Hour, true); err != nil {
				t.Fatal(err)
			}
		}
		used, err := clients.Load(t.Context(), made[0].Client.ID)
		if err != nil || !used.SelfRegistered || used.UnusedUntil != c.Now().Add(time.Hour).Unix() {
			t.Fatalf("%+v, %v", used, err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := clients.Use(t.Context(), used); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if r, err := s.Load(t.Context(), "client", used.ID); err != nil || r.Version != 2 || !r.Expires.IsZero() || strings.Contains(string(r.Data), made[0].AccessToken) {
			t.Errorf("%+v, %v", r, err)
		}
		c.Advance(time.Hour)
		for i, want := range []error{nil, tokenep.InvalidClient} {
			if _, err := clients.Load(t.Context(), made[i].Client.ID); !errors.Is(err, want) {
				t.Errorf("%d: Load: %v, want %v", i, err, want)
			}
			if _, err := clients.Authorized(t.Context(), made[i].Client.ID, made[i].AccessToken); !errors.Is(err, want) {
				t.Errorf("%d: Authorized: %v, want %v", i, err, want)
			}
			if err := clients.Use(t.Context(), &made[i].Client); !errors.Is(err, want) {
				t.Errorf("%d: Use: %v, want %v", i, err, want)
			}
			if _, err := clients.Replace(t.Context(), made[i].Client.ID, made[i].AccessToken, tokenep.Client{Name: "y"}); !errors.Is(err, want) {
				t.Errorf("%d: Replace: %v, want %v", i, err, want)
			}
		}
	})
}

// Whoever adds clients does not mark them as registered, and what they say of it is not believed.
func TestAddedClientIsNotSelfRegistered(t *testing.T) {
	c := enginetest.NewClock()
	clients := registry.Registry{Store: enginetest.Memory(t, c.Now), Now: c.Now}
	added := billing()
	added.SelfRegistered, added.UnusedUntil = true, 1
	if _, err := clients.Add(t.Context(), added); err != nil {
		t.Fatal(err)
	}
	got, err := clients.Load(t.Context(), "billing")
	if err != nil || got.SelfRegistered || got.UnusedUntil != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := clients.Authorized(t.Context(), "billing", ""); !errors.Is(err, tokenep.InvalidClient) {
		t.Errorf("it is managed without a token: %v", err)
	}
}

// What is kept for somebody unknown is bounded, and a client that was removed and came again is
// another one.
func TestRegisterRefuses(t *testing.T) {
	c := enginetest.NewClock()
	clients := registry.Registry{Store: enginetest.Memory(t, c.Now), Now: c.Now}
	large := tokenep.Client{GrantTypes: []string{"authorization_code"}}
	for range 40 {
		large.RedirectURIs = append(large.RedirectURIs, "https://app.example/"+strings.Repeat("&", 300))
	}
	_, err := clients.Register(t.Context(), large, time.Hour, false)
	if !errors.Is(err, state.ErrInvalid) {
		t.Errorf("too much: %v", err)
	}
	made, err := clients.Register(t.Context(), tokenep.Client{}, time.Hour, false)
	if err != nil || made.AccessToken != "" {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := clients.Replace(t.Context(), made.Client.ID, "", tokenep.Client{}); !errors.Is(err, tokenep.InvalidClient) {
		t.Errorf("it is changed without a token: %v", err)
	}
	earlier := made.Client
	earlier.RegistrationID = "another"
	if err := clients.Use(t.Context(), &earlier); !errors.Is(err, tokenep.InvalidClient) {
		t.Errorf("the use of an earlier client: %v", err)
	}
}
