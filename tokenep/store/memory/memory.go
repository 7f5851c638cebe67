package memory

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/patrickmn/go-cache"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// DefaultMax is how many records a Store holds if Options.Max is 0.
const DefaultMax = 1 << 21

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Max is how many records the store holds, of all kinds together. When it is reached and no
	// record has expired, Insert returns store.ErrUnavailable: a live record is never dropped. For
	// inserts that are store.Urgent there is room for a tenth more, and a hundred. 0 means
	// DefaultMax.
	Max int

	// Now is the clock that expiry is compared with; nil means time.Now.
	Now func() time.Time
}

// A Store is a store.Store in memory. Make one with New.
type Store struct {
	max int
	now func() time.Time

	mu      sync.RWMutex // so that Swap compares and stores at one moment
	kinds   map[string]*kind
	garbage garbage
	count   int
	closed  bool
}

// A kind has the records of one kind. go-cache serves as a map with a lock only. It has a clock of
// its own, and never drops what is stored with a negative time to live; so records are stored
// without one, and the Store drops them.
type kind struct {
	items *cache.Cache // id → *item
	ids   order
}

// An item is a record at rest. Except for index it never changes once it can be found, so that Load
// can copy it without the lock. A Swap replaces it.
type item struct {
	record store.Record
	index  int // in garbage, guarded by Store.mu; -1 if the record never expires
}

var _ store.Store = (*Store)(nil)

// New returns an empty Store.
func New(o Options) *Store {
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{max: o.Max, now: o.Now, kinds: make(map[string]*kind)}
}

// Insert implements store.Store.
func (s *Store) Insert(ctx context.Context, r store.Record) error {
	if err := store.CheckRecord(r); err != nil {
		return err
	}
	it := newItem(r, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.collect(2) // twice as many as are added, so that the garbage shrinks
	if s.find(r.Kind, r.ID) != nil {
		return store.ErrExists
	}
	room := s.max
	if store.IsUrgent(ctx) {
		room += s.max/10 + 100
	}
	if s.count >= room {
		return fmt.Errorf("%w: memory is full, with %d records", store.ErrUnavailable, s.count)
	}
	k := s.kinds[r.Kind]
	if k == nil {
		k = &kind{items: cache.New(cache.NoExpiration, 0)}
		s.kinds[r.Kind] = k
	}
	k.items.Set(it.record.ID, it, cache.NoExpiration)
	k.ids.add(it.record.ID)
	s.garbage.add(it)
	s.count++
	return nil
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	s.mu.RLock()
	err := s.ready(ctx)
	it := s.find(kind, id)
	s.mu.RUnlock()
	if err != nil {
		return store.Record{}, err
	}
	if it == nil {
		return store.Record{}, store.ErrNotFound
	}
	return it.copy(), nil
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, old, next store.Record) error {
	if err := store.CheckSwap(old, next); err != nil {
		return err
	}
	it := newItem(next, old.Version+1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	was := s.find(old.Kind, old.ID)
	if was == nil || was.record.Version != old.Version {
		return store.ErrConflict
	}
	s.kinds[old.Kind].items.Set(it.record.ID, it, cache.NoExpiration)
	s.garbage.remove(was)
	s.garbage.add(it)
	return nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, kind, id string) error {
	if err := store.CheckKey(kind, id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if it := s.find(kind, id); it != nil {
		s.drop(it)
	}
	return nil
}

// List implements store.Store. The cost depends on the size of the page and not of the store.
// Writers wait for it.
func (s *Store) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := store.CheckList(kind, prefix, after, limit); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	k := s.kinds[kind]
	if k == nil {
		return nil, nil
	}
	var page []store.Record
	for _, id := range k.ids.page(prefix, after, limit) {
		page = append(page, s.find(kind, id).copy())
	}
	return page, nil
}

// Close forgets all records. Every later verb returns store.ErrUnavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.kinds, s.garbage, s.count = nil, nil, 0
	return nil
}

// ready is called with the lock held, because the caller's context may have ended while it waited
// for that.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed {
		return fmt.Errorf("%w: memory is closed", store.ErrUnavailable)
	}
	return nil
}

// find returns the item, or nil.
func (s *Store) find(kind, id string) *item {
	k := s.kinds[kind]
	if k == nil {
		return nil
	}
	it, ok := k.items.Get(id)
	if !ok {
		return nil
	}
	return it.(*item)
}

// drop removes an item that find returned.
func (s *Store) drop(it *item) {
	k := s.kinds[it.record.Kind]
	k.items.Delete(it.record.ID)
	k.ids.remove(it.record.ID)
	s.garbage.remove(it)
	s.count--
}

// collect drops up to n records that have expired, the oldest first. Insert calls it, so that
// garbage is dropped when room is needed, without a goroutine.
func (s *Store) collect(n int) {
	now := s.now()
	for range n {
		if len(s.garbage) == 0 || s.garbage[0].record.Expires.After(now) {
			return
		}
		s.drop(s.garbage[0])
	}
}

// newItem copies a record into the store.
func newItem(r store.Record, version uint64) *item {
	r.ID = strings.Clone(r.ID) // it may be a part of a whole request
	r.Version = version
	r.Data = bytes.Clone(r.Data)
	r.Expires = store.At(r.Millis())
	return &item{record: r, index: -1}
}

// copy copies the record out of the store.
func (it *item) copy() store.Record {
	r := it.record
	r.Data = bytes.Clone(r.Data)
	return r
}
