package tokenep

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// The memory of the limiter is bounded: past a number of addresses, each new one replaces one that
// has been quiet for long.
func TestLimiterBounded(t *testing.T) {
	now := time.Now()
	l := &Limiter{Now: func() time.Time { return now }}
	fill := func(from, n int) {
		for i := from; i < from+n; i++ {
			_ = l.Failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "x")
		}
	}
	fill(0, maxAddresses+1000)
	if n := len(l.addresses); n > maxAddresses {
		t.Errorf("%d addresses are kept, at most %d may be", n, maxAddresses)
	}
	now = now.Add(time.Minute)
	fill(1<<20, 5000)
	if n := len(l.addresses); n > maxAddresses {
		t.Errorf("%d addresses are kept, at most %d may be", n, maxAddresses)
	}
	lately := 0
	for _, f := range l.addresses {
		if f.at.Equal(now) {
			lately++
		}
	}
	if lately != 5000 {
		t.Errorf("%d of 5000 addresses that failed just now are kept, although the others have been quiet for a minute", lately)
	}
	_ = l.Succeeded(netip.AddrFrom4([4]byte{192, 0, 2, 1}), "x")
	_ = l.Failed(netip.AddrFrom4([4]byte{192, 0, 2, 2}), "x")
	_ = l.Succeeded(netip.AddrFrom4([4]byte{192, 0, 2, 2}), "x")
	for _, quiet := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
		if _, kept := l.addresses[netip.MustParsePrefix(quiet)]; kept {
			t.Errorf("%s has done nothing wrong, and is kept", quiet)
		}
	}
}

// When many guesses are allowed before the first one fails, as many of them are answered as in
// sequence, and the address may come back as soon.
func TestLimiterCrowd(t *testing.T) {
	now := time.Now()
	l := &Limiter{Now: func() time.Time { return now }}
	address := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	const crowd = 1000
	for range crowd {
		if err := l.Allow(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	judged := 0
	for range crowd {
		err := l.Failed(address, "x")
		if err == nil {
			judged++
		} else if AsError(err).Status != http.StatusTooManyRequests {
			t.Fatal(err)
		}
	}
	if judged > mostFailures+1 {
		t.Errorf("%d guesses of a crowd are answered, one after the other it would be %d", judged, mostFailures+1)
	}
	err := l.Succeeded(address, "x")
	if err == nil {
		t.Fatal("the guess that was right is told")
	}
	wait := AsError(err).RetryAfter
	if wait > 3*forgetFailure {
		t.Errorf("the address is sent away for %s", wait)
	}
	now = now.Add(wait)
	if err := tooMany(l.addresses[network(address)].decayed(now)); err != nil {
		t.Errorf("it came back when it was told to: %v", err)
	}
}
