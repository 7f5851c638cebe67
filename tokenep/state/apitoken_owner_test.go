package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// dieAtWrite makes the n-th write from now on fail before it happens, and all after it, as for a
// process that dies.
func dieAtWrite(f *storetest.Faulty, n int) {
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb != "Insert" && call.Verb != "Swap" {
			return storetest.None
		}
		if n--; n < 0 {
			return storetest.Away
		}
		return storetest.None
	})
}

// live counts an owner's tokens by themselves, not by the record that is to count them.
func live(t *testing.T, s state.APITokens, owner string) int {
	t.Helper()
	list, err := s.List(t.Context(), "", "", store.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, a := range list {
		if a.Owner == owner && a.Revoked.IsZero() && s.Now().Before(a.Expires) {
			n++
		}
	}
	return n
}

func TestMaximumIsExactUnderRaces(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		tokens, _ := newAPITokens(node(), c)
		other, _ := newAPITokens(node(), c)
		tokens.MaxPerUser, other.MaxPerUser = 7, 7
		nodes := []state.APITokens{tokens, other}
		var wg sync.WaitGroup
		var mu sync.Mutex
		made := 0
		for i := range 40 {
			wg.Go(func() {
				_, _, err := nodes[i%2].Create(t.Context(), ask("ann"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else if !errors.Is(err, state.ErrTooMany) {
					t.Errorf("error %v, want ErrTooMany", err)
				}
			})
		}
		wg.Wait()
		if n := live(t, tokens, "ann"); made != 7 || n != 7 {
			t.Errorf("%d made, %d live, want 7", made, n)
		}
		if _, _, err := tokens.Create(t.Context(), ask("bob")); err != nil {
			t.Errorf("another owner: %v", err)
		}
	})
}

// Creating and revoking at once, over and over: never is more than the maximum live, and
// each new token fits as soon as one is revoked.
func TestMaximumHoldsWhileTokensComeAndGo(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens, _ := newAPITokens(s, c)
		tokens.MaxPerUser = 2
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 5 {
					_, made, err := tokens.Create(t.Context(), ask("ann"))
					if errors.Is(err, state.ErrTooMany) {
						continue
					}
					if err != nil {
						t.Errorf("Create: %v", err)
						return
					}
					if n := live(t, tokens, "ann"); n > 2 {
						t.Errorf("%d live, want at most 2", n)
					}
					if err := tokens.Revoke(t.Context(), made.ID, ""); err != nil {
						t.Errorf("Revoke: %v", err)
					}
				}
			})
		}
		wg.Wait()
		for range 2 {
			if _, _, err := tokens.Create(t.Context(), ask("ann")); err != nil {
				t.Errorf("all are revoked, and yet: %v", err)
			}
		}
	})
}

func TestDeadTokensMakeRoom(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s state.APITokens, id string, c *clock){
		"revoked": func(t *testing.T, s state.APITokens, id string, _ *clock) {
			if err := s.Revoke(t.Context(), id, ""); err != nil {
				t.Fatal(err)
			}
		},
		"expired": func(_ *testing.T, _ state.APITokens, _ string, c *clock) { c.Advance(time.Hour) },
		"missing": func(t *testing.T, s state.APITokens, id string, c *clock) {
			if err := s.Store.Delete(t.Context(), "api_token", id); err != nil {
				t.Fatal(err)
			}
			c.Advance(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				tokens, _ := newAPITokens(s, c)
				tokens.MaxPerUser = 2
				mustCreate(t, tokens, "ann")
				short := ask("ann")
				short.Expires = c.Now().Add(time.Hour)
				_, made, err := tokens.Create(t.Context(), short)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, state.ErrTooMany) {
					t.Fatalf("the third: %v, want ErrTooMany", err)
				}
				end(t, tokens, made.ID, c)
				mustCreate(t, tokens, "ann")
				if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, state.ErrTooMany) {
					t.Errorf("one more than was freed: %v, want ErrTooMany", err)
				}
			})
		})
	}
}

func TestRevokedTokenStaysInItsOwnersList(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	_, made := mustCreate(t, tokens, "ann")
	if err := tokens.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustCreate(t, tokens, "ann")
	}
	list, err := tokens.List(t.Context(), "ann", "", 10)
	if err != nil || len(list) != 4 {
		t.Errorf("%d listed, %v, want the revoked one and three", len(list), err)
	}
}

// Wherever a process dies while it makes a token, a minute later the owner can have as many as
// ever.
func TestCreateThatDiesCountsForNobody(t *testing.T) {
	for n := range 2 {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			c := newClock()
			f := storetest.NewFaulty(newMemory(t, c.Now))
			tokens, _ := newAPITokens(f, c)
			mustCreate(t, tokens, "ann")
			dieAtWrite(f, n)
			if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("error %v, want store.ErrUnavailable", err)
			}
			f.Fail(nil)
			c.Advance(time.Minute)
			mustCreate(t, tokens, "ann")
			mustCreate(t, tokens, "ann")
			if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, state.ErrTooMany) {
				t.Errorf("the fourth: %v, want ErrTooMany", err)
			}
			if list, err := tokens.List(t.Context(), "", "", 10); err != nil || len(list) != 3 {
				t.Errorf("%d listed, %v, want the three that were made", len(list), err)
			}
		})
	}
}

// One that is only slow must not come back when its place was given to another.
func TestCreateThatIsTooSlowMakesNothing(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	quick, _ := newAPITokens(f.Store, c)
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Insert" && call.Kind == "api_token" {
			c.Advance(2 * time.Minute)
			for range tokens.MaxPerUser {
				mustCreate(t, quick, "ann")
			}
		}
		return storetest.None
	})
	if _, _, err := tokens.Create(t.Context(), ask("ann")); !errors.Is(err, store.ErrExists) {
		t.Errorf("the slow one: %v, want store.ErrExists", err)
	}
	if n := live(t, quick, "ann"); n != tokens.MaxPerUser {
		t.Errorf("%d live, want %d", n, tokens.MaxPerUser)
	}
}

func TestOwnerWithoutAMaximumHasMaxOwned(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	tokens, _ := newAPITokens(s, c)
	tokens.MaxPerUser = 0
	owner := strings.Repeat("&", 255) // six bytes each in JSON
	first := ""
	for range state.MaxOwned {
		_, made := mustCreate(t, tokens, owner)
		first = made.ID
	}
	if _, _, err := tokens.Create(t.Context(), ask(owner)); !errors.Is(err, state.ErrTooMany) {
		t.Fatalf("one more: %v, want ErrTooMany", err)
	}
	if err := tokens.Revoke(t.Context(), first, ""); err != nil {
		t.Fatal(err)
	}
	for range 150 { // more often than there is room for revoked tokens
		_, made := mustCreate(t, tokens, owner)
		if err := tokens.Revoke(t.Context(), made.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// The longest record that there can be has to fit into a store.
func TestRecordOfAnOwnerFits(t *testing.T) {
	type entry struct {
		ID      string `json:"id"`
		Made    int64  `json:"made"`
		Expires int64  `json:"expires"`
		Dead    bool   `json:"dead"`
	}
	const year9999 = 253402300799
	id := strings.Repeat("i", 12)
	var all struct {
		Owner  string  `json:"owner"`
		Tokens []entry `json:"tokens"`
	}
	all.Owner = strings.Repeat("&", 255)
	for range state.MaxEntries {
		all.Tokens = append(all.Tokens, entry{id, year9999, year9999, true})
	}
	data, err := json.Marshal(all)
	if err != nil || len(data) > store.MaxData {
		t.Errorf("%d bytes, %v, want at most %d", len(data), err, store.MaxData)
	}
}
