package verify

import (
	"crypto"
	"crypto/sha256"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// Cache remembers proven tokens: that these bytes were signed by this key, and what they say. It
// never remembers a decision: whether the issuer is trusted, the key still published, the audience
// right and the token unexpired is checked on every request. So one Cache may serve many verifiers
// with different rules.
//
// It wraps go-cache, which has no limit and only one lock, and a clock of its own. Here the key of
// an entry is the SHA-256 of the whole token, and each shard has a lock and a limit of its own. A
// fact stays true when its token has expired, which is checked on every request: such entries make
// room for others.
type Cache struct {
	shards []cacheShard
	seed   maphash.Seed
	now    func() time.Time
}

// fact is an entry: key signed the bytes with this sum. What they say is parsed when they are first
// presented, so that a token that never is costs little.
type fact struct {
	sum     [sha256.Size]byte
	key     crypto.PublicKey
	token   atomic.Pointer[Token] // nil until parsed
	expires time.Time
	client  uint64 // hash of issuer and client
	slot    int    // index in the facts of its shard; -1: it was evicted
	weight  int    // in bytes; with that of token, if there is one
}

// cacheShard holds at most limit facts of at most so many bytes. proven is read without mu.
type cacheShard struct {
	proven *gocache.Cache

	mu      sync.Mutex
	limit   int
	most    int // bytes
	bytes   int // of facts
	facts   []*fact
	clients map[uint64]int // how many bytes the facts of each client have
	hand    int            // index of the fact that sweep looks at next

	hits, misses atomic.Uint64
}

const (
	maxShards = 64
	minShard  = 64 // entries; in a smaller shard, eviction by sampling is unfair
	samples   = 8

	factBytes  = 4 << 10 // of a token, on average: most have fewer
	factWeight = 512     // of a fact without a token
	factShare  = 16      // a token with more than this part of a shard is not kept
)

// NewCache returns a cache for at most limit tokens; a limit below 1 stands for 1. All of them have
// at most 4 KiB of memory each, on average, and most tokens need less: tokens with more claims make
// it hold fewer. A nil now stands for time.Now.
func NewCache(limit int, now func() time.Time) *Cache {
	if now == nil {
		now = time.Now
	}
	n := 1
	for n < maxShards && limit/(2*n) >= minShard {
		n *= 2
	}
	c := &Cache{shards: make([]cacheShard, n), seed: maphash.MakeSeed(), now: now}
	for i := range c.shards {
		c.shards[i] = cacheShard{
			// Facts are swept and evicted here. A cleanup interval would start a goroutine that is
			// never stopped.
			proven:  gocache.New(gocache.NoExpiration, 0),
			limit:   max(limit/n, 1),
			most:    max(limit/n, 1) * factBytes,
			clients: make(map[uint64]int),
		}
	}
	return c
}

// Insert stores that key signed jwt, so that its signature need not be verified until it expires.
// It is for the issuer that has just signed jwt. A token that has expired, or whose expires is
// zero, is not stored. When the cache is full, tokens of the issuer and client that have most bytes
// of it are evicted first.
func (c *Cache) Insert(jwt string, key crypto.PublicKey, issuer, client string, expires time.Time) {
	c.insert(jwt, key, issuer, client, expires, nil)
}

func (c *Cache) insert(jwt string, key crypto.PublicKey, issuer, client string, expires time.Time, token *Token) {
	now := c.now()
	if !now.Before(expires) {
		return
	}
	f := &fact{sum: sumOf(jwt), key: key, expires: expires, weight: factWeight,
		client: maphash.Comparable(c.seed, [2]string{issuer, client})}
	shard := c.shard(&f.sum)
	if token != nil {
		if weight := shard.share(token, jwt); weight > 0 {
			f.weight += weight
			f.token.Store(token)
		}
	}
	shard.insert(f, now)
}

// keep gives a fact its token, unless that is too heavy.
func (c *Cache) keep(f *fact, jwt string, token *Token) {
	shard := c.shard(&f.sum)
	if weight := shard.share(token, jwt); weight > 0 {
		shard.keep(f, token, weight)
	}
}

func (c *Cache) shard(sum *[sha256.Size]byte) *cacheShard {
	return &c.shards[int(sum[0])&(len(c.shards)-1)]
}

// sumOf returns the SHA-256 of a token.
func sumOf(jwt string) [sha256.Size]byte {
	var onStack [1 << 10]byte // most tokens fit, and are hashed without an allocation
	return sha256.Sum256(append(onStack[:0], jwt...))
}

// find returns the fact about jwt, or nil.
func (c *Cache) find(jwt string) *fact {
	sum := sumOf(jwt)
	shard := c.shard(&sum)
	found, _ := shard.proven.Get(string(sum[:]))
	f, _ := found.(*fact)
	if f == nil {
		shard.misses.Add(1)
	} else {
		shard.hits.Add(1)
	}
	return f
}

// Len returns the number of tokens held, some of which may have expired.
func (c *Cache) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.facts)
		s.mu.Unlock()
	}
	return n
}

// CacheStats is what a Cache holds, and how it was used.
type CacheStats struct {
	Tokens       int // some of them may have expired
	Bytes        int // of memory, about
	Hits, Misses uint64
}

// Stats returns what the cache holds now, and how it was used since it was made.
func (c *Cache) Stats() (all CacheStats) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		all.Tokens, all.Bytes = all.Tokens+len(s.facts), all.Bytes+s.bytes
		s.mu.Unlock()
		all.Hits, all.Misses = all.Hits+s.hits.Load(), all.Misses+s.misses.Load()
	}
	return all
}

func (s *cacheShard) insert(f *fact, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proven.Add(string(f.sum[:]), f, gocache.NoExpiration) != nil {
		return // it is known
	}
	s.sweep(now)
	for len(s.facts) > 0 && (len(s.facts) >= s.limit || s.bytes+f.weight > s.most) {
		s.evict(s.victim())
	}
	f.slot = len(s.facts)
	s.facts = append(s.facts, f)
	s.weigh(f, f.weight)
}

// share returns how many bytes a token has, with its text; 0: it has more than its share, and is
// parsed whenever it is presented.
func (s *cacheShard) share(token *Token, jwt string) int {
	weight := token.Weight() + len(jwt)
	if factWeight+weight > max(s.most/factShare, factBytes) {
		return 0
	}
	return weight
}

// keep gives a fact its token, unless it was evicted, or has it by now.
func (s *cacheShard) keep(f *fact, token *Token, weight int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.slot < 0 || f.token.Load() != nil {
		return
	}
	f.token.Store(token)
	f.weight += weight
	s.weigh(f, weight)
	for s.bytes > s.most {
		s.evict(s.victim())
	}
}

// weigh counts bytes that a fact has now, or has no longer.
func (s *cacheShard) weigh(f *fact, bytes int) {
	s.bytes += bytes
	if s.clients[f.client] += bytes; s.clients[f.client] == 0 {
		delete(s.clients, f.client)
	}
}

// sweep looks at the next two facts, and evicts those that have expired. It is called on each
// insert: so expired facts don't accumulate, and no insert waits for a long scan.
func (s *cacheShard) sweep(now time.Time) {
	for range 2 {
		if len(s.facts) == 0 {
			return
		}
		s.hand %= len(s.facts)
		if f := s.facts[s.hand]; !now.Before(f.expires) {
			s.evict(f)
		}
		s.hand++
	}
}

// victim returns, of a few facts picked at random, one of the client that has most bytes. So a
// client that fills the cache evicts its own tokens.
func (s *cacheShard) victim() *fact {
	victim := s.facts[rand.IntN(len(s.facts))] //nolint:gosec // G404: not a secret
	if len(s.clients) == 1 {
		return victim // all are of one client
	}
	for range samples - 1 {
		if f := s.facts[rand.IntN(len(s.facts))]; s.clients[f.client] > s.clients[victim.client] { //nolint:gosec // G404: likewise
			victim = f
		}
	}
	return victim
}

func (s *cacheShard) evict(f *fact) {
	s.proven.Delete(string(f.sum[:]))
	last := len(s.facts) - 1
	s.facts[f.slot] = s.facts[last]
	s.facts[f.slot].slot = f.slot
	s.facts[last] = nil
	s.facts = s.facts[:last]
	f.slot = -1
	s.weigh(f, -f.weight)
}

// recall looks the token up in the cache.
func (s *verification) recall() {
	if s.cache == nil || len(s.jwt) > s.maxSize {
		return
	}
	if s.fact = s.cache.find(s.jwt); s.fact != nil {
		s.key = s.fact.key
		s.token = s.fact.token.Load()
		s.parsed = s.token != nil
	}
	if s.fact != nil && s.asks() { // it is another verifier that knows keys of the issuer
		s.fact, s.key, s.token, s.parsed = nil, nil, nil, false
	}
}

// remember stores what the run has found out. Every check has passed.
func (s *verification) remember() {
	switch t := s.token; {
	case s.cache == nil || s.parsed || s.opaque:
	case s.fact != nil:
		s.cache.keep(s.fact, s.jwt, t)
	default:
		client := t.ClientID
		if client == "" {
			client = t.Subject
		}
		s.cache.insert(s.jwt, s.key, t.Issuer, client, t.Expires, t)
	}
}
