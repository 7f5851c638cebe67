package state_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func ask(owner string) state.APIToken {
	return state.APIToken{Name: "ci", Owner: owner, Service: "https://api.example", Scope: verify.Scope{"orders:read"}}
}

func mustCreate(t *testing.T, s state.APITokens, owner string) (string, state.APIToken) {
	t.Helper()
	token, made, err := s.Create(t.Context(), ask(owner))
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return token, made
}

func TestCreatedAPITokenIsGood(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		token, made := mustCreate(t, tokens, "ann")
		if _, err := exchange(t.Context(), tokens, token); err != nil {
			t.Fatalf("exchange: %v", err)
		}
		got, _, err := tokens.Check(t.Context(), token, netip.Addr{})
		if err != nil {
			t.Fatalf("Check: %v", err)
		}
		made.LastUsed, made.LastAddress, made.Uses, made.UsedFrom = c.Now(), home, 1, []netip.Prefix{netip.PrefixFrom(home, 32)}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(made)
		if string(a) != string(b) {
			t.Errorf("checked %s\nmade    %s", a, b)
		}
		if want := c.Now().Add(state.DefaultAPITokenLife); !made.Expires.Equal(want) {
			t.Errorf("expires %v, want %v", made.Expires, want)
		}
		if !strings.HasPrefix(token, "demo_"+made.ID+"_") {
			t.Errorf("token %s does not show its prefix and id", token)
		}
	})
}

func TestNoSecretIsStoredOrListed(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		token, made := mustCreate(t, tokens, "ann")
		secret := token[len("demo_"+made.ID+"_"):][:43]
		record, err := s.Load(t.Context(), "api_token", made.ID)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(record.Data), secret) {
			t.Errorf("the record has the secret: %s", record.Data)
		}
		shown, _ := json.Marshal(made)
		if strings.Contains(string(shown), "hash") || strings.Contains(string(shown), secret) {
			t.Errorf("what is listed has the secret or its hash: %s", shown)
		}
	})
}

func TestCreateHoldsTheRequestToItsLimits(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*state.APITokens, *state.APIToken){
		"no owner":                    func(_ *state.APITokens, a *state.APIToken) { a.Owner = "" },
		"no service":                  func(_ *state.APITokens, a *state.APIToken) { a.Service = "" },
		"an owner that is a client":   func(_ *state.APITokens, a *state.APIToken) { a.Owner = "client:billing" },
		"an owner that is too long":   func(_ *state.APITokens, a *state.APIToken) { a.Owner = strings.Repeat("o", 256) },
		"an owner with a line end":    func(_ *state.APITokens, a *state.APIToken) { a.Owner = "ann\nbob" },
		"a service that is too long":  func(_ *state.APITokens, a *state.APIToken) { a.Service = strings.Repeat("s", 1025) },
		"a service with an escape":    func(_ *state.APITokens, a *state.APIToken) { a.Service = "api\x1b[2J" },
		"a name that is too long":     func(_ *state.APITokens, a *state.APIToken) { a.Name = strings.Repeat("n", 129) },
		"a name that is not UTF-8":    func(_ *state.APITokens, a *state.APIToken) { a.Name = "\xff" },
		"a name that turns the line":  func(_ *state.APITokens, a *state.APIToken) { a.Name = "a\u202eb" },
		"a scope with a quote":        func(_ *state.APITokens, a *state.APIToken) { a.Scope = verify.Scope{`a"b`} },
		"a scope token with a space":  func(_ *state.APITokens, a *state.APIToken) { a.Scope = verify.Scope{"a b"} },
		"a scope token that is empty": func(_ *state.APITokens, a *state.APIToken) { a.Scope = verify.Scope{""} },
		"a scope that repeats":        func(_ *state.APITokens, a *state.APIToken) { a.Scope = verify.Scope{"a", "a"} },
		"a scope that is too long":    func(_ *state.APITokens, a *state.APIToken) { a.Scope = verify.Scope{strings.Repeat("s", 4097)} },
		"a life that is too long":     func(s *state.APITokens, a *state.APIToken) { a.Expires = c.Now().Add(s.MaxAge + time.Second) },
		"a life that is over":         func(_ *state.APITokens, a *state.APIToken) { a.Expires = c.Now() },
		"a server without a maximum":  func(s *state.APITokens, _ *state.APIToken) { s.MaxAge = 0 },
		"a server without a prefix":   func(s *state.APITokens, _ *state.APIToken) { s.Prefix = "" },
		"a prefix with underscore":    func(s *state.APITokens, _ *state.APIToken) { s.Prefix = "my_app" },
	} {
		tokens, _ := newAPITokens(newMemory(t, c.Now), c)
		a := ask("ann")
		change(&tokens, &a)
		if _, _, err := tokens.Create(t.Context(), a); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
		if list, err := tokens.List(t.Context(), "", "", 10); err != nil || len(list) > 0 {
			t.Errorf("%s: listed %v, %v, want nothing", name, list, err)
		}
	}
}

func TestCheckRefusesAnAPIToken(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		token, made := mustCreate(t, tokens, "ann")
		other, otherMade := mustCreate(t, tokens, "bob")
		revoked, revokedMade := mustCreate(t, tokens, "ann")
		if err := tokens.Revoke(t.Context(), revokedMade.ID, ""); err != nil {
			t.Fatal(err)
		}
		elsewhere, _ := newAPITokens(newMemory(t, c.Now), c)
		foreign, _ := mustCreate(t, elsewhere, "ann")
		for _, row := range []struct {
			name, token string
			want        error
		}{
			{"a typo", token[:len(token)-1] + "~", state.ErrMalformedAPIToken},
			{"a token of another server", foreign, state.ErrUnknownAPIToken},
			{"the id of one with the secret of another", state.FormatAPIToken("demo", made.ID, other[len("demo_"+otherMade.ID+"_"):][:43]), state.ErrUnknownAPIToken},
			{"another prefix with the same secret", state.FormatAPIToken("prod", made.ID, token[len("demo_"+made.ID+"_"):][:43]), state.ErrUnknownAPIToken},
			{"a revoked token", revoked, state.ErrRevokedAPIToken},
		} {
			_, err := exchange(t.Context(), tokens, row.token)
			if !errors.Is(err, row.want) || !errors.Is(err, state.ErrBadAPIToken) {
				t.Errorf("%s: error %v, want %v", row.name, err, row.want)
			}
		}
		c.Advance(state.DefaultAPITokenLife - time.Second)
		if _, err := exchange(t.Context(), tokens, token); err != nil {
			t.Errorf("in its last second: %v", err)
		}
		c.Advance(time.Second)
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrExpiredAPIToken) && !errors.Is(err, state.ErrUnknownAPIToken) {
			t.Errorf("at its expiry: %v, want ErrExpiredAPIToken, or ErrUnknownAPIToken once it is swept", err)
		}
	})
}

func TestCheckTellsAnOutageFromABadAPIToken(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	token, _ := mustCreate(t, tokens, "ann")
	f.Fail(away())
	if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrBadAPIToken) {
		t.Errorf("a good token: %v, want store.ErrUnavailable", err)
	}
	typo := token[:20] + "-" + token[21:]
	if _, err := exchange(t.Context(), tokens, typo); !errors.Is(err, state.ErrMalformedAPIToken) {
		t.Errorf("a typo: %v, want ErrMalformedAPIToken without a look-up", err)
	}
}

func TestLastUseIsWrittenOnceAMinute(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	token, made := mustCreate(t, tokens, "ann")
	writes := 0
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Swap" {
			writes++
		}
		return storetest.None
	})
	for range 150 {
		if _, err := exchange(t.Context(), tokens, token); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Second)
	}
	if writes != 3 {
		t.Errorf("%d writes in 150 seconds, want 3", writes)
	}
	got, err := tokens.Load(t.Context(), made.ID)
	if want := made.Created.Add(2 * time.Minute); err != nil || !got.LastUsed.Equal(want) {
		t.Errorf("last used %v, %v, want %v", got.LastUsed, err, want)
	}
}

func TestUseThatCannotBeWrittenIsNoFailure(t *testing.T) {
	for _, fault := range []storetest.Fault{storetest.Away, storetest.Conflict, storetest.Lost} {
		c := newClock()
		f := storetest.NewFaulty(newMemory(t, c.Now))
		tokens, _ := newAPITokens(f, c)
		token, _ := mustCreate(t, tokens, "ann")
		f.FailNext(1, "Swap", fault)
		if _, err := exchange(t.Context(), tokens, token); err != nil {
			t.Errorf("fault %v: exchange fails: %v", fault, err)
		}
	}
}

func TestRevokeEndsTheTokenAndItsAccessTokens(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, set := newAPITokens(s, c)
		token, made := mustCreate(t, tokens, "ann")
		_, kept := mustCreate(t, tokens, "ann")
		for range 2 { // once more is no error
			if err := tokens.Revoke(t.Context(), made.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrRevokedAPIToken) {
			t.Errorf("redeem: %v, want ErrRevokedAPIToken", err)
		}
		if !set.Revoked(accessToken(made.ID)) {
			t.Error("its access token is not revoked")
		}
		if set.Revoked(accessToken(kept.ID)) {
			t.Error("the access token of another is revoked")
		}
		got, err := tokens.Load(t.Context(), made.ID)
		if err != nil || !got.Revoked.Equal(c.Now()) {
			t.Errorf("listed as revoked at %v, %v, want %v", got.Revoked, err, c.Now())
		}
		if err := tokens.Revoke(t.Context(), "000000000000", ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown id: %v, want store.ErrNotFound", err)
		}
	})
}

// What is listed as revoked is so in all its parts: dying between the two writes leaves a token
// that can be seen to live.
func TestRevokeThatDiesIsSeenToHaveDoneNothing(t *testing.T) {
	for n := range 4 {
		c := newClock()
		f := storetest.NewFaulty(newMemory(t, c.Now))
		tokens, set := newAPITokens(f, c)
		token, made := mustCreate(t, tokens, "ann")
		dieAtWrite(f, n)
		err := tokens.Revoke(t.Context(), made.ID, "")
		f.Fail(nil)
		got, loadErr := tokens.Load(t.Context(), made.ID)
		if loadErr != nil {
			t.Fatal(loadErr)
		}
		if !got.Revoked.IsZero() && !set.Revoked(accessToken(made.ID)) {
			t.Errorf("write %d: listed as revoked, but its access tokens live", n)
		}
		if err == nil && got.Revoked.IsZero() {
			t.Errorf("write %d: Revoke says yes, but the token lives", n)
		}
		if err := tokens.Revoke(t.Context(), made.ID, ""); err != nil {
			t.Errorf("write %d: once more: %v", n, err)
		}
		if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrRevokedAPIToken) || !set.Revoked(accessToken(made.ID)) {
			t.Errorf("write %d: once more did not revoke all of it: %v", n, err)
		}
	}
}

func TestRevokeNeedsToKnowHowLongAccessTokensLive(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*state.APITokens){
		"no log":  func(s *state.APITokens) { s.Revocations = nil },
		"no life": func(s *state.APITokens) { s.TokenLife = nil },
		"zero":    func(s *state.APITokens) { s.TokenLife = always(0) },
	} {
		tokens, _ := newAPITokens(newMemory(t, c.Now), c)
		token, made := mustCreate(t, tokens, "ann")
		change(&tokens)
		if err := tokens.Revoke(t.Context(), made.ID, ""); err == nil {
			t.Errorf("%s: Revoke succeeds, and leaves access tokens behind", name)
		}
		if _, err := exchange(t.Context(), tokens, token); err != nil {
			t.Errorf("%s: half revoked: %v", name, err)
		}
	}
}

func TestListGoesThroughAllTokensInPages(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		tokens.MaxPerUser = 0
		want := map[string][]string{}
		for range 7 {
			for _, owner := range []string{"ann", "bob"} {
				_, made := mustCreate(t, tokens, owner)
				want[owner] = append(want[owner], made.ID)
				want[""] = append(want[""], made.ID)
			}
		}
		for owner, ids := range want {
			slices.Sort(ids)
			for _, limit := range []int{1, 3, 7, 100} {
				var got []string
				for after := ""; ; {
					page, err := tokens.List(t.Context(), owner, after, limit)
					if err != nil {
						t.Fatal(err)
					}
					if len(page) == 0 {
						break
					}
					for _, a := range page {
						got = append(got, a.ID)
					}
					after = page[len(page)-1].ID
				}
				if !slices.Equal(got, ids) {
					t.Errorf("owner %q in pages of %d: %v, want %v", owner, limit, got, ids)
				}
			}
		}
		if list, err := tokens.List(t.Context(), "nobody", "", 10); err != nil || len(list) != 0 {
			t.Errorf("nobody's tokens: %v, %v", list, err)
		}
		for _, limit := range []int{0, -1, store.MaxPage + 1} {
			for _, owner := range []string{"", "ann"} {
				if _, err := tokens.List(t.Context(), owner, "", limit); !errors.Is(err, store.ErrInvalid) {
					t.Errorf("limit %d: %v, want store.ErrInvalid", limit, err)
				}
			}
		}
	})
}

func TestGeneratedSecretIsLongAndPlain(t *testing.T) {
	a, b := state.GenerateSecret(), state.GenerateSecret()
	if a == b || len(a) < 43 || strings.Trim(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		t.Errorf("secrets %q and %q", a, b)
	}
	// Computed with openssl.
	if got, want := tokenep.HashSecret("secret"), "$sha256$K7gNU3sdo-OL0wNhqoVWhr3g6s1xYv72ol_pe_Unols"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}
