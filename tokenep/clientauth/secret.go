package clientauth

import (
	"context"
	"crypto/hmac"
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

// Secrets compares client secrets (RFC 6749 §2.3.1) with their hashes. Secrets that people chose are under a slow hash; a secret that was once found
// right is remembered, under a key that lives and dies with the process, so that the slow hash is paid for once and not on every request.
type Secrets struct {
	compare func(hash, secret []byte) (bool, error)
	decoy   []byte // a slow hash of nothing
	now     func() time.Time

	slots chan struct{} // how many slow comparisons may run at once
	key   [32]byte

	mu     sync.RWMutex
	proven map[[32]byte]struct{}
}

// maxProven bounds the memory of proven pairs: 32 bytes each.
const maxProven = 1 << 14

// NewSecrets returns the comparer. compare judges a slow hash and decoy is one of them, compared with when there is no client, so that an
// unknown id takes as long as a wrong secret. Both may be nil where only generated secrets are in use.
func NewSecrets(compare func(hash, secret []byte) (bool, error), decoy []byte, now func() time.Time) *Secrets {
	s := &Secrets{compare: compare, decoy: decoy, now: now,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), proven: make(map[[32]byte]struct{})}
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

var (
	errUnknown = errors.New("unknown client")
	errWrong   = errors.New("wrong or expired secret")
	errMethod  = errors.New("the client is registered for another authentication method")
)

// verify compares every reading with every live secret of the client, in a time that depends on neither.
func (s *Secrets) verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	failed := func(cause error) error {
		return tokenep.InvalidClient.Describe("").Because(fmt.Errorf("client %.128q: %w", cr.Readings[0].ID, cause))
	}
	if c == nil {
		return errors.Join(failed(errUnknown), s.equalize(ctx, cr.Readings[0].Secret, false))
	}
	now, right, slow := s.now(), false, false
	for _, secret := range c.Secrets {
		if !secret.Expires.IsZero() && !now.Before(secret.Expires) {
			continue
		}
		for _, reading := range cr.Readings {
			if reading.ID != c.ID {
				continue
			}
			ok, wasSlow, err := s.match(ctx, secret.Hash, reading.Secret)
			if err != nil {
				return err
			}
			right, slow = right || ok, slow || wasSlow
		}
		if right {
			break
		}
	}
	switch {
	case !right:
		return errors.Join(failed(errWrong), s.equalize(ctx, cr.Readings[0].Secret, slow))
	case c.AuthMethod != "" && c.AuthMethod != cr.Method:
		return failed(errMethod)
	}
	return nil
}

// match compares one secret with one hash.
func (s *Secrets) match(ctx context.Context, hash, secret string) (right, slow bool, err error) {
	if strings.HasPrefix(hash, tokenep.GeneratedHash) {
		return subtle.ConstantTimeCompare([]byte(hash), []byte(tokenep.HashSecret(secret))) == 1, false, nil
	}
	pair := s.pair(hash, secret)
	if s.isProven(pair) {
		return true, false, nil
	}
	right, err = s.slow(ctx, hash, secret, pair)
	return right, true, err
}

// slow runs the slow comparison, as many at once as there are processors: a crowd waits in line instead of taking all the memory, and of a crowd
// with the same right secret the first pays for all.
func (s *Secrets) slow(ctx context.Context, hash, secret string, pair [32]byte) (right bool, err error) {
	if s.compare == nil {
		return false, errors.New("no comparison for the hash of a client's secret is available")
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if s.isProven(pair) {
		return true, nil
	}
	if right, err = s.compare([]byte(hash), []byte(secret)); right {
		s.remember(pair)
	}
	return right, err
}

// equalize makes every failure cost one slow comparison where slow hashes are in use.
func (s *Secrets) equalize(ctx context.Context, secret string, paid bool) error {
	if paid || s.decoy == nil {
		return nil
	}
	_, err := s.slow(ctx, string(s.decoy), secret, s.pair(string(s.decoy), secret))
	return err
}

// pair identifies a hash and a secret without showing either.
func (s *Secrets) pair(hash, secret string) (id [32]byte) {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte(hash)) // a hash has no NUL
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	mac.Sum(id[:0])
	return id
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
