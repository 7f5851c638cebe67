package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/verify/outbound"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

type known = outbound.Known[string]

func newMemory(entries int) (*outbound.Memory[string], *verifytest.Clock) {
	clock := verifytest.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	return outbound.NewMemory(entries, clock.Now, func(text string) int { return len(text) }), clock
}

// Ten thousand who need one answer at once, of whom none knows it, are one question.
func TestOneQuestion(t *testing.T) {
	m, clock := newMemory(10)
	const all = 10_000
	var asked atomic.Int32
	var waiting, done sync.WaitGroup
	waiting.Add(all)
	for range all {
		done.Go(func() {
			waiting.Done()
			got := m.Get(t.Context(), outbound.KeyOf("a"), func(context.Context) known {
				asked.Add(1)
				waiting.Wait()
				return known{Value: "answer", Until: clock.Now().Add(time.Minute)}
			})
			if got.Value != "answer" || got.Err != nil {
				t.Error(got)
			}
		})
	}
	done.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Whoever gives up gets his own error, and the others the answer, also where he was the first.
func TestWaitersLeave(t *testing.T) {
	m, clock := newMemory(10)
	asked, answer := make(chan struct{}), make(chan struct{})
	first, leave := context.WithCancel(t.Context())
	gone := make(chan known)
	ask := func(ctx context.Context) known {
		close(asked)
		<-answer
		return known{Value: "answer", Err: ctx.Err(), Until: clock.Now().Add(time.Minute)}
	}
	go func() { gone <- m.Get(first, outbound.KeyOf("a"), ask) }()
	<-asked
	stays := make(chan known)
	go func() { stays <- m.Get(t.Context(), outbound.KeyOf("a"), ask) }()
	leave()
	if got := <-gone; !errors.Is(got.Err, context.Canceled) {
		t.Error(got)
	}
	if got := m.Get(first, outbound.KeyOf("b"), nil); !errors.Is(got.Err, context.Canceled) {
		t.Errorf("before a question: %v", got)
	}
	close(answer)
	if got := <-stays; got.Value != "answer" || got.Err != nil {
		t.Error(got)
	}
}

// Whoever may not ask gets his own error, and the next one who waits for the same answer asks.
func TestTheNextOneAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, clock := newMemory(10)
		mayNot, may := errors.New("may not ask"), make(chan struct{})
		asked := 0
		get := func(answer known) chan known {
			got := make(chan known, 1)
			go func() {
				got <- m.Get(t.Context(), outbound.KeyOf("a"), func(context.Context) known {
					asked++
					<-may
					return answer
				})
			}()
			synctest.Wait() // they wait in this order
			return got
		}
		refused, good := known{Err: mayNot, Unasked: true}, known{Value: "answer", Until: clock.Now().Add(time.Minute)}
		first, second, third, fourth := get(refused), get(refused), get(good), get(refused)
		close(may)
		for _, got := range []known{<-first, <-second} {
			if !errors.Is(got.Err, mayNot) {
				t.Errorf("who may not ask: %v", got)
			}
		}
		for _, got := range []known{<-third, <-fourth, m.Get(t.Context(), outbound.KeyOf("a"), nil)} {
			if got.Value != "answer" || got.Err != nil {
				t.Errorf("who waits: %v", got)
			}
		}
		synctest.Wait()
		if n := m.Questions(); asked != 3 || n != 0 {
			t.Errorf("asked %d times; %d questions are left", asked, n)
		}
	})
}

// A panic and an error are of those who wait, and the next one asks again: after an error when its
// time is over.
func TestFailuresEnd(t *testing.T) {
	m, clock := newMemory(10)
	away := errors.New("away")
	for _, c := range []struct {
		name string
		ask  func() known
		want string
	}{
		{"panic", func() known { panic("boom") }, "a panic: boom"},
		{"an error for no time", func() known { return known{Err: away} }, "away"},
		{"an error for a second", func() known { return known{Err: away, Until: clock.Now().Add(time.Second)} }, "away"},
	} {
		key, asked := outbound.KeyOf(c.name), 0
		get := func(ask func() known) known {
			return m.Get(t.Context(), key, func(context.Context) known { asked++; return ask() })
		}
		if got := get(c.ask); got.Err == nil || !strings.HasPrefix(got.Err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, got.Err)
		}
		clock.Advance(time.Second)
		if got := get(func() known { return known{Value: "answer"} }); got.Value != "answer" || asked != 2 {
			t.Errorf("%s: then %v, asked %d times", c.name, got, asked)
		}
	}
}

// What is remembered is bounded in number and in bytes, and errors displace no value.
func TestMemoryIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ entries, size, most int }{
		"in number": {100, 1, 100},
		"in bytes":  {1 << 20, 1 << 20, 32},
	} {
		m, clock := newMemory(c.entries)
		asked := 0
		get := func(id int, fails bool) {
			m.Get(t.Context(), outbound.KeyOf(fmt.Sprint(id)), func(context.Context) known {
				asked++
				answer := known{Value: strings.Repeat("x", c.size), Until: clock.Now().Add(time.Minute)}
				if fails {
					answer.Err = errors.New(answer.Value)
				}
				return answer
			})
		}
		for id := range 4 * c.most {
			get(id, false)
		}
		if values, errs := m.Len(); values > c.most || values < c.most/2 || errs != 0 {
			t.Errorf("%s: %d values and %d errors", name, values, errs)
		}
		before, _ := m.Len()
		for id := range 4 * c.most {
			get(-1-id, true)
		}
		if values, errs := m.Len(); values != before || errs > c.most {
			t.Errorf("%s: %d values, of %d, and %d errors", name, values, before, errs)
		}
		if asked != 8*c.most {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

// Many at once, in a memory that is too small for their answers: each gets his own.
func TestMemoryAtItsLimit(t *testing.T) {
	m, clock := newMemory(4)
	var all sync.WaitGroup
	for worker := range 32 {
		all.Go(func() {
			for i := range 500 {
				id := fmt.Sprint((worker + i) % 16)
				got := m.Get(t.Context(), outbound.KeyOf(id), func(context.Context) known {
					return known{Value: id, Until: clock.Now().Add(time.Duration(i%2) * time.Second)}
				})
				if got.Value != id || got.Err != nil {
					t.Errorf("%s got %v", id, got)
				}
			}
		})
	}
	all.Wait()
}

// Questions have a bound. Whoever has one more waits for an end of another, or leaves.
func TestQuestionsAreBounded(t *testing.T) {
	m, clock := newMemory(10)
	var asked atomic.Int32
	full, answer := make(chan struct{}), make(chan struct{})
	ask := func(context.Context) known {
		if asked.Add(1) == outbound.MaxAsking {
			close(full)
		}
		<-answer
		return known{Value: "answer", Until: clock.Now().Add(time.Minute)}
	}
	var all sync.WaitGroup
	for i := range outbound.MaxAsking {
		all.Go(func() { m.Get(t.Context(), outbound.KeyOf(fmt.Sprint(i)), ask) })
	}
	<-full
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if got := m.Get(ctx, outbound.KeyOf("one more"), ask); !errors.Is(got.Err, context.Canceled) || asked.Load() != outbound.MaxAsking {
		t.Errorf("%v, of %d questions", got, asked.Load())
	}
	all.Go(func() {
		if got := m.Get(t.Context(), outbound.KeyOf("one more"), ask); got.Value != "answer" {
			t.Error(got)
		}
	})
	close(answer)
	all.Wait()
}
