package clientauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 6749 §10.10: of wrong secrets that arrive together few are hashed at a time, some wait, and
// the others are refused at once. Whoever comes from elsewhere is served in turn.
func TestFloodWaitsForItself(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		answers := f.send(guesses(200, "anna", attacker)...)
		if got := count(answers); got[503] != 191 || len(got) != 1 {
			t.Errorf("while one is hashed and eight wait, the answers are %v", got)
		}
		other := f.send(from(elsewhere, plain.By("bert")))
		for range 2 { // the one that runs, and its own
			f.end <- struct{}{}
			synctest.Wait()
		}
		if got := count(other); got[200] != 1 {
			t.Errorf("a client from elsewhere that was never seen waits for more than its turn: %v", got)
		}
		f.finish()
		if got := count(answers); got[401] != 9 {
			t.Errorf("those that waited get %v", got)
		}
		if f.comparisons().most != 1 || f.comparisons().total != 10 {
			t.Errorf("%d comparisons run at once, %d in all", f.comparisons().most, f.comparisons().total)
		}
	})
}

// While requests wait, a slot rests for twice as long as it has computed. When nobody waits, the
// next request is served at once.
func TestFloodRests(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		f.send(guesses(2, "anna", attacker)...)
		time.Sleep(100 * time.Millisecond)
		f.end <- struct{}{}
		time.Sleep(199 * time.Millisecond)
		synctest.Wait()
		if n := f.comparisons().running; n != 0 {
			t.Errorf("%d requests are served while the slot rests", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := f.comparisons().running; n != 1 {
			t.Errorf("%d requests are served after the rest", n)
		}
		time.Sleep(100 * time.Millisecond)
		f.end <- struct{}{}
		synctest.Wait()
		f.send(from(elsewhere, plain.By("bert")))
		if n := f.comparisons().running; n != 1 {
			t.Errorf("%d requests are served when nobody waited", n)
		}
	})
}

// A comparison that took very long, since the machine stood still, makes nobody wait for as long.
func TestFloodRestsForAWhile(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		f.send(guesses(2, "anna", attacker)...)
		time.Sleep(30 * time.Second)
		f.end <- struct{}{}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if n := f.comparisons().running; n != 1 {
			t.Errorf("%d requests are served after half a second", n)
		}
	})
}

// However many addresses send guesses, 1024 wait at the most.
func TestFloodFromManyAddressesIsBounded(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		crowd := guesses(1, "anna", attacker)
		for i := range 128 {
			crowd = append(crowd, guesses(8, "anna", fmt.Sprintf("203.0.%d.1", i))...)
		}
		answers := f.send(crowd...)
		if got := count(answers); len(got) != 0 {
			t.Errorf("while there is room, the answers are %v", got)
		}
		if got := count(f.send(from(elsewhere, plain.By("bert")))); got[503] != 1 {
			t.Errorf("one more gets %v", got)
		}
		f.finish()
		if got := count(answers); got[401] != len(crowd) {
			t.Errorf("those that waited get %v", got)
		}
	}, unlimited)
}

// However many addresses a site has, others find a place beside it.
func TestFloodFromOneSiteLeavesPlaces(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		var crowd []request
		for i := range 256 {
			crowd = append(crowd, guesses(8, "anna", fmt.Sprintf("2001:db8:1:%x::1", i))...)
		}
		answers := f.send(crowd...)
		if got := count(answers); got[503] != len(crowd)-1-32 {
			t.Errorf("%d guesses of a /56 get %v", len(crowd), got)
		}
		other := f.send(from(elsewhere, plain.By("bert")))
		f.finish()
		if got := count(other); got[200] != 1 {
			t.Errorf("another one gets %v", got)
		}
	}, unlimited)
}

// One address never has all slots, if there are two or more.
func TestFloodLeavesASlot(t *testing.T) {
	flood(t, 3, func(f *flooded) {
		f.send(guesses(200, "anna", attacker)...)
		if f.comparisons().running != 2 {
			t.Errorf("%d of one address are hashed at once", f.comparisons().running)
		}
		f.send(guesses(200, "bert", elsewhere)...)
		if f.comparisons().running != 3 {
			t.Errorf("%d are hashed at once", f.comparisons().running)
		}
		f.finish()
		if f.comparisons().most != 3 {
			t.Errorf("%d were hashed at once", f.comparisons().most)
		}
	})
}

// Those that run count for as long as they do, whatever else of their address has ended.
func TestFloodLeavesASlotWhenSomeHaveEnded(t *testing.T) {
	flood(t, 3, func(f *flooded) {
		f.send(guesses(2, "anna", attacker)...)
		f.end <- struct{}{}
		f.send(guesses(2, "bert", attacker)...)
		if f.comparisons().running != 2 {
			t.Errorf("%d of one address are hashed at once", f.comparisons().running)
		}
		f.finish()
	})
}

// While everything waits for hashes, a secret that the server made, and one that has been right
// before, need none. Nobody learns from a refusal for lack of room which clients exist.
func TestFloodPassesWhoNeedsNoHash(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		seen := f.send(from(attacker, plain.By("bert")))
		f.finish()
		_ = f.send(guesses(200, "anna", attacker)...)
		if got := count(f.send(from(attacker, plain.By("bert")), from(attacker, plain.By("billing")), from(elsewhere, plain.By("reports")))); got[200] != 3 {
			t.Errorf("they wait for the flood: %v", got)
		}
		full := f.send(from(attacker, plain.By("anna")), from(attacker, plain.Basic("nobody", "x")), from(attacker, plain.Basic("billing", "x")))
		for len(full) > 0 {
			a := <-full
			a.Refused(t, http.StatusServiceUnavailable, tokenep.TemporarilyUnavailable)
			if after := a.Header.Get("Retry-After"); strings.Contains(string(a.Body), "state") || after != "2" {
				t.Errorf("Retry-After %q: %s", after, a.Body)
			}
		}
		f.finish()
		if got := count(seen); got[200] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// However many guesses arrive together, and however long they are sent, no more are hashed than one
// after the other: the limit counts before the hash.
func TestFloodCountsOnEntry(t *testing.T) {
	flood(t, 30, func(f *flooded) {
		judged, refused := 0, 0
		for range 10 {
			answers := f.send(guesses(60, "anna", attacker)...)
			f.finish()
			time.Sleep(2 * time.Second) // the longest delay
			f.finish()
			got := count(answers)
			judged, refused = judged+got[401], refused+got[429]
		}
		// 21 at once, and one more for each ten seconds.
		if hashed := f.comparisons().total; hashed > 24 || judged != hashed || refused == 0 {
			t.Errorf("%d are hashed, %d judged and %d refused by the limit", hashed, judged, refused)
		}
	})
}

// A crowd of requests with the same right secret is hashed once, and all get their tokens.
func TestFloodOfGoodRequests(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		crowd := make([]request, 100)
		for i := range crowd {
			crowd[i] = from(elsewhere, plain.By("anna"))
		}
		answers := f.send(crowd...)
		f.finish()
		if got := count(answers); got[200] != 100 || f.comparisons().total != 1 {
			t.Errorf("%v, %d comparisons", got, f.comparisons().total)
		}
		if n := f.Config.Memory.Limiter.Len(); n != 0 {
			t.Errorf("success is not forgiven: %d rows", n)
		}
	})
}

// When the request that was hashed for others gives up while it waits, one of them takes over, and
// its place in the queue is free again.
func TestFloodGivesUp(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		_ = f.send(guesses(1, "bert", attacker)...)
		for range 20 {
			ctx, cancel := context.WithCancel(f.t.Context())
			r := from(elsewhere, plain.By("anna"))
			f.sendUntil(ctx, r)
			follower := f.send(r)
			cancel()
			synctest.Wait()
			if len(follower) != 0 {
				t.Fatalf("the others get the fate of the one that gave up: %v", count(follower))
			}
			if f.comparisons().running != 1 {
				t.Fatalf("%d comparisons", f.comparisons().running)
			}
		}
		f.finish()
		if f.comparisons().total != 2 {
			t.Errorf("%d comparisons, want one of each address", f.comparisons().total)
		}
	})
}

// One that gives up while it waits has no slot to free for those before it.
func TestFloodGivesUpBehindAnother(t *testing.T) {
	for name, address := range map[string]string{"of its address": elsewhere, "of another address": "203.0.113.1"} {
		flood(t, 1, func(f *flooded) {
			_ = f.send(guesses(1, "bert", attacker)...)
			_ = f.send(guesses(1, "anna", elsewhere)...)
			ctx, cancel := context.WithCancel(f.t.Context())
			f.sendUntil(ctx, from(address, plain.By("anna")))
			cancel()
			synctest.Wait()
			f.finish()
			if got := f.comparisons(); got.most != 1 || got.total != 2 {
				t.Errorf("behind one %s: %d comparisons run at once, and %d in all", name, got.most, got.total)
			}
		})
	}
}

// One that gives up at the moment of its turn passes it on, so no slot is lost.
func TestFloodGivesUpAtItsTurn(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		for i := range 200 {
			_ = f.send(from(attacker, plain.Basic("bert", fmt.Sprint(i))))
			if f.comparisons().running != 1 {
				t.Fatalf("round %d: the slot is lost", i)
			}
			ctx, cancel := context.WithCancel(f.t.Context())
			f.sendUntil(ctx, from(elsewhere, plain.Basic("anna", fmt.Sprint(i))))
			cancel()
			f.end <- struct{}{}
			f.finish()
		}
		if f.comparisons().most != 1 {
			t.Errorf("%d comparisons run at once", f.comparisons().most)
		}
	}, unlimited)
}

var unlimited tokeneptest.Change = func(c *server.Config) { c.RateLimit.Off = true }

// Without a limit every wrong secret is judged, a few at a time.
func TestFloodUnlimited(t *testing.T) {
	flood(t, 1, func(f *flooded) {
		for i := range 200 {
			answers := f.send(from(attacker, plain.Basic("anna", fmt.Sprint(i))))
			f.finish()
			if got := count(answers); got[401] != 1 {
				t.Fatalf("guess %d: %v", i, got)
			}
		}
		if f.comparisons().most != 1 || f.comparisons().total != 200 {
			t.Errorf("%d comparisons, %d at once", f.comparisons().total, f.comparisons().most)
		}
	}, unlimited)
}
