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

// Cache remembers proven tokens: that these bytes were signed by this key, and
// what they say. It never remembers a decision: whether the issuer is trusted,
// the key still published, the audience right and the time not up is asked on
// every request, so one Cache may serve many verifiers with different rules.
//
// It is a guard around go-cache, which alone would keep for ever what is
// stored with a negative life, has no limit, and one lock. Here a key is the
// SHA-256 of the whole token, nothing is stored without time to live, and each
// shard has a lock and a limit of its own.
type Cache struct {
	shards []cacheShard
	seed   maphash.Seed
	now    func() time.Time
}

// fact is an entry: key signed the bytes that have this sum. What they say is
// read when they first come, so that a token which never does costs little.
// client and slot belong to the bookkeeping of its shard.
type fact struct {
	sum     [sha256.Size]byte
	key     crypto.PublicKey
	token   atomic.Pointer[Token] // nil until read
	expires time.Time
	client  uint64 // hash of issuer and client
	slot    int
}

// cacheShard holds at most limit facts. proven is read without mu.
type cacheShard struct {
	proven *gocache.Cache

	mu      sync.Mutex
	limit   int
	facts   []*fact
	clients map[uint64]int // how many facts each client has
	hand    int
}

const (
	maxShards = 64
	minShard  = 64 // entries; below that, sampling for eviction is unfair
	samples   = 8

	// maxLife keeps the dates that go-cache computes inside the nanoseconds of
	// an int64, past which it would keep an entry for ever.
	maxLife = 24 * time.Hour
)

// NewCache gives a cache for at most limit tokens, at least one. Some thousand
// bytes a token is a fair guess at the memory. A nil now stands for time.Now.
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
			// No janitor: it would be a goroutine that nobody stops.
			proven:  gocache.New(gocache.NoExpiration, 0),
			limit:   max(limit/n, 1),
			clients: make(map[uint64]int),
		}
	}
	return c
}

// Insert stores that key signed raw, until it expires: the signature need not
// be verified again. It is for who has just signed raw. Nothing is stored that
// has expired, or never does. Issuer and client are who the token is from and
// who it is for: whoever has most in a full cache makes room first.
func (c *Cache) Insert(jwt string, key crypto.PublicKey, issuer, client string, expires time.Time) {
	c.insert(jwt, key, issuer, client, expires, nil)
}

func (c *Cache) insert(jwt string, key crypto.PublicKey, issuer, client string, expires time.Time, token *Token) {
	life := expires.Sub(c.now())
	if expires.IsZero() || life <= 0 {
		return
	}
	f := &fact{sum: sha256.Sum256([]byte(jwt)), key: key, expires: expires, client: maphash.Comparable(c.seed, [2]string{issuer, client})}
	f.token.Store(token)
	c.shard(&f.sum).insert(f, min(life, maxLife), c.now())
}

func (c *Cache) shard(sum *[sha256.Size]byte) *cacheShard {
	return &c.shards[int(sum[0])&(len(c.shards)-1)]
}

// find gives the fact about raw, or nil.
func (c *Cache) find(jwt string) *fact {
	sum := sha256.Sum256([]byte(jwt))
	found, _ := c.shard(&sum).proven.Get(string(sum[:]))
	f, _ := found.(*fact)
	return f
}

// Len is the number of tokens held, some of which may have expired.
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
	s.clients[f.client]++
	s.proven.Set(string(f.sum[:]), f, life)
}

// sweep looks at two more facts on each insert and drops what has expired: so
// a shard never grows on the dead, and no insert waits for a long scan.
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

// victim is, of a few facts picked at random, one of the client that has most:
// whoever fills the cache displaces itself.
func (s *cacheShard) victim() *fact {
	victim := s.facts[rand.IntN(len(s.facts))] //nolint:gosec // G404: no secret depends on which fact goes
	for range samples - 1 {
		if f := s.facts[rand.IntN(len(s.facts))]; s.clients[f.client] > s.clients[victim.client] { //nolint:gosec // G404: as above
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
	if s.clients[f.client]--; s.clients[f.client] == 0 {
		delete(s.clients, f.client)
	}
}

// recall looks raw up. When the run is over and every check was passed, remember
// stores what was not known.
func (s *verification) recall() {
	if s.cache == nil || len(s.jwt) > s.maxSize {
		return
	}
	if s.fact = s.cache.find(s.jwt); s.fact != nil {
		s.key = s.fact.key
		s.token = s.fact.token.Load()
		s.read = s.token != nil
	}
}

func (s *verification) remember() {
	switch t := s.token; {
	case s.cache == nil || s.read:
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
