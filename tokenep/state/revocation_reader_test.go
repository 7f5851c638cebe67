package state_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// reader is a process that only reads the log, and fails the test when it writes.
type reader struct {
	*state.RevocationReader
	set *verify.Revocations
}

func newReader(t *testing.T, s store.Store, c *clock) reader {
	f := storetest.NewFaulty(s)
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb != "Load" && call.Verb != "List" {
			t.Errorf("a reader calls %s of %s", call.Verb, call.Kind)
		}
		return storetest.None
	})
	set := new(verify.Revocations)
	return reader{state.NewRevocationReader(f, set, c.Now, slog.New(slog.DiscardHandler)), set}
}

func (r reader) expect(t *testing.T, jti string) {
	t.Helper()
	must(t, r.Follow(t.Context()))
	if !r.set.Revoked(&verify.Token{ID: jti}) {
		t.Errorf("a reader lacks %s", jti)
	}
}

// RFC 7009 §2.2: what is revoked is revoked for whoever reads the log alone, whenever it began to,
// and it writes nothing: whether there is no log yet, the head is behind, entries have expired, or
// the store was emptied.
func TestReaderOfTheLog(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		f := storetest.NewFaulty(s)
		node, early := newNode(f, c), newReader(t, s, c)
		must(t, early.Start(t.Context()))
		for i := range 20 {
			mustRevoke(t, node, revokeJTI(c, fmt.Sprint(i), 2*time.Hour))
			early.expect(t, fmt.Sprint(i))
		}
		late := newReader(t, s, c)
		must(t, late.Start(t.Context()))
		late.expect(t, "0")

		f.Fail(func(call storetest.Call) storetest.Fault {
			if call.Kind == "revocation_head" && call.Verb != "Load" {
				return storetest.Away
			}
			return storetest.None
		})
		for i := 20; i < 23; i++ {
			mustRevoke(t, node, revokeJTI(c, fmt.Sprint(i), time.Minute))
			early.expect(t, fmt.Sprint(i))
			late.expect(t, fmt.Sprint(i))
		}
		f.Fail(nil)
		forget(t, s, 1, 23) // the numbers beyond the head are given again
		mustRevoke(t, newNode(s, c), revokeJTI(c, "again", time.Hour))
		early.expect(t, "again")
		late.expect(t, "again")

		must(t, s.Delete(t.Context(), "revocation_head", "head"))
		forget(t, s, 1, 30)
		c.Advance(2 * state.HeadInterval)
		must(t, early.Follow(t.Context()))
		fresh := newNode(s, c)
		for i := range 3 {
			mustRevoke(t, fresh, revokeJTI(c, fmt.Sprint("anew ", i), time.Hour))
		}
		early.expect(t, "anew 0")
		early.expect(t, "anew 2")
	})
}
