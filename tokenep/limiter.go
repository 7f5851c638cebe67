package tokenep

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	freeFailures  = 10               // cost nothing: people mistype, and some clients probe
	mostFailures  = 20               // above this, the address is refused
	forgetFailure = 10 * time.Second // after which one failure is forgotten
	slowDown      = 200 * time.Millisecond
	maxAddresses  = 1 << 16
)

// Limiter slows down a sender that fails to authenticate again and again (RFC 6749 §10.10). Above
// freeFailures each further request from the address waits a little longer; above mostFailures it
// is refused, whatever its credentials. A nil Limiter limits nothing.
type Limiter struct {
	Now func() time.Time

	mu        sync.Mutex
	addresses map[netip.Prefix]failures
}

// failures is a leaking bucket: level is how many there were at a moment.
type failures struct {
	level  float64   // how many, at
	at     time.Time // this moment
	client string    // the client of the last one
}

func (f failures) decayed(now time.Time) float64 {
	return max(0, f.level-max(0, now.Sub(f.at).Seconds())/forgetFailure.Seconds())
}

// Allow returns at once, after a delay, or with an error of status 429.
func (l *Limiter) Allow(ctx context.Context, address netip.Addr) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	f, known := l.failures(network(address), l.Now())
	l.mu.Unlock()
	if !known {
		return nil
	}
	level := f.level
	if err := tooMany(level); err != nil || level <= freeFailures {
		return err
	}
	return sleep(ctx, time.Duration((level-freeFailures)*float64(slowDown)))
}

// tooMany returns an error of status 429 for an address with this many failures, or nil.
func tooMany(level float64) error {
	if level <= mostFailures {
		return nil
	}
	e := TemporarilyUnavailable.Describe("too many failed attempts at client authentication")
	e.Status = http.StatusTooManyRequests
	e.RetryAfter = time.Duration((level - mostFailures + 1) * float64(forgetFailure))
	return e
}

// Failed counts a failure for the address. Attempts can be allowed side by side: when there have
// been too many failures by the time that one ends, it gets the error of Allow, be it right or
// wrong. So sending attempts at once finds out no more than sending them in turn.
func (l *Limiter) Failed(address netip.Addr, client string) error {
	return l.update(address, func(f failures) failures { return failures{level: f.level + 1, at: f.at, client: client} })
}

// Succeeded forgives the last failure if it was the same client's: a library that tries two methods
// in turn fails once each time. Its error is that of Failed.
func (l *Limiter) Succeeded(address netip.Addr, client string) error {
	return l.update(address, func(f failures) failures {
		if f.client == client {
			f.level, f.client = max(0, f.level-1), ""
		}
		return f
	})
}

func (l *Limiter) update(address netip.Addr, change func(failures) failures) error {
	if l == nil {
		return nil
	}
	key := network(address)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	old, known := l.failures(key, now)
	if err := tooMany(old.level); err != nil {
		return err
	}
	f := change(old)
	switch {
	case f.level <= 0 && known:
		delete(l.addresses, key)
	case f.level > 0:
		l.makeRoom(now)
		l.addresses[key] = f
	}
	return nil
}

// failures returns the failures of an address as of now. Those that were counted at a later time,
// because the clock has gone back since, count as of now: else none would be forgotten until that
// time comes again.
func (l *Limiter) failures(key netip.Prefix, now time.Time) (f failures, known bool) {
	f, known = l.addresses[key]
	if known && f.at.After(now) {
		f.at = now
		l.addresses[key] = f
	}
	return failures{level: f.decayed(now), at: now, client: f.client}, known
}

// makeRoom bounds the memory that senders can use up. Each failure looks at a few other addresses
// and drops those whose failures are forgotten. When the table is full of others, it drops any one.
func (l *Limiter) makeRoom(now time.Time) {
	if l.addresses == nil {
		l.addresses = make(map[netip.Prefix]failures)
	}
	look, full := 2, len(l.addresses) >= maxAddresses
	if full {
		look = 64
	}
	freed := false
	for key, f := range l.addresses {
		look--
		if f.decayed(now) == 0 || full && look <= 0 && !freed {
			delete(l.addresses, key)
			freed = true
		}
		if look <= 0 {
			return
		}
	}
}

// Len returns the number of addresses that are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.addresses)
}

// network returns what failures are counted by: an IPv4 address, or the /64 of an IPv6 host.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
