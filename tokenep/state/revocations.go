package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Revocations is the log of access tokens that were revoked (RFC 7009 §2.1), as every node of a
// server follows it. A JWT is verified without a look-up, so each node has the whole set in memory;
// the log is in the store, and brings the entries of one node to the others.
//
// Entries are numbered 1, 2, 3 and so on without a gap: of two Inserts of one number, one fails. To
// follow the log is to Load the next number, again and again. A head record has the last number, or
// an earlier one. Entries expire, and without the head a log that is empty again would count from
// 1, unseen by readers that are further on. So one thing always holds, and every function below
// keeps it: no reader has passed a number that is beyond the head. Only a store that loses entries
// breaks this, and that is how the loss is noticed.
//
// Make one with NewRevocations, Start it, and share it. It is safe for concurrent use.
type Revocations struct {
	// Interval is how often this node looks for entries of others, and so how long a token that was
	// revoked elsewhere may still pass here; 0: DefaultInterval. It is not changed after Start.
	Interval time.Duration

	store  store.Store
	set    *verify.Revocations
	own    own
	now    func() time.Time
	logger *slog.Logger

	readOnly bool // see RevocationReader

	mu       sync.Mutex      // one step at a time
	last     atomic.Uint64   // every entry up to here is in the set; written by a step alone
	seenLog  string          // the Log of the head
	headSeen time.Time       // when last was compared with the head; zero: never
	doubt    bool            // the store was away since then: it may have lost something
	damaged  map[string]bool // the ids of damaged entries that were logged
}

// DefaultInterval is the Interval of Revocations unless another is set.
const DefaultInterval = 250 * time.Millisecond

const (
	// headInterval is how often a node compares itself with the head. It is far shorter than
	// minEntryLife, so that a node that was away for that long looks at the head before it believes
	// that there is nothing new.
	headInterval = time.Minute

	// pageWorth is how many new entries are read one by one; more are listed in pages.
	pageWorth = 16

	// minEntryLife is how long an entry stays in the store, even if what it revokes expires sooner.
	minEntryLife = time.Hour
)

// RevocationSlack is how much longer than the tokens it names an entry has to live: for tokens that
// are being issued at this moment, for the leeway of verifiers, and for clocks that differ.
const RevocationSlack = verify.MaxLeeway

// NewRevocations returns the log of s, whose entries it puts into set.
func NewRevocations(s store.Store, set *verify.Revocations, now func() time.Time, logger *slog.Logger) *Revocations {
	return &Revocations{store: s, set: set, now: now, logger: logger}
}

// Add revokes tokens: stored first, then in the set of this node before it returns, so that the
// very next request is refused; other nodes refuse it within their Interval. e.Expires is required:
// it is when the last of the tokens has expired, leeway included. The entry is kept for an hour
// longer, for clocks that jump. Adding an entry twice does no harm; after an error the entry may
// have been added. It takes room that the store keeps for what is urgent.
func (r *Revocations) Add(ctx context.Context, e verify.Revocation) error {
	return r.add(store.Urgent(ctx), e, nil)
}

func (r *Revocations) add(ctx context.Context, e verify.Revocation, own *ownedEntry) error {
	if err := checkRevocation(e); err != nil {
		return err
	}
	n, err := r.insert(ctx, e, own)
	if err != nil {
		return fmt.Errorf("revoking %s %.40q: %w", e.Claim, e.Value, err)
	}
	r.set.Add(e)
	// The next Add starts to count here. If this fails, it counts from the old head, and the first
	// reader of the entry moves the head before it goes on.
	_, _ = r.advance(ctx, n)
	return nil
}

// endGrant revokes the access tokens of a grant, which live for tokenLife at most.
func (r *Revocations) endGrant(ctx context.Context, id string, tokenLife func() time.Duration) error {
	if r == nil || tokenLife == nil || tokenLife() <= 0 {
		return errors.New("nothing is revoked without Revocations and TokenLife: access tokens would stay good")
	}
	return r.Add(ctx, verify.Revocation{
		Claim: "grant_id", Value: id, Expires: r.now().Add(tokenLife() + RevocationSlack),
	})
}

// endsGrant reports whether endGrant was called for a grant, as far as this node knows. Whatever
// was to be ended with it may still look good: the process may have died between.
func (r *Revocations) endsGrant(id string) bool { return r != nil && r.set.Ends("grant_id", id) }

// finishEnds calls finish for each grant for which endsGrant is true.
func (r *Revocations) finishEnds(finish func(id string) error) error {
	for _, id := range r.set.Ended("grant_id") {
		if err := finish(id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// insert stores e under the first free number after the head. It reads the head anew: a number that
// this node last saw free may have been used by others meanwhile, and may have expired. The same
// holds when this call was suspended for long, so then e is stored once more.
func (r *Revocations) insert(ctx context.Context, e verify.Revocation, own *ownedEntry) (uint64, error) {
	for {
		began := r.now()
		head, err := r.loadHead(ctx)
		if err != nil {
			return 0, err
		}
		// After what this node has read, even if the head is not that far: then the store has lost
		// entries, and the other nodes, which have read as much, find the entry at once.
		n, err := r.insertAfter(ctx, max(head.Last, r.last.Load()), e, own)
		if err != nil || r.now().Sub(began) < headInterval {
			return n, err
		}
	}
}

func (r *Revocations) insertAfter(ctx context.Context, n uint64, e verify.Revocation, own *ownedEntry) (uint64, error) {
	for {
		n++
		expires := e.Expires
		if least := r.now().Add(minEntryLife); expires.Before(least) {
			expires = least
		}
		expires = expires.Add(clockJump)
		err := record.Insert(ctx, r.store, kindRevocation, entryID(n), storeRevocation(e, own), expires)
		if err == nil && own != nil {
			r.own.note(entryID(n), e, own, r.now(), expires)
		}
		if !errors.Is(err, store.ErrExists) {
			return n, err
		}
	}
}

// Start puts the whole log into the set and then follows it until ctx is done. It returns when the
// set is complete; after an error it follows nothing.
func (r *Revocations) Start(ctx context.Context) error {
	if err := r.readAll(ctx); err != nil {
		return fmt.Errorf("reading the log of revocations: %w", err)
	}
	go r.follow(ctx)
	return nil
}

// Resume is Start for a set that another Revocations of this process has kept complete until now:
// it returns at once.
func (r *Revocations) Resume(ctx context.Context) {
	go func() {
		_ = verify.Contain(func() error { return r.readAll(ctx) }) // follow reads what is left
		r.follow(ctx)
	}()
}

func (r *Revocations) readAll(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	began := r.now()
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	r.set.Followed(began)
	return nil
}

func (r *Revocations) follow(ctx context.Context) {
	tick := time.NewTicker(orDefault(r.Interval, DefaultInterval))
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.Follow(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			r.logger.Error("cannot follow the log of revocations; tokens revoked elsewhere still pass here", "error", err)
		case err == nil && failing:
			r.logger.Info("following the log of revocations again")
		}
		failing = err != nil
	}
}

// Follow takes whatever is new in the log into the set. It costs one Load, once a minute two, and
// one more for each new entry, until there are so many that listing pages costs less.
func (r *Revocations) Follow(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	began := r.now()
	if err := verify.Contain(func() error { return r.take(ctx) }); err != nil {
		r.doubt = true
		return err
	}
	r.set.Followed(began)
	return nil
}

func (r *Revocations) take(ctx context.Context) error {
	last := r.last.Load()
	head := last // the head is at least there
	for head < last+pageWorth {
		entry, err := r.store.Load(ctx, kindRevocation, entryID(last+1))
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		r.enter(entry)
		if last+1 > head {
			moved, err := r.advance(ctx, last+1)
			if err != nil {
				return err
			}
			head = moved.Last
		}
		last++
		r.last.Store(min(last, head))
	}
	age := r.now().Sub(r.headSeen)
	due := age < 0 || age >= headInterval
	if due {
		r.set.Sweep(r.now().Add(-clockJump))
		r.own.sweep(r.now())
	}
	if due || r.doubt || head > last {
		return r.catchUp(ctx)
	}
	return nil
}
