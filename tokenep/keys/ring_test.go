package keys

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

type clock = verifytest.Clock

func newClock() *clock { return verifytest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

const (
	day    = 24 * time.Hour
	retain = 4*time.Hour + 10*time.Minute
)

func newStore(t testing.TB, c *clock) store.Store {
	s := memory.New(memory.Options{Now: c.Now})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start returns a started ring over s; change may set more options.
func start(t testing.TB, s store.Store, c *clock, change ...func(*Options)) *Ring {
	t.Helper()
	o := Options{Store: s, Retain: retain, Now: c.Now, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func refresh(t testing.TB, r *Ring) {
	t.Helper()
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func activeID(t testing.TB, r *Ring) string {
	t.Helper()
	k, err := r.Active()
	if err != nil {
		t.Fatal(err)
	}
	return k.ID
}

// only returns the one key in that state.
func only(t testing.TB, r *Ring, s State) Info {
	t.Helper()
	var found []Info
	for _, i := range r.Current().List() {
		if i.State == s {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		t.Fatalf("want one key that is %s, have %+v", s, r.Current().List())
	}
	return found[0]
}

func published(r *Ring, kid string) bool {
	body, _ := r.Current().JWKS()
	return bytes.Contains(body, []byte(`"`+kid+`"`))
}

func TestFirstKeySignsAtOnceWithItsSuccessorPublished(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	if got, want := activeID(t, r), only(t, r, Active).ID; got != want {
		t.Errorf("Active() is %s, List() says %s", got, want)
	}
	if next := only(t, r, Next).ID; !published(r, next) || !published(r, activeID(t, r)) {
		t.Error("a key of the new ring is not in the key set")
	}
}

func TestRingOutlivesTheProcess(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	body, tag := start(t, s, c).Current().JWKS()
	again, tagAgain := start(t, s, c).Current().JWKS()
	if !bytes.Equal(body, again) || tag != tagAgain {
		t.Errorf("a second start serves another key set:\n%s\n%s", body, again)
	}
}

func TestTwoRingsStartingTogetherMakeOneRing(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	var a, b *Ring
	var wg sync.WaitGroup
	wg.Go(func() { a = start(t, s, c) })
	wg.Go(func() { b = start(t, s, c) })
	wg.Wait()
	if x, y := activeID(t, a), activeID(t, b); x != y {
		t.Errorf("one signs with %s, the other with %s", x, y)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	for name, tc := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"no store":                   {func(o *Options) { o.Store = nil }, "store"},
		"unknown algorithm":          {func(o *Options) { o.Algorithm = "HS256" }, `"HS256"`},
		"alg none":                   {func(o *Options) { o.Algorithm = "none" }, `"none"`},
		"negative max-age":           {func(o *Options) { o.MaxAge = -time.Second }, "MaxAge"},
		"signs before it is cached":  {func(o *Options) { o.Publish = time.Minute }, "Publish"},
		"publication shorter than 2": {func(o *Options) { o.MaxAge = day; o.Publish = day }, "Publish"},
		"term under publication":     {func(o *Options) { o.Active = time.Minute }, "Active"},
		"nothing retained":           {func(o *Options) { o.Retain = 0 }, "Retain"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Store: s, Retain: retain}
			tc.change(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error about %s", err, tc.says)
			}
		})
	}
}

// away is a store that can be made unavailable.
type away struct {
	store.Store
	mu  sync.Mutex
	cut bool
}

func (a *away) set(cut bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut = cut
}

func (a *away) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut {
		return store.ErrUnavailable
	}
	return nil
}

func (a *away) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := a.err(); err != nil {
		return store.Record{}, err
	}
	return a.Store.Load(ctx, kind, id)
}

func TestStartFailsWhenTheRingCannotBeLoaded(t *testing.T) {
	c := newClock()
	s := &away{Store: newStore(t, c), cut: true}
	r, err := New(Options{Store: s, Retain: retain, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want the store's error", err)
	}
	if _, err := r.Active(); !errors.Is(err, ErrNotStarted) {
		t.Errorf("got %v, want ErrNotStarted", err)
	}
}

func TestStoreFailureIsLoggedAndTheRingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newClock()
		s := &away{Store: newStore(t, c)}
		var log syncBuffer
		r, err := New(Options{Store: s, Retain: retain, Now: c.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		old := activeID(t, r)

		s.set(true)
		c.Advance(30 * day)
		time.Sleep(refreshEvery)
		synctest.Wait()
		if activeID(t, r) != old || !published(r, old) {
			t.Error("the ring in memory does not work any more")
		}
		if !strings.Contains(log.String(), "signing keys not refreshed") {
			t.Errorf("the failure was not logged: %s", log.String())
		}

		s.set(false)
		time.Sleep(refreshEvery)
		synctest.Wait()
		if activeID(t, r) == old {
			t.Error("the store is back, and the goroutine did not rotate")
		}
		cancel()
		synctest.Wait()
	})
}

// syncBuffer is a buffer that a logger may write to while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestRingLostByTheStoreIsPutBack(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	r := start(t, s, c)
	old := activeID(t, r)
	if err := s.Delete(t.Context(), recordKind, recordID); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if activeID(t, r) != old || activeID(t, start(t, s, c)) != old {
		t.Error("the keys in use were replaced, so that their tokens are refused")
	}
}

func TestRecordThatIsNotARingFailsTheStart(t *testing.T) {
	for name, data := range map[string]string{
		"not JSON":      `keys`,
		"no keys":       `{"keys":[]}`,
		"not a key":     `{"keys":[{"kid":"a","alg":"ES256","activated":"2026-01-01T00:00:00Z","private":"AAAA"}]}`,
		"another shape": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := newStore(t, c)
			rec := store.Record{Kind: recordKind, ID: recordID, Data: []byte(data)}
			if err := s.Insert(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			r, err := New(Options{Store: s, Retain: retain, Now: c.Now})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(t.Context()); err == nil {
				t.Error("started on a record that holds no ring")
			}
		})
	}
}
