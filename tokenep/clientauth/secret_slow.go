package clientauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// maxReadings is how many readings are compared with slow hashes. Only bytes that are UTF-8, and
// were percent-encoded or have a plus sign besides, have three readings; the third is of Latin-1,
// and improbable.
const maxReadings = 2

// decoy is a hash to compare with where a client has none of its cost, so that the time of a
// refusal says as little as its text (RFC 6749 §5.2).
type decoy struct {
	hash string
	most int // hashes of this cost that one client has
}

// addDecoys finds the costs that the hashes of clients have.
func (s *Secrets) addDecoys() {
	if s.Decoy == nil {
		return
	}
	for i := range s.Clients {
		counts := make(map[string]int)
		for _, secret := range s.Clients[i].Secrets {
			if hash := s.decoy(secret.Hash); hash != "" {
				counts[hash]++
			}
		}
		for hash, n := range counts {
			if at := slices.IndexFunc(s.decoys, func(d decoy) bool { return d.hash == hash }); at >= 0 {
				s.decoys[at].most = max(s.decoys[at].most, n)
			} else {
				s.decoys = append(s.decoys, decoy{hash, n})
			}
		}
	}
}

// decoy returns the decoy of a hash, or "" if it has none.
func (s *Secrets) decoy(hash string) string {
	if s.Decoy == nil || !isSlow(hash) {
		return ""
	}
	return string(s.Decoy([]byte(hash)))
}

// search looks for a reading that is right by slow comparisons. Requests of an address with the
// same credentials share one search.
func (s *Secrets) search(ctx context.Context, id string, hashes []string, cr *tokenep.Credentials) (right bool, err error) {
	if !slices.ContainsFunc(hashes, isSlow) && len(s.decoys) == 0 {
		return false, nil
	}
	if s.Compare == nil {
		return false, errCompare
	}
	return s.share(ctx, s.searchKey(hashes, cr), func() (bool, error) {
		release, err := s.Turns.Take(ctx, cr.Attempt.Network())
		if err != nil {
			return false, err
		}
		defer release()
		if s.known(id, hashes, cr) { // another request has just paid for it
			return true, nil
		}
		if err := cr.Attempt.Count(); err != nil {
			return false, err
		}
		return s.compareAll(id, hashes, cr)
	})
}

// searchKey returns a digest of all that decides a search. Quoted strings keep the parts, and bytes
// that are not UTF-8, apart.
func (s *Secrets) searchKey(hashes []string, cr *tokenep.Credentials) [32]byte {
	return sha256.Sum256(fmt.Appendf(s.key[:], "%s%q%q", cr.Attempt.Network(), hashes, cr.Readings))
}

// compareAll makes the slow comparisons of one request.
func (s *Secrets) compareAll(id string, hashes []string, cr *tokenep.Credentials) (right bool, err error) {
	paid := make(map[string]int)
	left := maxReadings
	for _, reading := range cr.Readings {
		if reading.ID != id || left == 0 {
			continue
		}
		left--
		for _, hash := range hashes {
			if !isSlow(hash) {
				continue
			}
			if right, err = s.Compare([]byte(hash), []byte(reading.Secret)); right && err == nil {
				s.proven.Add(s.proven.Pair([]byte(hash), []byte(reading.Secret)))
				return true, nil
			} else if err != nil {
				return false, err
			}
			paid[s.decoy(hash)]++
		}
	}
	return false, s.equalize(cr, paid)
}

// equalize makes the slow comparisons that a failure has not needed. It remembers nothing: what a
// decoy was made from may be known. A client whose hashes have no decoy takes longer anyway.
func (s *Secrets) equalize(cr *tokenep.Credentials, paid map[string]int) error {
	if paid[""] > 0 {
		return nil
	}
	for _, d := range s.decoys {
		for n := paid[d.hash]; n < d.most*min(len(cr.Readings), maxReadings); n++ {
			if _, err := s.Compare([]byte(d.hash), []byte(cr.Readings[0].Secret)); err != nil {
				return err
			}
		}
	}
	return nil
}

// flight is a search that several requests wait for.
type flight struct {
	done  chan struct{}
	right bool
	err   error
}

// share returns what work returns, which is called once for all that come with the same key while
// it runs. When the request that called it gives up, another one takes over.
func (s *Secrets) share(ctx context.Context, key [32]byte, work func() (bool, error)) (right bool, err error) {
	for {
		s.mu.Lock()
		f := s.flights[key]
		if f == nil {
			f = &flight{done: make(chan struct{}), err: context.Canceled}
			s.flights[key] = f
			s.mu.Unlock()
			defer func() {
				s.mu.Lock()
				delete(s.flights, key)
				s.mu.Unlock()
				close(f.done)
			}()
			f.right, f.err = work()
			return f.right, f.err
		}
		s.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return f.right, f.err
		}
	}
}
