package tokenep

import (
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Pace bounds how often something may be done that anybody may ask for and that stays, such as the
// registration of a client: from one address (a /64 for IPv6), and in all. A nil Pace bounds
// nothing.
type Pace struct {
	PerAddress int           // this many from one address
	InAll      int           // and this many from all of them
	Per        time.Duration // in this time
	Now        func() time.Time

	mu        sync.Mutex
	addresses table[netip.Prefix, failures]
	all       failures
}

// Take counts once more, or returns an error of status 429 that says when there will be room.
func (p *Pace) Take(from netip.Addr) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	address, all := p.bound(p.PerAddress), p.bound(p.InAll)
	if p.all.at.After(now) { // the clock was set back
		p.all.at = now
	}
	own, sum := asOf(&p.addresses, Network(from), address, now), all.asOf(p.all, now)
	if wait := max(address.full(own), all.full(sum)); wait > 0 {
		e := TemporarilyUnavailable.Describe("too many requests of this kind; try again later")
		e.Status = http.StatusTooManyRequests
		e.RetryAfter = wait
		return e
	}
	own.level++
	sum.level++
	p.all = sum
	p.addresses.put(Network(from), own, func(f failures) bool { return address.asOf(f, now).level <= 0 })
	return nil
}

func (p *Pace) bound(most int) bound {
	return bound{float64(most), p.Per / time.Duration(most)}
}

// full returns the time after which there will be room for one more, or 0 if there is.
func (b bound) full(f failures) time.Duration {
	return time.Duration(math.Ceil(max(0, f.level+1-b.most) * float64(b.forget)))
}
