package tokenep

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	maxWaiting     = 1024 // requests in all
	maxWaitingEach = 8    // requests of one address
	retryTurn      = 2 * time.Second

	rest     = 2 // times as long as a request has computed
	longRest = 500 * time.Millisecond
)

// Turns bounds how many requests compute slow hashes at once, so that guessing at secrets and
// passwords (RFC 6749 §10.10) leaves a processor to other work. The addresses that wait are served
// in turns: one that sends many requests waits for itself, and others wait for one request of it.
// So do sites, which have many addresses, and a site has an eighth of the places at most.
// While requests wait, a slot rests after each one for twice as long as that took, so that a flood
// has a third of what the slots can do. When too many requests wait, further ones are refused.
type Turns struct {
	rests   bool
	guesses bool // what waits may be guesses, of which an address and a site have few

	mu      sync.Mutex
	free    int // slots
	each    int // slots that one address or site may have
	waiting int
	served  uint64 // requests
	lines   map[netip.Prefix]*line
	order   []*line // those in which requests wait; the first of a site is served next
	sites   map[netip.Prefix]*turnSite
}

// line is the requests of one address.
type line struct {
	address netip.Prefix
	running int
	waiting []chan error // gets nil when it is the request's turn
	sites   []*turnSite  // that it belongs to, the largest first
}

// turnSite is what is known of the requests of a site.
type turnSite struct {
	block            netip.Prefix
	most             int // requests that may wait
	waiting, running int
	lines            int
	served           uint64 // how many had been served when it was last, or came
}

// ProcessTurns are shared by all servers of the process: one slot fewer than there are processors,
// and at least one.
var ProcessTurns = NewTurns(max(1, runtime.GOMAXPROCS(0)-1))

// NewTurns returns Turns with this many slots. One address may have all but one of them, and at
// least one.
func NewTurns(slots int) *Turns {
	return &Turns{rests: true, guesses: true, free: slots, each: max(1, slots-1), lines: make(map[netip.Prefix]*line), sites: make(map[netip.Prefix]*turnSite)}
}

// NewQueue returns Turns at what another machine does: no slot rests.
func NewQueue(slots int) *Turns {
	t := NewTurns(slots)
	t.rests = false
	return t
}

// NewTokenQueue returns Turns at questions about tokens, which are no guesses: no slot rests, and
// an address has as many places as there are. Where all are taken, the last request of whoever has
// most of them is refused.
func NewTokenQueue(slots int) *Turns {
	t := NewQueue(slots)
	t.guesses = false
	return t
}

// Waiting returns how many requests wait for a slot.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

// Len returns how many addresses have requests that run or wait.
func (t *Turns) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines)
}

// Take returns when it is the request's turn, or with an error of status 503 when too many requests
// wait. release must be called once.
func (t *Turns) Take(ctx context.Context, address netip.Prefix) (release func(), err error) {
	t.mu.Lock()
	l := t.line(address)
	if t.free > 0 && l.runs(t.each) {
		t.start(l)
		t.mu.Unlock()
		return t.releaser(l), nil
	}
	if !t.place(l) {
		t.forget(l)
		t.mu.Unlock()
		return nil, t.refusal()
	}
	turn := make(chan error, 1)
	l.waiting = append(l.waiting, turn)
	t.wait(l, 1)
	if len(l.waiting) == 1 {
		t.order = append(t.order, l)
	}
	t.mu.Unlock()
	select {
	case err := <-turn:
		if err != nil {
			return nil, err
		}
		return t.releaser(l), nil
	case <-ctx.Done():
		t.leave(l, turn)
		return nil, ctx.Err()
	}
}

func (t *Turns) refusal() error {
	what := "tokens wait to be asked about"
	if t.guesses {
		what = "secrets wait to be checked"
	}
	e := TemporarilyUnavailable.Describe("too many " + what + "; try again")
	e.RetryAfter = retryTurn
	return e
}

// place reports whether another request may wait in a line. It may have taken the place of another.
func (t *Turns) place(l *line) bool {
	if t.guesses {
		full := func(s *turnSite) bool { return s.waiting >= s.most }
		return t.waiting < maxWaiting && len(l.waiting) < maxWaitingEach && !slices.ContainsFunc(l.sites, full)
	}
	if t.waiting < maxWaiting {
		return true
	}
	longest := t.order[0]
	for _, other := range t.order {
		if other.crowds(longest) {
			longest = other
		}
	}
	if !longest.crowds(l) {
		return false
	}
	last := len(longest.waiting) - 1
	longest.waiting[last] <- t.refusal()
	t.withdraw(longest, last)
	t.forget(longest)
	return true
}

// crowds reports whether more requests wait in a line than in another one: of the sites in which
// they differ, or else of the two themselves.
func (l *line) crowds(other *line) bool {
	for i := range min(len(l.sites), len(other.sites)) {
		if mine, its := l.sites[i], other.sites[i]; mine != its {
			return mine.waiting > its.waiting
		}
	}
	return len(l.waiting) > len(other.waiting)
}

// line returns the line of an address.
func (t *Turns) line(address netip.Prefix) *line {
	l := t.lines[address]
	if l != nil {
		return l
	}
	l = &line{address: address}
	t.lines[address] = l
	for _, b := range siteBlocks(address) {
		s := t.sites[b.block]
		if s == nil {
			s = &turnSite{block: b.block, most: b.times * maxWaitingEach, served: t.served}
			t.sites[b.block] = s
		}
		s.lines++
		l.sites = append(l.sites, s)
	}
	return l
}

// runs reports whether another request of a line may run, of each so many at once.
func (l *line) runs(each int) bool {
	full := func(s *turnSite) bool { return s.running >= each }
	return l.running < each && !slices.ContainsFunc(l.sites, full)
}

// wait notes that so many requests more wait in a line.
func (t *Turns) wait(l *line, n int) {
	t.waiting += n
	for _, s := range l.sites {
		s.waiting += n
	}
}

func (t *Turns) start(l *line) { t.run(l, 1) }

// run notes that so many requests more of a line run.
func (t *Turns) run(l *line, n int) {
	t.free -= n
	l.running += n
	t.served++
	for _, s := range l.sites {
		s.running += n
		s.served = t.served
	}
}

// releaser returns what gives back the slot that is taken now: at once, or after a rest if others
// wait.
func (t *Turns) releaser(l *line) func() {
	start := time.Now()
	return func() {
		t.mu.Lock()
		flooded := t.rests && t.waiting > 0
		t.mu.Unlock()
		if flooded {
			time.AfterFunc(min(rest*time.Since(start), longRest), func() { t.release(l) })
			return
		}
		t.release(l)
	}
}

func (t *Turns) release(l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.run(l, -1)
	if i := slices.Index(t.order, l); i >= 0 { // whoever came meanwhile goes first
		t.order = append(slices.Delete(t.order, i, i+1), l)
	}
	t.next()
	t.forget(l)
}

// sooner reports whether a line is served before one that is ahead of it: the sites of that were
// served later.
func (l *line) sooner(ahead *line) bool {
	for i := range min(len(l.sites), len(ahead.sites)) {
		if mine, other := l.sites[i].served, ahead.sites[i].served; mine != other {
			return mine < other
		}
	}
	return false
}

// next starts requests while there are slots. A line that was served goes to the end.
func (t *Turns) next() {
	for t.free > 0 {
		i := -1
		for at, l := range t.order {
			if l.runs(t.each) && (i < 0 || l.sooner(t.order[i])) {
				i = at
			}
		}
		if i < 0 {
			return
		}
		l := t.order[i]
		t.order = slices.Delete(t.order, i, i+1)
		l.waiting[0] <- nil
		l.waiting = slices.Delete(l.waiting, 0, 1)
		t.wait(l, -1)
		t.start(l)
		if len(l.waiting) > 0 {
			t.order = append(t.order, l)
		}
	}
}

// leave withdraws a request that has given up. If its turn came meanwhile, it is passed on.
func (t *Turns) leave(l *line, turn chan error) {
	t.mu.Lock()
	i := slices.Index(l.waiting, turn)
	if i < 0 {
		t.mu.Unlock()
		if <-turn == nil {
			t.release(l)
		}
		return
	}
	defer t.mu.Unlock()
	t.withdraw(l, i)
	t.forget(l)
}

// withdraw takes a request that waits out of its line.
func (t *Turns) withdraw(l *line, i int) {
	l.waiting = slices.Delete(l.waiting, i, i+1)
	t.wait(l, -1)
	if len(l.waiting) == 0 {
		t.order = slices.DeleteFunc(t.order, func(other *line) bool { return other == l })
	}
}

// forget drops a line that nobody uses.
func (t *Turns) forget(l *line) {
	if l.running > 0 || len(l.waiting) > 0 {
		return
	}
	delete(t.lines, l.address)
	for _, s := range l.sites {
		if s.lines--; s.lines == 0 {
			delete(t.sites, s.block)
		}
	}
}
