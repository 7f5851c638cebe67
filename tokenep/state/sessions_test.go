package state_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func newSessions(s store.Store, c *clock) state.Sessions {
	return state.Sessions{Store: s, Idle: time.Hour, Absolute: 3 * time.Hour, Now: c.Now}
}

// aBrowser is one in which a person has signed in.
type aBrowser struct {
	subject, secret string
	state.Session
}

func startSession(t *testing.T, s state.Sessions, subject, replaces string) aBrowser {
	t.Helper()
	secret, made, err := s.Start(t.Context(), subject, state.Session{Agent: "Firefox", Address: "192.0.2.1"}, replaces)
	if err != nil {
		t.Fatal(err)
	}
	return aBrowser{subject, secret, made}
}

// check holds a browser to be signed in, or to be refused by this error.
func (b aBrowser) check(t *testing.T, s state.Sessions, want error) {
	t.Helper()
	got, err := s.Check(t.Context(), b.subject, b.ID, b.secret)
	switch {
	case want == nil && (err != nil || got.ID != b.ID || got.Agent != b.Agent || !got.Created.Equal(b.Created)):
		t.Errorf("session %s: %+v, %v; want %+v", b.ID, got, err, b.Session)
	case want != nil && (!errors.Is(err, want) || !errors.Is(err, state.ErrRefused)):
		t.Errorf("session %s: %v, want %v", b.ID, err, want)
	}
}

func TestSessions(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		ctx, sessions := t.Context(), newSessions(s, c)
		one, two, bob := startSession(t, sessions, "ann", ""), startSession(t, sessions, "ann", ""), startSession(t, sessions, "bob", "")
		for _, b := range []aBrowser{one, two, bob} {
			b.check(t, sessions, nil)
		}
		for name, b := range map[string]aBrowser{
			"another secret": {"ann", two.secret, one.Session}, "no secret": {"ann", "", one.Session},
			"another person": {"bob", one.secret, one.Session}, "nobody": {"eve", one.secret, one.Session},
			"no id": {"ann", one.secret, state.Session{}},
		} {
			t.Run(name, func(t *testing.T) { b.check(t, sessions, state.ErrUnknown) })
		}

		// The id changes at a sign-in, and with it ends what the browser had.
		three := startSession(t, sessions, "ann", one.ID)
		one.check(t, sessions, state.ErrUnknown)
		two.check(t, sessions, nil)
		c.Advance(10 * time.Minute)
		two.check(t, sessions, nil)
		if all, err := sessions.List(ctx, "ann"); err != nil || len(all) != 2 || all[0].ID != two.ID || all[1].ID != three.ID {
			t.Errorf("list: %+v, %v; want the one that was used last first", all, err)
		}

		if err := errors.Join(sessions.End(ctx, "ann", two.ID), sessions.End(ctx, "ann", two.ID), sessions.End(ctx, "ann", "unknown"), sessions.End(ctx, "eve", two.ID)); err != nil {
			t.Errorf("end, again, and of nobody: %v", err)
		}
		two.check(t, sessions, state.ErrUnknown)
		three.check(t, sessions, nil)
		if err := errors.Join(sessions.EndAll(ctx, "ann"), sessions.EndAll(ctx, "ann"), sessions.EndAll(ctx, "eve")); err != nil {
			t.Errorf("end all, again, and of nobody: %v", err)
		}
		three.check(t, sessions, state.ErrUnknown)
		bob.check(t, sessions, nil)
		if all, err := sessions.List(ctx, "ann"); err != nil || len(all) != 0 {
			t.Errorf("list: %+v, %v", all, err)
		}
	})
}

// A session ends when it is not used, and some time after the sign-in however often it is. Its
// record ends after the last of them.
func TestSessionsEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		sessions := newSessions(s, c)
		began := c.Now()
		idle, used := startSession(t, sessions, "ann", ""), startSession(t, sessions, "ann", "")
		for range 4 { // 40 minutes each
			c.Advance(40 * time.Minute)
			used.check(t, sessions, nil)
		}
		idle.check(t, sessions, state.ErrExpired)
		if all, err := sessions.List(t.Context(), "ann"); err != nil || len(all) != 1 || all[0].Expires.After(began.Add(3*time.Hour)) {
			t.Errorf("list: %+v, %v; want the one that is used, until three hours after its sign-in", all, err)
		}
		r, err := s.Load(t.Context(), "sessions", record.HashID("ann"))
		if end := began.Add(3 * time.Hour); err != nil || r.Expires.Before(end) || r.Expires.After(end.Add(2*time.Hour)) {
			t.Errorf("the record is kept until %s, %v; want soon after %s", r.Expires, err, end)
		}
		c.Advance(20 * time.Minute)
		used.check(t, sessions, state.ErrExpired)

		// A shorter life of another configuration holds for those that there are.
		long := startSession(t, sessions, "ann", "")
		c.Advance(time.Minute)
		sessions.Absolute = time.Minute
		long.check(t, sessions, state.ErrExpired)
	})
}

// A use is written at most once in a tenth of the idle time, and not at all by what is refused.
func TestSessionUseIsSeldomWritten(t *testing.T) {
	c := newClock()
	faulty := storetest.NewFaulty(newMemory(t, c.Now))
	sessions := newSessions(faulty, c)
	b := startSession(t, sessions, "ann", "")
	writes := 0
	faulty.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb != "Load" {
			writes++
		}
		return storetest.None
	})
	for minute := range 50 {
		for range 10 {
			b.check(t, sessions, nil)
		}
		if most := minute/6 + 1; writes > most {
			t.Fatalf("%d writes in %d minutes, want at most %d", writes, minute, most)
		}
		c.Advance(time.Minute)
	}
	if writes < 7 {
		t.Errorf("%d writes: the use is not noted", writes)
	}
	before := writes
	c.Advance(10 * time.Minute)
	aBrowser{"ann", "wrong", b.Session}.check(t, sessions, state.ErrUnknown)
	if writes != before {
		t.Error("a refusal has written")
	}
}

// While the store is away nobody is signed out by it, and a use that cannot be noted is good.
func TestSessionsWhileTheStoreIsAway(t *testing.T) {
	c := newClock()
	faulty := storetest.NewFaulty(newMemory(t, c.Now))
	sessions := newSessions(faulty, c)
	b := startSession(t, sessions, "ann", "")
	c.Advance(30 * time.Minute)
	faulty.Fail(away("Swap"))
	b.check(t, sessions, nil)
	if err := sessions.End(t.Context(), "ann", b.ID); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("end: %v, want store.ErrUnavailable", err)
	}
	faulty.Fail(away())
	_, err := sessions.Check(t.Context(), "ann", b.ID, b.secret)
	_, _, started := sessions.Start(t.Context(), "ann", state.Session{}, "")
	_, listed := sessions.List(t.Context(), "ann")
	for what, err := range map[string]error{"check": err, "start": started, "list": listed, "end all": sessions.EndAll(t.Context(), "ann")} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
			t.Errorf("%s: %v, want store.ErrUnavailable", what, err)
		}
	}
	faulty.Fail(nil)
	b.check(t, sessions, nil)
}

// A person has fifty sessions at most: more end those that were used least lately. However many
// sign in at once, the last ones are good.
func TestManySessionsOfOnePerson(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		sessions := newSessions(s, c)
		kept := startSession(t, sessions, "ann", "")
		var all [100]aBrowser
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() { all[i] = startSession(t, sessions, "ann", "") })
		}
		wg.Wait()
		kept.check(t, sessions, state.ErrUnknown)
		var last []aBrowser
		for range 20 {
			c.Advance(time.Second)
			last = append(last, startSession(t, sessions, "ann", ""))
		}
		for _, b := range last {
			b.check(t, sessions, nil)
		}
		good := 0
		ids := make(map[string]bool)
		for _, b := range all {
			ids[b.ID] = true
			if _, err := sessions.Check(t.Context(), "ann", b.ID, b.secret); err == nil {
				good++
			}
		}
		if good != 30 || len(ids) != len(all) {
			t.Errorf("%d of %d others are good, with %d ids; want 30: fifty in all", good, len(all), len(ids))
		}
		if listed, err := sessions.List(t.Context(), "ann"); err != nil || len(listed) != 50 {
			t.Errorf("%d are listed, %v", len(listed), err)
		}
	})
}

// A session that ends while it is used, started beside, and used again, has ended.
func TestSessionEndsWhileItIsUsed(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		sessions := newSessions(s, c)
		b := startSession(t, sessions, "ann", "")
		c.Advance(20 * time.Minute) // each use wants to be noted
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { _, _ = sessions.Check(t.Context(), "ann", b.ID, b.secret) })
			wg.Go(func() { startSession(t, sessions, "ann", "") })
		}
		wg.Go(func() {
			if err := sessions.End(t.Context(), "ann", b.ID); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		b.check(t, sessions, state.ErrUnknown)
		listed, err := sessions.List(t.Context(), "ann")
		if err != nil || len(listed) != 10 || slices.ContainsFunc(listed, func(x state.Session) bool { return x.ID == b.ID }) {
			t.Errorf("%d are listed, %v", len(listed), err)
		}
	})
}

// What is stored is no secret that a browser could present.
func TestSessionRecordHasNoSecret(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	b := startSession(t, newSessions(s, c), "ann", "")
	r, err := s.Load(t.Context(), "sessions", record.HashID("ann"))
	if err != nil || len(b.secret) < 40 {
		t.Fatal(err)
	}
	if text := string(r.Data); strings.Contains(text, b.secret) || !strings.Contains(text, b.ID) {
		t.Errorf("%.200s", text)
	}
}
