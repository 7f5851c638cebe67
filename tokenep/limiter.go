package tokenep

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	freeFailures  = 10               // failures that cost nothing: people mistype, and some clients probe
	mostFailures  = 20               // from here on nobody at this address is asked for credentials any more
	forgetFailure = 10 * time.Second // one failure is forgotten every so often
	slowDown      = 200 * time.Millisecond
	maxAddresses  = 1 << 16
)

// Limiter slows down whoever fails to authenticate again and again (RFC 6749 §10.10): past
// freeFailures each further request from the address waits a little longer, and past mostFailures
// it is told to come back later, whatever credentials it has. A nil Limiter limits nothing.
type Limiter struct {
	Now func() time.Time

	mu        sync.Mutex
	addresses map[netip.Prefix]failures
}

// failures is a leaking bucket.
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

// tooMany is the answer of status 429 to an address at this level, or nil.
func tooMany(level float64) error {
	if level <= mostFailures {
		return nil
	}
	e := TemporarilyUnavailable.Describe("too many failed attempts at client authentication")
	e.Status = http.StatusTooManyRequests
	e.RetryAfter = time.Duration((level - mostFailures + 1) * float64(forgetFailure))
	return e
}

// Failed counts a failure against the address. Of attempts that were allowed side by side, those
// that come to their end when there have been too many get the same error as from Allow, right or
// wrong: so a crowd learns no more than one after the other would, and nobody is sent away for
// longer.
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

// failures returns those of an address as they are now. Where they were counted at a later time,
// because the clock has gone back, they are counted anew: else nothing would be forgotten until
// that time has come again.
func (l *Limiter) failures(key netip.Prefix, now time.Time) (f failures, known bool) {
	f, known = l.addresses[key]
	if known && f.at.After(now) {
		f.at = now
		l.addresses[key] = f
	}
	return failures{level: f.decayed(now), at: now, client: f.client}, known
}

// makeRoom bounds the memory that strangers can use up. Each failure looks at a few others and
// drops what is forgotten, so that there is never much of that. When every address is one that
// failed lately, any of them is dropped.
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

// Len is the number of addresses that it remembers.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.addresses)
}

// network is what failures are counted by: an IPv4 address, or the /64 that one IPv6 host has to
// itself.
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
