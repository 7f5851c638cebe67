package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// provenTokens remembers which imported API tokens have which salted hash, so that the slow hash of
// a token is computed once and not at each exchange. It holds no token: only digests under a key
// that lives as long as the process. It is bounded.
type provenTokens struct {
	once  sync.Once
	key   [32]byte
	mu    sync.RWMutex
	pairs map[[32]byte]struct{}
}

// maxProvenTokens bounds the memory: 32 bytes each.
const maxProvenTokens = 1 << 14

// pair returns the digest of a hash and a token.
func (p *provenTokens) pair(hash, token []byte) (digest [32]byte) {
	p.once.Do(func() {
		_, _ = rand.Read(p.key[:]) // never fails
		p.pairs = make(map[[32]byte]struct{})
	})
	mac := hmac.New(sha256.New, p.key[:])
	_ = binary.Write(mac, binary.BigEndian, uint64(len(hash))) // a hash never fails
	mac.Write(hash)
	mac.Write(token)
	mac.Sum(digest[:0])
	return digest
}

func (p *provenTokens) has(pair [32]byte) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.pairs[pair]
	return ok
}

func (p *provenTokens) add(pair [32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pairs) >= maxProvenTokens {
		for other := range p.pairs {
			delete(p.pairs, other)
			break
		}
	}
	p.pairs[pair] = struct{}{}
}

// compareAPIToken compares an imported API token with its salted hash, when it is the turn of the
// address that it comes from.
func (s *Server) compareAPIToken(ctx context.Context, from netip.Addr, hash, token []byte) (bool, error) {
	proven := &s.Config.Memory.proven
	pair := proven.pair(hash, token)
	if proven.has(pair) {
		return true, nil
	}
	turns := s.Config.Memory.Turns
	if turns == nil {
		turns = tokenep.ProcessTurns
	}
	release, err := turns.Take(ctx, tokenep.Network(from))
	if err != nil {
		return false, err
	}
	defer release()
	if proven.has(pair) { // another request has just paid for it
		return true, nil
	}
	right, err := s.Config.CompareHash(hash, token)
	if right && err == nil {
		proven.add(pair)
	}
	return right && err == nil, err
}

// followImportsEvery is how soon a node finds tokens that were imported at another one.
const followImportsEvery = 2 * time.Second

// loadImports learns what was imported until now.
func (s *Server) loadImports(ctx context.Context) error {
	if tokens := s.apiTokens(); tokens != nil {
		return tokens.FollowImports(ctx)
	}
	return nil
}

// followAPITokens begins what goes on in the background for API tokens.
func (s *Server) followAPITokens(ctx context.Context) {
	go s.watchAPITokens(ctx)
	go s.followImports(ctx)
	go s.revokeLeaked(ctx)
}

// followImports learns of tokens that are imported at other nodes, until ctx is done.
func (s *Server) followImports(ctx context.Context) {
	tokens := s.apiTokens()
	if tokens == nil {
		return
	}
	ticker := time.NewTicker(followImportsEvery)
	defer ticker.Stop()
	for {
		// While the store is away, what is known stays so.
		_ = tokens.FollowImports(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
