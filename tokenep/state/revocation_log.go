package state

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	kindRevocation     = "revocation"      // id: its number; expires after the tokens that it names
	kindRevocationHead = "revocation_head" // one record, which never expires
	headID             = "head"

	maxRevocationValue = 1024 // bytes
)

type storedRevocation struct {
	Claim    string      `json:"claim"`
	Value    string      `json:"value"`
	ClientID string      `json:"client_id,omitempty"`
	Before   time.Time   `json:"before,omitzero"`
	Expires  time.Time   `json:"expires"`
	Own      *ownedEntry `json:"own,omitempty"` // of AddOwn
}

// storeRevocation returns what the record of an entry says.
func storeRevocation(e verify.Revocation, own *ownedEntry) storedRevocation {
	return storedRevocation{Claim: e.Claim, Value: e.Value, ClientID: e.ClientID, Before: e.Before, Expires: e.Expires, Own: own}
}

// revocationHead is the record of the head.
type revocationHead struct {
	Last uint64 `json:"last"`
	Log  string `json:"log,omitempty"` // random; changes when the store has lost a part of the log
}

func checkRevocation(e verify.Revocation) error {
	switch {
	case !slices.Contains([]string{"jti", "grant_id", "client_id", "sub"}, e.Claim):
		return invalidf("tokens cannot be revoked by claim %.40q", e.Claim)
	case len(e.ClientID) > maxRevocationValue:
		return invalidf("the client_id to revoke by has %d bytes, expected at most %d", len(e.ClientID), maxRevocationValue)
	case e.Value == "" || len(e.Value) > maxRevocationValue:
		return invalidf("the %s to revoke by has %d bytes, expected 1 to %d", e.Claim, len(e.Value), maxRevocationValue)
	case e.Expires.IsZero():
		return invalidf("a revocation must expire")
	}
	return nil
}

// entryID writes a number with zeros in front, so that ids are ordered as numbers are.
func entryID(n uint64) string { return fmt.Sprintf("%020d", n) }

func decodeRevocation(r store.Record) (verify.Revocation, *ownedEntry, error) {
	stored, err := record.Decode[storedRevocation](r)
	if err != nil {
		return verify.Revocation{}, nil, err
	}
	e := verify.Revocation{Claim: stored.Claim, Value: stored.Value, ClientID: stored.ClientID, Before: stored.Before, Expires: stored.Expires}
	return e, stored.Own, checkRevocation(e)
}

// enter puts the entry of a record into the set. A damaged one is logged once, and skipped, also at
// the start.
//
// What a damaged entry revoked is not known, and those tokens pass here until they expire, whatever
// is done. To stop at it would let in more, namely what every later entry revokes. To refuse to
// start, or to verify, would be an outage of everything for one record, until somebody deletes that
// by hand, and then it is skipped after all. An administrator who reads the log can revoke those
// tokens again.
func (r *Revocations) enter(entry store.Record) {
	e, own, err := decodeRevocation(entry)
	switch {
	case err == nil:
		r.learn(entry.ID, e, own, entry.Expires)
	case !r.damaged[entry.ID]:
		if r.damaged == nil {
			r.damaged = make(map[string]bool)
		}
		r.damaged[entry.ID] = true
		r.logger.Error("an entry of the log of revocations is damaged, and what it revoked passes here; revoke that again",
			"entry", entry.ID, "error", err)
	}
}

// loadHead returns the head, of number 0 before the first entry.
func (r *Revocations) loadHead(ctx context.Context) (revocationHead, error) {
	head, err := record.Load[revocationHead](ctx, r.store, kindRevocationHead, headID)
	if errors.Is(err, store.ErrNotFound) {
		return revocationHead{}, nil
	}
	return head.Value, err
}

// advance moves the head to n, unless it is there or further, and returns it. Who only reads leaves
// it where it is.
func (r *Revocations) advance(ctx context.Context, n uint64) (revocationHead, error) {
	if r.readOnly {
		return r.loadHead(ctx)
	}
	passed := r.last.Load() // before the head is read, which only moves on
	head, err := record.Upsert(store.Urgent(ctx), r.store, kindRevocationHead, headID, func(head *revocationHead, _ *time.Time) (bool, error) {
		if head.Last >= n {
			return false, nil
		}
		if head.Last == 0 || head.Last < passed {
			// So that every node sees that something was lost, however far the head is by then.
			head.Log = rand.Text()
		}
		head.Last = n
		return true, nil
	})
	return head.Value, err
}

// catchUp lists every entry after the last into the set, and goes on from the head: entries before
// it that are missing have expired. The head is read first, so that all entries up to it can be
// listed. Beyond it one may be listed while the one before it is missed, so those are read again
// one by one.
//
// A head that this node has passed, or that is of another log, says that the store has lost
// entries: it was emptied, or a standby without them took over. Numbers are used again then, so
// that all entries are read anew. What was lost stays in the set.
func (r *Revocations) catchUp(ctx context.Context) error {
	now := r.now()
	head, err := r.loadHead(ctx)
	if err != nil {
		return err
	}
	after := r.last.Load()
	if lost := head.Last < after || r.seenLog != "" && head.Log != r.seenLog; lost {
		r.logger.Error("the store has lost revocations; where they were known before, they stay in force until a restart")
		if head, err = r.advance(ctx, after); err != nil {
			return err
		}
	}
	if head.Log != r.seenLog || r.headSeen.IsZero() || head.Last < after {
		after = 0
		if r.readOnly {
			r.last.Store(0) // the numbers are given again, and nobody here moves the head
		}
	}
	if head.Last > after || r.headSeen.IsZero() {
		if err := r.listAll(ctx, entryID(after)); err != nil {
			return err
		}
	}
	r.last.Store(max(r.last.Load(), head.Last))
	r.seenLog, r.headSeen, r.doubt = head.Log, now, false
	return nil
}

func (r *Revocations) listAll(ctx context.Context, after string) error {
	for {
		page, err := r.store.List(ctx, kindRevocation, "", after, store.MaxPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, entry := range page {
			r.enter(entry)
		}
		after = page[len(page)-1].ID
	}
}
