package state_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
)

// clock is a time that only moves when a test moves it.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// faulty is a store whose writes can fail before they happen, as they do for a process that dies.
type faulty struct {
	store.Store
	mu   sync.Mutex
	fail func(verb string, r store.Record) error // nil: nothing fails
}

func (f *faulty) set(fail func(verb string, r store.Record) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faulty) check(verb string, r store.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		return nil
	}
	return f.fail(verb, r)
}

func (f *faulty) Insert(ctx context.Context, r store.Record) error {
	if err := f.check("insert", r); err != nil {
		return err
	}
	return f.Store.Insert(ctx, r)
}

func (f *faulty) Swap(ctx context.Context, old, next store.Record) error {
	if err := f.check("swap", next); err != nil {
		return err
	}
	return f.Store.Swap(ctx, old, next)
}

func (f *faulty) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := f.check("load", store.Record{Kind: kind, ID: id}); err != nil {
		return store.Record{}, err
	}
	return f.Store.Load(ctx, kind, id)
}

func (f *faulty) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := f.check("list", store.Record{Kind: kind}); err != nil {
		return nil, err
	}
	return f.Store.List(ctx, kind, prefix, after, limit)
}

func newMemory(t testing.TB, now func() time.Time) store.Store {
	s := memory.New(memory.Options{Now: now, Max: 1 << 22})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newBolt(t testing.TB, now func() time.Time) store.Store {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), bolt.Options{Now: now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// onEachStore runs a test over every engine.
func onEachStore(t *testing.T, test func(t *testing.T, s store.Store, c *clock)) {
	t.Run("memory", func(t *testing.T) {
		c := newClock()
		test(t, newMemory(t, c.Now), c)
	})
	t.Run("bolt", func(t *testing.T) {
		c := newClock()
		test(t, newBolt(t, c.Now), c)
	})
}

// newAPITokens returns API tokens with a maximum of three, and the set of access tokens that they have revoked.
func newAPITokens(s store.Store, c *clock) (state.APITokens, *verify.Revocations) {
	set := new(verify.Revocations)
	return state.APITokens{
		Store: s, Revocations: state.NewRevocations(s, set, c.Now, slog.New(slog.DiscardHandler)),
		Prefix: "demo", MaxPerUser: 3, MaxAge: 730 * 24 * time.Hour, TokenLife: 4 * time.Hour, Now: c.Now,
	}, set
}

func accessToken(grantID string) *verify.Token {
	return &verify.Token{ID: "j", Subject: "ann", ClientID: "c", Claims: map[string]any{"grant_id": grantID}}
}
