package tokenep

import (
	"cmp"

	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Pace bounds how often something may be done that anybody may ask for and that stays, such as the
// registration of a client: from one address (a /64 for IPv6), from one site (four times as much
// from a /56, and sixteen times from a /48, or a /24 of IPv4, but a quarter of all at most), and in
// all. A nil Pace bounds nothing.
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
	return p.TakeOf(from, p.InAll)
}

// TakeOf is Take where there may be so many in all; 0 is InAll. What was counted is kept when the
// number changes, as by another configuration.
func (p *Pace) TakeOf(from netip.Addr, inAll int) error {
	if p == nil {
		return nil
	}
	inAll = cmp.Or(inAll, p.InAll)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	all := p.bound(inAll)
	if p.all.at.After(now) { // the clock was set back
		p.all.at = now
	}
	sum := all.asOf(p.all, now)
	wait := all.full(sum)
	network := Network(from)
	places := []pacePlace{{network, p.bound(p.PerAddress)}}
	for _, b := range siteBlocks(network) {
		places = append(places, pacePlace{b.block, p.bound(max(p.PerAddress, min(b.times*p.PerAddress, inAll/4)))})
	}
	for _, place := range places {
		wait = max(wait, place.bound.full(asOf(&p.addresses, place.block, place.bound, now)))
	}
	if wait > 0 {
		e := TemporarilyUnavailable.Describe("too many requests of this kind; try again later")
		e.Status = http.StatusTooManyRequests
		e.RetryAfter = wait
		return e
	}
	for _, place := range places {
		own := asOf(&p.addresses, place.block, place.bound, now)
		own.level++
		// Whatever the bound of a row, nothing is left of it after this time.
		p.addresses.put(place.block, own, func(f failures) bool { return now.Sub(f.at) >= p.Per })
	}
	sum.level++
	p.all = sum
	return nil
}

// pacePlace is a block of addresses, and what may come from there.
type pacePlace struct {
	block netip.Prefix
	bound bound
}

func (p *Pace) bound(most int) bound {
	return bound{float64(most), p.Per / time.Duration(most)}
}

// full returns the time after which there will be room for one more, or 0 if there is.
func (b bound) full(f failures) time.Duration {
	return time.Duration(math.Ceil(max(0, f.level+1-b.most) * float64(b.forget)))
}
