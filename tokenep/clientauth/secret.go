package clientauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// SecretOptions are what Secrets needs to know.
type SecretOptions struct {
	// Compare compares a secret with a slow hash. It may be nil where there are no slow hashes.
	Compare func(hash, secret []byte) (bool, error)

	// Decoy returns a hash of no known secret with which a comparison takes as long as with the
	// given one. nil: the hash takes so long that no other failure shall. The function may be nil.
	Decoy func(hash []byte) []byte

	// Clients are those that may have slow hashes, of which one may be meant by a secret alone; all
	// others have generated secrets, and an id.
	Clients []tokenep.Client
	Turns   *tokenep.Turns // nil: tokenep.ProcessTurns
	Now     func() time.Time
}

// Secrets compares client secrets (RFC 6749 §2.3.1) with their hashes. Secrets that people chose
// have a slow hash. A secret that was found right is remembered, so that the slow hash is computed
// once and not on every request.
type Secrets struct {
	SecretOptions

	withoutID string // the client that is meant by a secret alone; empty: none
	decoys    []decoy
	proven    tokenep.Proven
	key       [32]byte // of flights

	mu      sync.Mutex
	flights map[[32]byte]*flight
}

// NewSecrets returns a Secrets.
func NewSecrets(o SecretOptions) *Secrets {
	if o.Turns == nil {
		o.Turns = tokenep.ProcessTurns
	}
	s := &Secrets{SecretOptions: o, flights: make(map[[32]byte]*flight)}
	if i := slices.IndexFunc(o.Clients, func(c tokenep.Client) bool { return c.SecretWithoutID }); i >= 0 {
		s.withoutID = o.Clients[i].ID
	}
	s.addDecoys()
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

var (
	errUnknown = errors.New("unknown client")
	errWrong   = errors.New("wrong or expired secret")
	errMethod  = errors.New("the client is registered for another authentication method")
	errCompare = errors.New("no comparison for the hash of a client's secret is available")
)

// verify compares the readings with the live secrets of the client; c is nil if there is none. A
// failure takes as many slow comparisons, of the same cost, for one client as for any other, and
// for none: they depend on the number of readings alone, which the sender chooses.
func (s *Secrets) verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	if c == nil { // the id stays out of the log: some people swap it with the secret
		if _, err := s.search(ctx, "", nil, cr); err != nil {
			return err
		}
		return tokenep.InvalidClient.Describe("").Because(errUnknown)
	}
	failed := func(cause error) error {
		return tokenep.InvalidClient.Describe("").Because(fmt.Errorf("client %q: %w", c.ID, cause))
	}
	hashes := s.live(c)
	right := s.known(c.ID, hashes, cr)
	if !right {
		var err error
		if right, err = s.search(ctx, c.ID, hashes, cr); err != nil {
			return err
		}
	}
	switch {
	case !right:
		return failed(errWrong)
	case !c.Authenticates(cr.Method):
		return failed(errMethod)
	}
	return nil
}

// live returns the hashes of the secrets that have not expired.
func (s *Secrets) live(c *tokenep.Client) []string {
	now := s.Now()
	hashes := make([]string, 0, 2)
	for _, secret := range c.Secrets {
		if secret.Expires.IsZero() || now.Before(secret.Expires) {
			hashes = append(hashes, secret.Hash)
		}
	}
	return hashes
}

// isSlow reports whether a hash is of a secret that a person chose.
func isSlow(hash string) bool { return !strings.HasPrefix(hash, tokenep.GeneratedHash) }

// known reports whether a reading is right, as far as that can be told without a slow comparison.
func (s *Secrets) known(id string, hashes []string, cr *tokenep.Credentials) bool {
	for _, reading := range cr.Readings {
		if reading.ID != id {
			continue
		}
		for _, hash := range hashes {
			if isSlow(hash) {
				if s.proven.Has(s.proven.Pair([]byte(hash), []byte(reading.Secret))) {
					return true
				}
			} else if subtle.ConstantTimeCompare([]byte(hash), []byte(tokenep.HashSecret(reading.Secret))) == 1 {
				return true
			}
		}
	}
	return false
}
