package tokenep

import (
	"context"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	wholeAddress = 5               // an address may fail as often as this many clients
	longestDelay = 2 * time.Second // of a request, before the address is refused
	lately       = time.Hour       // how long a success is remembered

	longestSignIn = 5 * longestDelay // of a request for a person at whose password many guess
)

// Limiter slows down a sender that fails to authenticate again and again (RFC 6749 §10.10).
// Failures are counted for each client at each address, and for the address as a whole. Above half
// of what the RateLimit allows, each further request waits a little longer; above all of it, it is
// refused, whatever its credentials. A client that has succeeded lately from an address is not
// refused for the failures of others there, and may fail as often as the whole address: its id is
// no secret, and others may sit behind the same address. A nil Limiter limits nothing.
type Limiter struct {
	Now      func() time.Time
	Remember time.Duration // how long a success is remembered; 0: an hour

	mu        sync.Mutex
	accounts  table[uint64, failures] // of people, at all addresses together
	clients   table[sender, failures]
	addresses table[netip.Prefix, failures]
	known     table[sender, time.Time] // when each client succeeded last

	refused atomic.Uint64 // attempts
	waiting atomic.Int64  // attempts, now
}

// sender is a client at an address. The id is hashed: anybody may send a long one.
type sender struct {
	network netip.Prefix
	client  uint64
}

var senderSeed = maphash.MakeSeed()

// Attempt is one authentication of one client from one address.
type Attempt struct {
	limiter *Limiter // nil: it is not limited
	sender  sender
	network netip.Prefix // of the address
	own     bound        // of the client at the address
	all     bound        // of the address
	person  bool         // and no client
	guess   bool         // likewise, who has signed in: see Guess
	counted bool
}

// Attempt returns an attempt of the client, which need not exist.
func (l *Limiter) Attempt(r RateLimit, address netip.Addr, client string) *Attempt {
	network := Network(address)
	a := &Attempt{limiter: l, sender: sender{network: network}, network: network}
	if l != nil {
		a.sender.client = maphash.String(senderSeed, client)
		a.own, a.all = r.bounds()
	}
	return a
}

// SignIn returns an attempt at the password of a person, who need not exist. Names that differ in
// case or accents alone count as one, as they do in many directories. Beside what is counted for a
// client, the failures for one name at all addresses are: they make the next attempt at it wait
// longer and longer, 10 s at the most, and refuse none, so that nobody can lock a person out by
// guessing from everywhere. From an address where that person has succeeded lately no attempt waits
// for failures elsewhere.
func (l *Limiter) SignIn(r RateLimit, address netip.Addr, name string) *Attempt {
	a := l.Attempt(r, address, foldName(name))
	a.person = true
	return a
}

// Network returns what attempts from the same place have in common: an IPv4 address, or the /64 of
// an IPv6 host. It is invalid for a nil Attempt.
func (a *Attempt) Network() netip.Prefix {
	if a == nil {
		return netip.Prefix{}
	}
	return a.network
}

// Allow returns at once, after a delay, or with an error of status 429.
func (a *Attempt) Allow(ctx context.Context) error {
	if a.limiter == nil {
		return nil
	}
	a.limiter.mu.Lock()
	now := a.limiter.Now()
	own, all := a.failures(now)
	account := a.account(now)
	a.limiter.mu.Unlock()
	if err := a.tooMany(own, all); err != nil {
		return err
	}
	if delay := max(a.own.delay(own.level), a.all.delay(all.level), min(a.all.delay(account.level), longestSignIn)); delay > 0 {
		a.limiter.waiting.Add(1)
		defer a.limiter.waiting.Add(-1)
		return sleep(ctx, delay)
	}
	return nil
}

// Count counts the attempt as a failure, once. What costs much is done after it, and Succeeded
// takes it back: however many attempts are made at the same time, no more of them are judged than
// one after the other. When there have been too many failures by now, Count returns the error of
// Allow.
func (a *Attempt) Count() error {
	if a == nil || a.limiter == nil || a.counted {
		return nil
	}
	l := a.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	own, all := a.failures(now)
	if err := a.tooMany(own, all); err != nil {
		return err
	}
	a.counted = true
	all = asOf(&l.addresses, a.network, a.all, now)
	own.level++
	own.last = true
	all.level = min(all.level, a.all.most) + 1
	a.store(own, all, now)
	a.countAccount(1, now)
	return nil
}

// Withdraw takes back what Count counted, where nobody learned whether it was a failure.
func (a *Attempt) Withdraw() {
	if a == nil || a.limiter == nil || !a.counted {
		return
	}
	l := a.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	own, _ := a.failures(now)
	a.forgive(own, now)
	a.counted = false
}

// forgive takes one failure back.
func (a *Attempt) forgive(own failures, now time.Time) {
	all := asOf(&a.limiter.addresses, a.network, a.all, now)
	own.level = max(0, own.level-1)
	own.last = own.last && a.counted
	all.level = max(0, all.level-1)
	a.store(own, all, now)
	a.countAccount(-1, now)
}

// Succeeded takes back what Count counted. If it was not called, the last failure is forgiven: a
// library that tries two methods in turn fails once each time. An attempt that was not counted gets
// the error of Allow when there have been too many failures by now, so that nobody learns that it
// was right.
func (a *Attempt) Succeeded() error {
	if a == nil || a.limiter == nil {
		return nil
	}
	l := a.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	own, all := a.failures(now)
	if !a.counted {
		if err := a.tooMany(own, all); err != nil {
			return err
		}
	}
	if a.counted || own.last {
		a.forgive(own, now)
	}
	a.counted = false
	l.remember(a.sender, now)
	return nil
}

// failures returns the failures that the attempt is judged by, as of now. Those of the address do
// not count for a client that is known there, and its own have the wider bound.
func (a *Attempt) failures(now time.Time) (own, all failures) {
	l := a.limiter
	if a.known(now) {
		a.own = a.all
		return asOf(&l.clients, a.sender, a.own, now), failures{}
	}
	own = asOf(&l.clients, a.sender, a.own, now)
	own.level = min(own.level, a.own.most+1) // it was known until now
	return own, asOf(&l.addresses, a.network, a.all, now)
}

// known reports whether the attempt is of a client or person that has succeeded lately from there.
func (a *Attempt) known(now time.Time) bool {
	at, known := a.limiter.known.rows[a.sender]
	return known && !a.guess && a.limiter.isLately(at, now)
}

// account returns the failures for a person at all addresses that the attempt waits for.
func (a *Attempt) account(now time.Time) failures {
	if !a.person || a.known(now) {
		return failures{}
	}
	return asOf(&a.limiter.accounts, a.sender.client, a.all, now)
}

// countAccount counts failures for a person. More than make the longest delay are not remembered.
func (a *Attempt) countAccount(n float64, now time.Time) {
	if !a.person {
		return
	}
	f := asOf(&a.limiter.accounts, a.sender.client, a.all, now)
	f.level = min(max(0, f.level+n), a.all.most/2*(1+float64(longestSignIn/longestDelay)))
	a.limiter.accounts.put(a.sender.client, f, func(f failures) bool { return a.all.asOf(f, now).level <= 0 })
}

// asOf returns the failures of a row that are left. Those of a later time, because the clock has
// been set back since, count as of now from here on: else none would be forgotten until that time
// comes again.
func asOf[K comparable](t *table[K, failures], key K, b bound, now time.Time) failures {
	f, there := t.rows[key]
	if there && f.at.After(now) {
		f.at = now
		t.rows[key] = f
	}
	return b.asOf(f, now)
}

func (a *Attempt) store(own, all failures, now time.Time) {
	a.limiter.clients.put(a.sender, own, func(f failures) bool { return a.own.asOf(f, now).level <= 0 })
	a.limiter.addresses.put(a.network, all, func(f failures) bool { return a.all.asOf(f, now).level <= 0 })
}

// tooMany returns an error of status 429 if there are too many failures, or nil.
func (a *Attempt) tooMany(own, all failures) error {
	wait := max(a.own.wait(own.level), a.all.wait(all.level))
	if wait == 0 {
		return nil
	}
	a.limiter.refused.Add(1)
	e := TemporarilyUnavailable.Describe(a.tooManyOf())
	e.Status = http.StatusTooManyRequests
	e.RetryAfter = wait
	return e
}

// failures is a leaking bucket.
type failures struct {
	level float64   // how many there were
	at    time.Time // at this moment
	last  bool      // the last attempt failed
}

// bound is the size of a bucket, and how fast it leaks.
type bound struct {
	most   float64
	forget time.Duration // the time in which one failure is forgotten
}

// asOf returns the failures that are left of f.
func (b bound) asOf(f failures, now time.Time) failures {
	f.level = max(0, f.level-max(0, float64(now.Sub(f.at)))/float64(b.forget))
	f.at = now
	return f
}

// delay returns how long a request waits: up to longestDelay, from half of the bound on.
func (b bound) delay(level float64) time.Duration {
	half := b.most / 2
	return time.Duration(max(0, level-half) / half * float64(longestDelay))
}

// wait returns the time after which a sender that is refused may come back, or 0.
func (b bound) wait(level float64) time.Duration {
	if level <= b.most {
		return 0
	}
	return time.Duration((level - b.most + 1) * float64(b.forget))
}

// Len returns the number of clients, people and addresses whose failures are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients.rows) + len(l.addresses.rows) + len(l.accounts.rows)
}

// Network returns what is counted as one address.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// siteBlock is a block of addresses that one site may have, and how many times as much as one
// address it may take.
type siteBlock struct {
	block netip.Prefix
	times int
}

// siteBlocks returns the blocks that an address belongs to, the largest first: the /48 and the /56
// of what Network has made of an IPv6 address, which providers hand out, and the /24 of an IPv4
// address.
func siteBlocks(network netip.Prefix) []siteBlock {
	block := func(bits, times int) siteBlock {
		b, _ := network.Addr().Prefix(bits)
		return siteBlock{b, times}
	}
	switch {
	case !network.IsValid():
		return nil
	case network.Addr().Is4():
		return []siteBlock{block(24, 16)}
	}
	return []siteBlock{block(48, 16), block(56, 4)}
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
