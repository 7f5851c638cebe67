package state

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	// settled is how old an entry is that every node has read, or will miss no more: by then each
	// has compared itself with the head.
	settled = 2 * headInterval

	// foldStep is how many entries one fold deletes at most: whoever revokes a token waits for it.
	foldStep = 64
)

// AddOwn revokes a token for whoever holds it. Holders could get and revoke tokens without end, so
// each has room for so many entries in the log. one revokes the token alone. Where there is no room
// for another such entry, all is added in its place: it revokes everything that was issued to the
// holder until the token was (all.Before, which is required), and makes the entries about that
// unnecessary. They are deleted as soon as every node has read them.
//
// The holder is told from others by Claim, Value and ClientID of all. Otherwise AddOwn is as Add.
func (r *Revocations) AddOwn(ctx context.Context, one, all verify.Revocation, most int) error {
	if all.Before.IsZero() {
		return invalidf("a revocation of everything until a token was issued must say when that was")
	}
	holder := holderID(all)
	e, own := one, &ownedEntry{Holder: holder, Issued: all.Before}
	if r.own.full(holder, most, r.now()) {
		e = all
	}
	if err := r.add(ctx, e, own); err != nil {
		return err
	}
	if e == all {
		r.fold(ctx, own)
	}
	return nil
}

// ErrNoRoom is the error of AddShared: there is room again when an entry has expired.
var ErrNoRoom = errors.New("the log of revocations has no room for more of this kind")

// AddShared is AddOwn where all is of several holders, who cannot be told from each other. Nothing
// is added in the place of one, so that nobody ends what others hold: without room the error Is
// ErrNoRoom.
func (r *Revocations) AddShared(ctx context.Context, one, all verify.Revocation, most int) error {
	holder := holderID(all)
	if r.own.full(holder, most, r.now()) {
		return ErrNoRoom
	}
	return r.add(ctx, one, &ownedEntry{Holder: holder, Issued: all.Before})
}

// holderID tells a holder from all others, in a few bytes.
func holderID(all verify.Revocation) string {
	return record.HashID(all.Claim + "\x00" + all.Value + "\x00" + all.ClientID)
}

// fold deletes entries that an entry for everything has made unnecessary. What cannot be deleted is
// left to the next fold, and expires.
func (r *Revocations) fold(ctx context.Context, all *ownedEntry) {
	var work sync.WaitGroup
	for _, id := range r.own.covered(all, r.now(), foldStep) {
		work.Go(func() {
			err := verify.Contain(func() error { return r.store.Delete(ctx, kindRevocation, id) })
			if err == nil || errors.Is(err, store.ErrNotFound) {
				r.forget(all.Holder, id)
			}
		})
	}
	work.Wait()
}

// learn takes an entry into the set. Entries that it covers, and that are settled, are being
// deleted by the node that added it.
func (r *Revocations) learn(id string, e verify.Revocation, owned *ownedEntry, until time.Time) {
	r.set.Add(e)
	if owned == nil {
		return
	}
	r.own.note(id, e, owned, r.now(), until)
	if e.Claim == "jti" {
		return
	}
	for _, id := range r.own.covered(owned, r.now(), math.MaxInt) {
		r.forget(owned.Holder, id)
	}
}

// forget drops an entry that another one covers from the set.
func (r *Revocations) forget(holder, id string) {
	if e, ok := r.own.remove(holder, id); ok {
		r.set.Remove(e)
	}
}

// ownedEntry is what an entry of AddOwn says beside what it revokes.
type ownedEntry struct {
	Holder string    `json:"holder"`
	Issued time.Time `json:"issued"` // when the token was issued
}

// own knows the entries of each holder.
type own struct {
	mu      sync.Mutex
	holders map[string]map[string]ownRow // by holder, and by the id of the entry
}

type ownRow struct {
	revocation          verify.Revocation
	issued, seen, until time.Time // until: when it leaves the store
}

// note takes an entry of the log down. It may be called again for the same one.
func (o *own) note(id string, e verify.Revocation, owned *ownedEntry, now, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rows := o.holders[owned.Holder]
	if _, known := rows[id]; known {
		return
	}
	if o.holders == nil {
		o.holders = make(map[string]map[string]ownRow)
	}
	if rows == nil {
		rows = make(map[string]ownRow)
		o.holders[owned.Holder] = rows
	}
	rows[id] = ownRow{revocation: e, issued: owned.Issued, seen: now, until: until}
}

// full reports whether a holder has so many entries.
func (o *own) full(holder string, most int, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.holders[holder]) >= most {
		o.sweepHolder(holder, now)
	}
	return len(o.holders[holder]) >= most
}

// covered returns the ids of up to limit entries that all covers, and that every node has read.
func (o *own) covered(all *ownedEntry, now time.Time, limit int) (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, row := range o.holders[all.Holder] {
		if len(ids) == limit {
			break
		}
		if !row.issued.After(all.Issued) && now.Sub(row.seen) >= settled {
			ids = append(ids, id)
		}
	}
	return ids
}

func (o *own) remove(holder, id string) (verify.Revocation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	row, ok := o.holders[holder][id]
	delete(o.holders[holder], id)
	return row.revocation, ok
}

// sweep forgets the entries that have left the store.
func (o *own) sweep(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for holder := range o.holders {
		o.sweepHolder(holder, now)
	}
}

func (o *own) sweepHolder(holder string, now time.Time) {
	rows := o.holders[holder]
	for id, row := range rows {
		if !now.Before(row.until) {
			delete(rows, id)
		}
	}
	if len(rows) == 0 {
		delete(o.holders, holder)
	}
}
