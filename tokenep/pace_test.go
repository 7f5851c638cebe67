package tokenep_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// So many from one address, so many in all; each is forgotten with time, and whoever is sent away
// may come back when they are told.
func TestPace(t *testing.T) {
	now := time.Now()
	p := &tokenep.Pace{PerAddress: 4, InAll: 6, Per: time.Hour, Now: func() time.Time { return now }}
	address := func(text string) func() error {
		return func() error { return p.Take(netip.MustParseAddr(text)) }
	}
	taken := func(take func() error) (n int, last *tokenep.Error) {
		for range 100 {
			if err := take(); err != nil {
				return n, tokenep.AsError(err)
			}
			n++
		}
		return n, nil
	}
	a, b := address("192.0.2.1"), address("2001:db8::1")
	n, refusal := taken(a)
	if n != 4 || refusal.Status != 429 || refusal.RetryAfter != 15*time.Minute {
		t.Errorf("%d, and then %+v", n, refusal)
	}
	if n, refusal = taken(b); n != 2 || refusal.RetryAfter != 10*time.Minute {
		t.Errorf("%d, and then %+v", n, refusal)
	}
	now = now.Add(10 * time.Minute)
	if err := a(); !errors.Is(err, tokenep.TemporarilyUnavailable) {
		t.Errorf("too early: %v", err)
	}
	if err := address("2001:db8::2")(); err != nil {
		t.Errorf("there is room in all: %v", err)
	}
	now = now.Add(time.Hour)
	if n, _ = taken(address("2001:db8::3")); n != 4 {
		t.Errorf("%d from the same /64 after an hour", n)
	}
	now = now.Add(-24 * time.Hour) // the clock is set back: nothing is forgotten
	if n, refusal = taken(b); n != 0 || refusal.RetryAfter > time.Hour {
		t.Errorf("%d, and then %+v", n, refusal)
	}
	now = now.Add(time.Hour)
	if n, _ = taken(a); n != 4 {
		t.Errorf("%d an hour later", n)
	}
	if err := (*tokenep.Pace)(nil).Take(netip.Addr{}); err != nil {
		t.Error(err)
	}
}

// Another configuration may allow more or less in all; what was counted stays.
func TestPaceOfAnotherNumber(t *testing.T) {
	now := time.Now()
	p := &tokenep.Pace{PerAddress: 100, InAll: 4, Per: time.Hour, Now: func() time.Time { return now }}
	take := func(inAll int) (n int) {
		for n < 50 && p.TakeOf(netip.MustParseAddr("192.0.2.1"), inAll) == nil {
			n++
		}
		return n
	}
	if a, b, c := take(0), take(6), take(2); a != 4 || b != 2 || c != 0 {
		t.Errorf("%d, %d and %d; want 4, 2 more and none", a, b, c)
	}
}
