package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// A day of traffic passes in the time of a fake clock, which the background work follows too:
// reading revocations, rotating keys. At the end there is no more in memory and in the store than
// at noon: what is still alive.
func TestDayLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDay(t)
		var noon size
		for minute := range 24 * 60 {
			d.minute()
			time.Sleep(time.Minute - time.Since(d.began)%time.Minute)
			if minute == 12*60 {
				noon = d.size()
			}
		}
		midnight := d.size()
		t.Logf("%d tokens and %d API tokens were made, %d addresses failed", d.issued, d.made, d.failed)
		t.Logf("at noon:     %v", noon)
		t.Logf("at midnight: %v", midnight)
		for what, now := range midnight {
			if most := noon[what] + noon[what]/5 + 20; now > most {
				t.Errorf("%s: %d at midnight, %d at noon", what, now, noon[what])
			}
		}
		if n := midnight["expired records"]; n > 50 {
			t.Errorf("%d records that have expired are in the store", n)
		}
		if n, most := midnight["proven tokens"], 2*d.alive(); n > most {
			t.Errorf("%d proven tokens in memory, of which %d live", n, most/2)
		}
		d.stop()
		synctest.Wait()
	})
}

// day is a server under the traffic of a day.
type day struct {
	*tokeneptest.Server
	t       *testing.T
	began   time.Time
	stop    context.CancelFunc
	kept    *keeping
	checker *verify.Verifier

	lives                []time.Time // when the tokens that were issued end
	issued, made, failed int
}

// keeping notes the kind and id of every record that was inserted into a store.
type keeping struct {
	store.Store
	ever [][2]string
}

func (k *keeping) Insert(ctx context.Context, r store.Record) error {
	err := k.Store.Insert(ctx, r)
	if err == nil {
		k.ever = append(k.ever, [2]string{r.Kind, r.ID})
	}
	return err
}

func newDay(t *testing.T) *day {
	d := &day{t: t, began: time.Now(), kept: &keeping{Store: memory.New(memory.Options{})}}
	c := tokeneptest.Config(d.kept, time.Now)
	c.ClientAddress = func(*http.Request) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(d.failed >> 16), byte(d.failed >> 8), byte(d.failed)})
	}
	d.Server = tokeneptest.NewUnstarted(t, c)
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	d.checker = d.NewVerifier(t, func(v *verify.Config) { v.Cache = c.Memory.Cache })
	return d
}

// token gets an access token and verifies it.
func (d *day) token(r request) string {
	d.t.Helper()
	a := d.Send(d.t, r)
	raw := a.AccessToken()
	token, err := d.checker.Verify(d.t.Context(), verify.Presentation{Token: raw})
	if err != nil {
		d.t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	d.issued++
	d.lives = append(d.lives, token.Expires)
	return raw
}

// minute sends the requests of a minute.
func (d *day) minute() {
	d.token(plain.By("short"))
	for range 6 {
		d.token(plain.By("billing"))
	}
	raw := d.token(plain.By("billing"))
	d.token(swap(raw).By("billing"))
	if a := d.Send(d.t, post("token", raw).By("billing").At(revokePath)); a.Status != http.StatusOK {
		d.t.Fatalf("%d %s", a.Status, a.Body)
	}
	for range 5 {
		d.failed++ // each from an address of its own
		d.Send(d.t, plain.Basic("billing", "wrong"))
	}
	d.lifeOfAPIToken()
}

// lifeOfAPIToken makes an API token of one of a few owners. It is used, and then rotated, revoked,
// or left to expire.
func (d *day) lifeOfAPIToken() {
	text, made := d.NewAPIToken(d.t, state.APIToken{Owner: fmt.Sprint("owner-", rand.IntN(10)), Expires: time.Now().Add(time.Hour)})
	d.made++
	d.token(redeem(text))
	switch rand.IntN(3) {
	case 0:
		if _, _, err := d.APITokens.Roll(d.t.Context(), made.ID, 0); err != nil {
			d.t.Fatal(err)
		}
		d.made++
	case 1:
		if err := d.APITokens.Revoke(d.t.Context(), made.ID, ""); err != nil {
			d.t.Fatal(err)
		}
		d.Send(d.t, redeem(text)).Refused(d.t, http.StatusBadRequest, tokenep.InvalidRequest)
	}
}

// alive returns how many access tokens have not expired.
func (d *day) alive() int {
	d.lives = slices.DeleteFunc(d.lives, func(end time.Time) bool { return !time.Now().Before(end) })
	return len(d.lives)
}

// size counts things, by what they are.
type size map[string]int

func (d *day) size() size {
	m := d.Config.Memory
	s := size{"proven tokens": m.Cache.Len(), "revocations": m.Revocations.Len(), "addresses": m.Limiter.Len(), "goroutines": runtime.NumGoroutine()}
	seen := make(map[[2]string]bool)
	for _, at := range d.kept.ever {
		if seen[at] {
			continue
		}
		seen[at] = true
		r, err := d.kept.Load(d.t.Context(), at[0], at[1])
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			d.t.Fatal(err)
		case !r.Expires.IsZero() && time.Now().After(r.Expires):
			s["expired records"]++
		}
		s["records"]++
		s["bytes of records"] += len(r.Data)
	}
	return s
}
