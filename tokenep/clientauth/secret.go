package clientauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Secrets compares client secrets (RFC 6749 §2.3.1) with their hashes. Secrets that people chose
// have a slow hash. A secret that was found right is remembered, under a key that lives as long as
// the process, so that the slow hash is computed once and not on every request.
type Secrets struct {
	compare func(hash, secret []byte) (bool, error)
	decoy   []byte // a slow hash of nothing
	most    int    // slow hashes that one client has
	now     func() time.Time

	slots chan struct{} // how many slow comparisons may run at once
	key   [32]byte

	mu     sync.RWMutex
	proven map[[32]byte]struct{}
}

// maxProven bounds the memory of proven pairs: 32 bytes each.
const maxProven = 1 << 14

// NewSecrets returns a Secrets for these clients, and for others that have generated secrets only.
// compare compares a secret with a slow hash. decoy is a slow hash that is compared where there is
// no client, so that an unknown id takes as long as a wrong secret. Both may be nil where there are
// no slow hashes.
func NewSecrets(compare func(hash, secret []byte) (bool, error), decoy []byte, clients []tokenep.Client, now func() time.Time) *Secrets {
	most := 1
	for i := range clients {
		n := 0
		for _, secret := range clients[i].Secrets {
			if isSlow(secret.Hash) {
				n++
			}
		}
		most = max(most, n)
	}
	s := &Secrets{compare: compare, decoy: decoy, most: most, now: now,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), proven: make(map[[32]byte]struct{})}
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

var (
	errUnknown = errors.New("unknown client")
	errWrong   = errors.New("wrong or expired secret")
	errMethod  = errors.New("the client is registered for another authentication method")
)

// verify compares every reading with every live secret of the client. A failure costs as many slow
// comparisons for one client as for any other, and for none: their number depends on the number of
// readings alone, which the sender chooses.
func (s *Secrets) verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	if c == nil { // the id stays out of the log: some people swap it with the secret
		return errors.Join(tokenep.InvalidClient.Describe("").Because(errUnknown), s.equalize(ctx, cr, 0))
	}
	failed := func(cause error) error {
		return tokenep.InvalidClient.Describe("").Because(fmt.Errorf("client %q: %w", c.ID, cause))
	}
	right, paid, err := s.search(ctx, c, cr)
	switch {
	case err != nil:
		return err
	case !right:
		return errors.Join(failed(errWrong), s.equalize(ctx, cr, paid))
	case !c.Authenticates(cr.Method):
		return failed(errMethod)
	}
	return nil
}

// search looks for a reading that fits a live secret, and counts the slow comparisons that it made.
func (s *Secrets) search(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) (right bool, paid int, err error) {
	now := s.now()
	for _, secret := range c.Secrets {
		if !secret.Expires.IsZero() && !now.Before(secret.Expires) {
			continue
		}
		for _, reading := range cr.Readings {
			if reading.ID != c.ID {
				continue
			}
			ok, slow, err := s.match(ctx, secret.Hash, reading.Secret)
			if err != nil {
				return false, paid, err
			}
			if slow {
				paid++
			}
			right = right || ok
		}
		if right {
			break
		}
	}
	return right, paid, nil
}

// isSlow reports whether a hash is of a secret that a person chose.
func isSlow(hash string) bool { return !strings.HasPrefix(hash, tokenep.GeneratedHash) }

// match compares one secret with one hash.
func (s *Secrets) match(ctx context.Context, hash, secret string) (right, slow bool, err error) {
	if !isSlow(hash) {
		return subtle.ConstantTimeCompare([]byte(hash), []byte(tokenep.HashSecret(secret))) == 1, false, nil
	}
	pair := s.pair(hash, secret)
	if s.isProven(pair) {
		return true, false, nil
	}
	release, err := s.slot(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	if s.isProven(pair) { // another request with the same secret has just paid for it
		return true, true, nil
	}
	if right, err = s.compare([]byte(hash), []byte(secret)); right {
		s.remember(pair)
	}
	return right, true, err
}

// slot waits for its turn: as many slow comparisons run at once as there are processors, so that
// many requests at once do not take all the memory.
func (s *Secrets) slot(ctx context.Context) (release func(), err error) {
	if s.compare == nil {
		return nil, errors.New("no comparison for the hash of a client's secret is available")
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// equalize makes the slow comparisons that a failure has not needed. It remembers nothing: what the
// decoy was made from may be known.
func (s *Secrets) equalize(ctx context.Context, cr *tokenep.Credentials, paid int) error {
	if s.decoy == nil {
		return nil
	}
	for ; paid < s.most*len(cr.Readings); paid++ {
		release, err := s.slot(ctx)
		if err != nil {
			return err
		}
		_, err = s.compare(s.decoy, []byte(cr.Readings[0].Secret))
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// pair returns a digest that identifies a hash and a secret, and shows neither. The key comes first
// and has a fixed length, a hash has no NUL, and the digest never leaves the process: nothing can
// be appended to it.
func (s *Secrets) pair(hash, secret string) [32]byte {
	text := make([]byte, 0, 256)
	text = append(text, s.key[:]...)
	text = append(text, hash...)
	text = append(text, 0)
	text = append(text, secret...)
	return sha256.Sum256(text)
}

func (s *Secrets) isProven(pair [32]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.proven[pair]
	return ok
}

func (s *Secrets) remember(pair [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.proven) >= maxProven {
		for any := range s.proven {
			delete(s.proven, any)
			break
		}
	}
	s.proven[pair] = struct{}{}
}
