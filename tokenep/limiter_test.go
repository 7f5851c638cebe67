package tokenep

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// The memory of the limiter is bounded: past a number of senders, each new one replaces one that
// has been quiet for long.
func TestLimiterBounded(t *testing.T) {
	now := time.Now()
	l := &Limiter{Now: func() time.Time { return now }}
	fill := func(from, n int) {
		for i := from; i < from+n; i++ {
			address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			_ = l.Attempt(RateLimit{}, address, strconv.Itoa(i)).Count()
			_ = l.Attempt(RateLimit{}, address, "good").Succeeded()
			_ = l.SignIn(RateLimit{}, address, "person"+strconv.Itoa(i)).Count()
		}
	}
	bounded := func() {
		t.Helper()
		for name, n := range map[string]int{"clients": len(l.clients.rows), "addresses": len(l.addresses.rows), "known": len(l.known.rows), "accounts": len(l.accounts.rows)} {
			if n > maxRows {
				t.Errorf("%d %s are kept, at most %d may be", n, name, maxRows)
			}
		}
	}
	fill(0, maxRows+1000)
	bounded()
	now = now.Add(time.Minute)
	fill(1<<20, 5000)
	bounded()
	lately := 0
	for _, f := range l.addresses.rows {
		if f.at.Equal(now) {
			lately++
		}
	}
	if lately != 5000 {
		t.Errorf("%d of 5000 addresses that failed just now are kept, although the others have been quiet for a minute", lately)
	}
	quiet := l.Attempt(RateLimit{}, netip.AddrFrom4([4]byte{192, 0, 2, 1}), "x")
	_ = quiet.Count()
	_ = quiet.Succeeded()
	if _, kept := l.addresses.rows[quiet.Network()]; kept {
		t.Error("an address that has done nothing wrong is kept")
	}
}

// When many guesses are made before the first one fails, as many of them are judged as in sequence,
// and the address may come back as soon.
func TestLimiterCrowd(t *testing.T) {
	now := time.Now()
	l := &Limiter{Now: func() time.Time { return now }}
	attempt := func() *Attempt { return l.Attempt(RateLimit{}, netip.AddrFrom4([4]byte{192, 0, 2, 1}), "x") }
	crowd := make([]*Attempt, 1000)
	for i := range crowd {
		crowd[i] = attempt()
		if err := crowd[i].Allow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	judged := 0
	for _, a := range crowd {
		if err := a.Count(); err == nil {
			judged++
		} else if AsError(err).Status != http.StatusTooManyRequests {
			t.Fatal(err)
		}
	}
	if judged != defaultFailures+1 {
		t.Errorf("%d guesses of a crowd are judged, one after the other it would be %d", judged, defaultFailures+1)
	}
	err := attempt().Succeeded()
	if err == nil {
		t.Fatal("the guess that was right is told")
	}
	wait := AsError(err).RetryAfter
	if wait > 30*time.Second {
		t.Errorf("the address is sent away for %s", wait)
	}
	now = now.Add(wait)
	if err := attempt().Count(); err != nil {
		t.Errorf("it came back when it was told to: %v", err)
	}
}

// An attempt that was counted and succeeds leaves nothing behind, however many others run beside
// it.
func TestLimiterGivesBack(t *testing.T) {
	l := &Limiter{Now: time.Now}
	for range 10 * defaultFailures {
		a := l.Attempt(RateLimit{}, netip.AddrFrom4([4]byte{192, 0, 2, 1}), "x")
		for range 3 { // counts once
			if err := a.Count(); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Succeeded(); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.Len(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// Others at the address of a client, behind the same NAT, cannot lock it out by failing in its name
// as often as an unknown client may; and cannot guess without end either.
func TestLimiterKnownClient(t *testing.T) {
	now := time.Now()
	l := &Limiter{Now: func() time.Time { return now }}
	attempt := func(client string) *Attempt {
		return l.Attempt(RateLimit{}, netip.AddrFrom4([4]byte{192, 0, 2, 1}), client)
	}
	guess := func(client string, n int) (judged int) {
		for range n {
			if attempt(client).Count() == nil {
				judged++
			}
		}
		return judged
	}
	if err := attempt("billing").Succeeded(); err != nil {
		t.Fatal(err)
	}
	if judged := guess("billing", 32); judged != 32 {
		t.Errorf("%d of 32 failures are judged", judged)
	}
	right := attempt("billing")
	if err := right.Allow(t.Context()); err != nil {
		t.Errorf("the client is locked out: %v", err)
	}
	if err := right.Count(); err != nil {
		t.Errorf("the client is locked out: %v", err)
	}
	if err := right.Succeeded(); err != nil {
		t.Errorf("the client is locked out: %v", err)
	}
	if judged := guess("billing", 1000); judged != wholeAddress*defaultFailures+1-32 {
		t.Errorf("%d more guesses are judged, want %d", judged, wholeAddress*defaultFailures+1-32)
	}
	if attempt("billing").Succeeded() == nil {
		t.Error("the guess that was right is told")
	}
	// An hour later it is a client like any other, and not held to what it could do before.
	now = now.Add(lately)
	guess("billing", 1000)
	err := attempt("billing").Count()
	if err == nil || AsError(err).RetryAfter > 30*time.Second {
		t.Errorf("after an hour: %v", err)
	}
	// Nobody else there has the wider bound.
	now = now.Add(lately)
	if judged := guess("shop", 1000); judged != defaultFailures+1 {
		t.Errorf("%d guesses for another client are judged", judged)
	}
	// Who goes on succeeding is known still.
	for range 2 {
		now = now.Add(lately * 2 / 3)
		if err := attempt("orders").Succeeded(); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(lately * 2 / 3)
	if judged := guess("orders", 1000); judged != wholeAddress*defaultFailures+1 {
		t.Errorf("%d guesses for a client that has succeeded in this hour are judged", judged)
	}
}
