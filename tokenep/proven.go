package tokenep

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Proven remembers which secrets were found to have which slow hashes, so that the hash of one is
// computed once and not at each request. It holds no secret: only digests under a key that lives as
// long as it does. It is bounded. The zero value is empty.
type Proven struct {
	once  sync.Once
	key   [32]byte
	mu    sync.RWMutex
	pairs map[ProvenPair]struct{}
}

// ProvenPair stands for a hash and a secret.
type ProvenPair [sha256.Size]byte

// maxProven bounds the memory: 32 bytes each.
const maxProven = 1 << 14

// Pair returns the digest of a hash and a secret. It is shown to nobody, so that a key before the
// text does as well as an HMAC.
func (p *Proven) Pair(hash, secret []byte) ProvenPair {
	p.once.Do(func() {
		_, _ = rand.Read(p.key[:]) // never fails
		p.pairs = make(map[ProvenPair]struct{})
	})
	text := append(make([]byte, 0, 256), p.key[:]...)
	text = binary.BigEndian.AppendUint64(text, uint64(len(hash)))
	text = append(append(text, hash...), secret...)
	return sha256.Sum256(text)
}

// Has reports whether a pair was added.
func (p *Proven) Has(pair ProvenPair) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.pairs[pair]
	return ok
}

// Add remembers a pair that was found right, if need be in the place of another one.
func (p *Proven) Add(pair ProvenPair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pairs) >= maxProven {
		for other := range p.pairs {
			delete(p.pairs, other)
			break
		}
	}
	p.pairs[pair] = struct{}{}
}
