package tokenep

import (
	"net/netip"
	"testing"
	"time"
)

// Strangers cannot use up memory: past a number of addresses one is forgotten for each that comes, those that have been quiet first.
func TestLimiterBounded(t *testing.T) {
	now := time.Now()
	l := &Limiter{Now: func() time.Time { return now }}
	fill := func(from, n int) {
		for i := from; i < from+n; i++ {
			l.Failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "x")
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
	l.Succeeded(netip.AddrFrom4([4]byte{192, 0, 2, 1}), "x")
	l.Failed(netip.AddrFrom4([4]byte{192, 0, 2, 2}), "x")
	l.Succeeded(netip.AddrFrom4([4]byte{192, 0, 2, 2}), "x")
	for _, quiet := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
		if _, kept := l.addresses[netip.MustParsePrefix(quiet)]; kept {
			t.Errorf("%s has done nothing wrong, and is kept", quiet)
		}
	}
}
