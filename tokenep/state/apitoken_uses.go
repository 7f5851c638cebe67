package state

import (
	"net/netip"
	"slices"
	"sync"
)

// APITokenUses counts the uses of API tokens between two writes of their records, and from where
// they came. It is kept in memory, and bounded: where there is no more room, a use is counted when
// it is written, or not at all. The zero value is empty; a nil one counts what is written.
type APITokenUses struct {
	mu     sync.Mutex
	tokens map[string]useCount
}

// useCount is how often a token was used, and from where.
type useCount struct {
	n    int64
	from []netip.Prefix // at most maxUsedFrom
}

// maxUses is how many tokens have a count at a time.
const maxUses = 1 << 14

// note counts a use. If the uses are to be written now, it returns all that there are.
func (u *APITokenUses) note(id string, from netip.Addr, write bool) (all useCount, due bool) {
	network := addressBlock(from)
	if u == nil {
		return useCount{}.add(useCount{1, blocks(network)}), write
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	all, known := u.tokens[id]
	all = all.add(useCount{1, blocks(network)})
	switch {
	case write:
		delete(u.tokens, id)
	case known || len(u.tokens) < maxUses:
		u.put(id, all)
	}
	return all, write
}

// putBack counts again what could not be written.
func (u *APITokenUses) putBack(id string, uses useCount) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if before, known := u.tokens[id]; known || len(u.tokens) < maxUses {
		u.put(id, uses.add(before))
	}
}

func (u *APITokenUses) put(id string, uses useCount) {
	if u.tokens == nil {
		u.tokens = make(map[string]useCount)
	}
	u.tokens[id] = uses
}

// add returns the sum of both.
func (u useCount) add(more useCount) useCount {
	u.n += more.n
	for _, block := range more.from {
		if len(u.from) < maxUsedFrom && !slices.Contains(u.from, block) {
			u.from = append(slices.Clip(u.from), block)
		}
	}
	return u
}

// moved reports whether a token that was used before was now used from an address that it was not
// used from lately.
func (u useCount) moved(lately []netip.Prefix) bool {
	return len(lately) > 0 && slices.ContainsFunc(u.from, func(p netip.Prefix) bool { return !slices.Contains(lately, p) })
}

// addressBlock returns what counts as one address: an IPv4 address, or the /64 of an IPv6 host.
func addressBlock(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// blocks returns the block, if it is one.
func blocks(p netip.Prefix) []netip.Prefix {
	if !p.IsValid() {
		return nil
	}
	return []netip.Prefix{p}
}
