package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	kindRevocation     = "revocation"      // id: the number, with zeros in front; expires when the tokens are dead
	kindRevocationHead = "revocation_head" // one record, which never expires
	headID             = "head"

	maxRevocationValue = 1024 // bytes
)

type storedRevocation struct {
	Claim   string    `json:"claim"`
	Value   string    `json:"value"`
	Before  time.Time `json:"before,omitzero"`
	Expires time.Time `json:"expires"`
}

type revocationHead struct {
	Last uint64 `json:"last"`
}

func checkRevocation(e verify.Revocation) error {
	switch {
	case !slices.Contains([]string{"jti", "grant_id", "client_id", "sub"}, e.Claim):
		return invalidf("revoking by claim %.40q", e.Claim)
	case e.Value == "" || len(e.Value) > maxRevocationValue:
		return invalidf("revoking by a %s of %d bytes, want 1 to %d", e.Claim, len(e.Value), maxRevocationValue)
	case e.Expires.IsZero():
		return invalidf("a revocation that never expires")
	}
	return nil
}

// entryID writes a number so that ids are ordered as numbers are.
func entryID(n uint64) string { return fmt.Sprintf("%020d", n) }

func encodeRevocation(n uint64, e verify.Revocation, now time.Time) (store.Record, error) {
	data, err := json.Marshal(storedRevocation(e))
	if err != nil {
		return store.Record{}, err
	}
	expires := e.Expires
	if least := now.Add(minEntryLife); expires.Before(least) {
		expires = least
	}
	return store.Record{Kind: kindRevocation, ID: entryID(n), Data: data, Expires: expires}, nil
}

func decodeRevocation(record store.Record) (verify.Revocation, error) {
	var e storedRevocation
	if err := json.Unmarshal(record.Data, &e); err != nil {
		return verify.Revocation{}, fmt.Errorf("the record of revocation %s is damaged: %w", record.ID, err)
	}
	return verify.Revocation(e), nil
}

func (r *Revocations) loadEntry(ctx context.Context, n uint64) (verify.Revocation, error) {
	record, err := r.store.Load(ctx, kindRevocation, entryID(n))
	if err != nil {
		return verify.Revocation{}, err
	}
	return decodeRevocation(record)
}

// loadHead returns the number of the head; 0 and a record of version 0 before the first entry.
func (r *Revocations) loadHead(ctx context.Context) (uint64, store.Record, error) {
	record, err := r.store.Load(ctx, kindRevocationHead, headID)
	if errors.Is(err, store.ErrNotFound) {
		return 0, store.Record{}, nil
	}
	if err != nil {
		return 0, store.Record{}, err
	}
	var head revocationHead
	if err := json.Unmarshal(record.Data, &head); err != nil {
		return 0, store.Record{}, fmt.Errorf("the head of the log of revocations is damaged: %w", err)
	}
	return head.Last, record, nil
}

// advance moves the head to n, unless it is there or further. A conflict means that somebody else moved it, perhaps not as far.
func (r *Revocations) advance(ctx context.Context, n uint64) error {
	for {
		last, old, err := r.loadHead(ctx)
		if err != nil || last >= n {
			return err
		}
		data := []byte(`{"last":` + strconv.FormatUint(n, 10) + `}`)
		next := store.Record{Kind: kindRevocationHead, ID: headID, Data: data}
		if old.Version == 0 {
			err = r.store.Insert(ctx, next)
		} else {
			err = r.store.Swap(ctx, old, next)
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
}

// catchUp takes every entry after the id into the set, and goes on from the head: entries before it that are missing have
// expired. The head is read first, so that all entries up to it are there to be listed; one beyond it may be listed while
// the one before it was missed, and so those are read once more, one by one.
func (r *Revocations) catchUp(ctx context.Context, after string) error {
	now := r.now()
	head, _, err := r.loadHead(ctx)
	if err != nil {
		return err
	}
	if head > r.last || r.headSeen.IsZero() {
		if err := r.listAll(ctx, after); err != nil {
			return err
		}
	}
	r.last, r.headSeen = max(r.last, head), now
	return nil
}

func (r *Revocations) listAll(ctx context.Context, after string) error {
	for {
		page, err := r.store.List(ctx, kindRevocation, "", after, store.MaxPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, record := range page {
			e, err := decodeRevocation(record)
			if err != nil {
				return err
			}
			r.set.Add(e)
		}
		after = page[len(page)-1].ID
	}
}
