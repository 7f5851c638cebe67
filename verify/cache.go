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
// It wraps go-cache, which keeps entries with a negative lifetime for ever, and has no limit and
// only one lock. Here the key of an entry is the SHA-256 of the whole token, every entry has a
// lifetime, and each shard has a lock and a limit of its own.
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
	slot    int    // index in the facts of its shard
	size    int    // of the token, in bytes
}

// cacheShard holds at most limit facts. proven is read without mu.
type cacheShard struct {
	proven *gocache.Cache

	mu      sync.Mutex
	limit   int
	facts   []*fact
	clients map[uint64]int // how many facts each client has
	hand    int            // index of the fact that sweep looks at next
	bytes   int            // of the tokens

	hits, misses atomic.Uint64
}

const (
	maxShards = 64
	minShard  = 64 // entries; in a smaller shard, eviction by sampling is unfair
	samples   = 8

	// maxLife keeps the expiry that go-cache computes, in nanoseconds, within an int64. An overflow
	// would keep the entry for ever.
	maxLife = 24 * time.Hour
)

// NewCache returns a cache for at most limit tokens; a limit below 1 stands for 1. A token takes a
// few kilobytes of memory. A nil now stands for time.Now.
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
			// A cleanup interval would start a goroutine that is never stopped.
			proven:  gocache.New(gocache.NoExpiration, 0),
			limit:   max(limit/n, 1),
			clients: make(map[uint64]int),
		}
	}
	return c
}

// Insert stores that key signed jwt, so that its signature need not be verified until it expires.
// It is for the issuer that has just signed jwt. A token that has expired, or whose expires is
// zero, is not stored. When the cache is full, tokens of the issuer and client that have most of
// them are evicted first.
func (c *Cache) Insert(jwt string, key crypto.PublicKey, issuer, client string, expires time.Time) {
	c.insert(jwt, key, issuer, client, expires, nil)
}

func (c *Cache) insert(jwt string, key crypto.PublicKey, issuer, client string, expires time.Time, token *Token) {
	life := expires.Sub(c.now())
	if expires.IsZero() || life <= 0 {
		return
	}
	f := &fact{sum: sha256.Sum256([]byte(jwt)), key: key, expires: expires, client: maphash.Comparable(c.seed, [2]string{issuer, client}), size: len(jwt)}
	f.token.Store(token)
	c.shard(&f.sum).insert(f, min(life, maxLife), c.now())
}

func (c *Cache) shard(sum *[sha256.Size]byte) *cacheShard {
	return &c.shards[int(sum[0])&(len(c.shards)-1)]
}

// find returns the fact about jwt, or nil.
func (c *Cache) find(jwt string) *fact {
	var onStack [1 << 10]byte // most tokens fit, and are hashed without an allocation
	sum := sha256.Sum256(append(onStack[:0], jwt...))
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
	Bytes        int // their length, as they were sent; in memory they take several times as much
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

func (s *cacheShard) insert(f *fact, life time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.proven.Get(string(f.sum[:])); known {
		return
	}
	s.sweep(now)
	if len(s.facts) >= s.limit {
		s.evict(s.victim())
	}
	f.slot = len(s.facts)
	s.facts = append(s.facts, f)
	s.bytes += f.size
	s.clients[f.client]++
	s.proven.Set(string(f.sum[:]), f, life)
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

// victim returns, of a few facts picked at random, one of the client that has most facts. So a
// client that fills the cache evicts its own tokens.
func (s *cacheShard) victim() *fact {
	victim := s.facts[rand.IntN(len(s.facts))] //nolint:gosec // G404: not a secret
	for range samples - 1 {
		if f := s.facts[rand.IntN(len(s.facts))]; s.clients[f.client] > s.clients[victim.client] { //nolint:gosec // G404: likewise
			victim = f
		}
	}
	return victim
}

func (s *cacheShard) evict(f *fact) {
	s.proven.Delete(string(f.sum[:]))
	s.bytes -= f.size
	last := len(s.facts) - 1
	s.facts[f.slot] = s.facts[last]
	s.facts[f.slot].slot = f.slot
	s.facts[last] = nil
	s.facts = s.facts[:last]
	if s.clients[f.client]--; s.clients[f.client] == 0 {
		delete(s.clients, f.client)
	}
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
		s.fact.token.Store(t)
	default:
		client := t.ClientID
		if client == "" {
			client = t.Subject
		}
		s.cache.insert(s.jwt, s.key, t.Issuer, client, t.Expires, t)
	}
}
