package state_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// An entry that makes no sense hides none after it: neither from a node that follows, nor from one
// that starts, nor in a page of many; and the log is told of it once, by its number.
func TestDamagedEntryHidesNoOther(t *testing.T) {
	for name, damage := range map[string]string{"no JSON": "\x00\xffgarbage", "empty": "", "no revocation": "{}"} {
		for _, more := range []int{0, 30} {
			t.Run(fmt.Sprintf("%s, %d more", name, more), func(t *testing.T) {
				c := newClock()
				s := newMemory(t, c.Now)
				var log bytes.Buffer
				logged := func() node {
					set := new(verify.Revocations)
					return node{state.NewRevocations(s, set, c.Now, slog.New(slog.NewTextHandler(&log, nil))), set}
				}
				a, follows := newNode(s, c), logged()
				must(t, follows.Start(t.Context()))
				mustRevoke(t, a, revokeJTI(c, "before", time.Hour))
				mustRevoke(t, a, revokeJTI(c, "damaged", time.Hour))
				damageEntry(t, s, 2, damage)
				for i := range more {
					mustRevoke(t, a, revokeJTI(c, fmt.Sprint(i), time.Hour))
				}
				mustRevoke(t, a, revokeJTI(c, "after", time.Hour))
				check := func(who string, n node) {
					t.Helper()
					for range 3 {
						n.follow(t)
						c.Advance(state.HeadInterval)
					}
					mustRevoke(t, a, revokeJTI(c, "later for "+who, time.Hour))
					n.follow(t)
					if !n.revoked("before") || !n.revoked("after") || !n.revoked("later for "+who) {
						t.Errorf("one that %s lacks an entry that is sound", who)
					}
					if told := strings.Count(log.String(), "entry="+state.EntryID(2)); told != 1 {
						t.Errorf("one that %s told the log %d times of the entry, want once:\n%s", who, told, &log)
					}
					log.Reset()
				}
				check("follows", follows)
				starts := logged()
				must(t, starts.Start(t.Context()))
				check("starts", starts)
			})
		}
	}
}

// The log is told once also while the node cannot pass the entry, since the head cannot be moved.
func TestDamagedEntryIsLoggedOnce(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	var log bytes.Buffer
	reader := state.NewRevocations(f, new(verify.Revocations), c.Now, slog.New(slog.NewTextHandler(&log, nil)))
	f.Fail(away("Swap"))
	mustRevoke(t, newNode(f, c), revokeJTI(c, "1", time.Hour))
	mustRevoke(t, newNode(f, c), revokeJTI(c, "2", time.Hour)) // the head stays at 1
	damageEntry(t, f.Store, 2, "garbage")
	for range 10 {
		if err := reader.Follow(t.Context()); err == nil {
			t.Fatal("the head was moved: this test tests nothing")
		}
	}
	if told := strings.Count(log.String(), "is damaged"); told != 1 {
		t.Errorf("the log was told %d times, want once:\n%s", told, &log)
	}
}

func damageEntry(t *testing.T, s store.Store, n uint64, data string) {
	t.Helper()
	old, err := s.Load(t.Context(), state.KindRevocation, state.EntryID(n))
	must(t, err)
	next := old
	next.Data = []byte(data)
	must(t, s.Swap(t.Context(), old, next))
}
