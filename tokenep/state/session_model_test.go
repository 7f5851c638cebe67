package state_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// sessionModel is what sessions are meant to be: a list for each person, in which each has a
// beginning and a last use that is known to a tenth of the idle time.
type sessionModel struct {
	clock *clock
	idle  time.Duration
	total time.Duration
	alive map[string][]*modelSession // by person, in the order of their last use as it is noted
	ended []aBrowser
	pause time.Duration // at most, in a step: long ones end what is idle, short ones make a crowd
	full  bool          // somebody had fifty
	over  bool          // one was over by time
}

type modelSession struct {
	aBrowser
	began, noted time.Time
}

func (m *sessionModel) now() time.Time { return m.clock.Now().UTC().Truncate(time.Millisecond) }

func (m *sessionModel) good(x *modelSession) bool {
	now := m.now()
	return now.Before(x.noted.Add(m.idle)) && now.Before(x.began.Add(m.total))
}

// tidy forgets those that are over.
func (m *sessionModel) tidy(person string) {
	m.alive[person] = slices.DeleteFunc(m.alive[person], func(x *modelSession) bool {
		if m.good(x) {
			return false
		}
		m.ended, m.over = append(m.ended, x.aBrowser), true
		return true
	})
}

func (m *sessionModel) remove(person string, gone func(*modelSession) bool) {
	m.alive[person] = slices.DeleteFunc(m.alive[person], func(x *modelSession) bool {
		if !gone(x) {
			return false
		}
		m.ended = append(m.ended, x.aBrowser)
		return true
	})
}

func (m *sessionModel) start(b aBrowser, replaces string) {
	m.tidy(b.subject)
	m.remove(b.subject, func(x *modelSession) bool { return x.ID == replaces })
	slices.SortStableFunc(m.alive[b.subject], func(a, b *modelSession) int { return a.noted.Compare(b.noted) })
	if all := m.alive[b.subject]; len(all) == 50 {
		m.full = true
		m.remove(b.subject, func(x *modelSession) bool { return x == all[0] })
	}
	m.alive[b.subject] = append(m.alive[b.subject], &modelSession{b, m.now(), m.now()})
}

// Whatever is done in whatever order: those are good that should be, no other is, and the list has
// exactly those.
func TestSessionsModel(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, 10 * time.Minute, 40 * time.Minute} {
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			c := newClock()
			sessions := newSessions(newMemory(t, c.Now), c)
			m := &sessionModel{clock: c, idle: sessions.Idle, total: sessions.Absolute, alive: make(map[string][]*modelSession), pause: pause}
			for range 1500 {
				m.step(t, sessions)
			}
			if crowd := pause == time.Second; len(m.ended) < 50 || m.full != crowd || m.over == crowd {
				t.Errorf("%d have ended; fifty at once: %v, over by time: %v", len(m.ended), m.full, m.over)
			}
		})
	}
}

// step does one thing, and looks at what must be true then.
func (m *sessionModel) step(t *testing.T, s state.Sessions) {
	t.Helper()
	person := []string{"ann", "bob"}[rand.IntN(2)]
	mine := m.alive[person]
	one := func() string {
		if len(mine) == 0 {
			return "none"
		}
		return mine[rand.IntN(len(mine))].ID
	}
	switch n := rand.IntN(100); {
	case n < 40:
		m.start(startSession(t, s, person, ""), "")
	case n < 50:
		replaces := one()
		m.start(startSession(t, s, person, replaces), replaces)
	case n < 60:
		id := one()
		if err := s.End(t.Context(), person, id); err != nil {
			t.Fatal(err)
		}
		m.remove(person, func(x *modelSession) bool { return x.ID == id })
	case n < 61 && rand.IntN(4) == 0:
		if err := s.EndAll(t.Context(), person); err != nil {
			t.Fatal(err)
		}
		m.remove(person, func(*modelSession) bool { return true })
	case n < 80 && len(mine) > 0:
		m.use(t, s, mine[rand.IntN(len(mine))])
	default:
		m.clock.Advance(time.Duration(rand.Int64N(int64(m.pause))))
	}
	m.tidy(person)
	var want, got []string
	for _, x := range m.alive[person] {
		want = append(want, x.ID)
	}
	listed, err := s.List(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	for i := range listed {
		got = append(got, listed[i].ID)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: listed are %d, want %d", person, len(got), len(want))
	}
	if len(m.ended) > 0 {
		b := m.ended[rand.IntN(len(m.ended))]
		if _, err := s.Check(t.Context(), b.subject, b.ID, b.secret); !errors.Is(err, state.ErrRefused) {
			t.Fatalf("a session that has ended: %v", err)
		}
	}
}

// use has somebody come with a session.
func (m *sessionModel) use(t *testing.T, s state.Sessions, x *modelSession) {
	t.Helper()
	good := m.good(x)
	_, err := s.Check(t.Context(), x.subject, x.ID, x.secret)
	if (err == nil) != good {
		t.Fatalf("began %s, used %s, at %s: %v, want good: %v", x.began, x.noted, m.now(), err, good)
	}
	if good && m.now().Sub(x.noted) >= m.idle/10 {
		x.noted = m.now()
	}
}
