package outbound

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Memory remembers answers for a while, and has a question asked once for all who wait for its
// answer. It is safe for concurrent use.
//
// Values and errors are apart, so that junk displaces nothing that is good. Each of the two kinds
// has a bound, in number and in bytes, and so has what is being asked.
type Memory[V any] struct {
	now    func() time.Time
	most   int
	weigh  func(V) int
	asking chan struct{} // has one element for each question

	mu        sync.RWMutex
	questions map[Key]*question[V]
	good, bad table[V]
}

// maxAsking is how many questions there are at a time. Whoever has one more waits.
const maxAsking = 4096

// Known is an answer.
type Known[V any] struct {
	Value V
	Err   error     // nil: there is a value
	Until time.Time // when it is asked for again; zero: at once

	// Unasked: nothing was asked, for a reason that is that of whoever would have. Err is for him
	// alone, and the next one of those who wait asks.
	Unasked bool
}

// Key is the hash of what an answer is about.
type Key [sha256.Size]byte

// KeyOf returns the hash of texts, in a form from which they could be told apart.
func KeyOf(texts ...string) (k Key) {
	h := sha256.New()
	var size [8]byte
	for _, text := range texts {
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		_, _ = h.Write(size[:])
		_, _ = h.Write([]byte(text))
	}
	h.Sum(k[:0])
	return k
}

// question is one that is asked, or was. The answer is there once done is closed.
type question[V any] struct {
	done    chan struct{}
	asker   chan struct{} // has an element while somebody asks, and once there is an answer
	waiting int           // who wait for the answer, and who asks
	answer  Known[V]
	size    int // in memory, in bytes, roughly; of one that was answered
}

// NewMemory returns a Memory of at most so many values, and as many errors. weigh says how many
// bytes a value has, roughly.
func NewMemory[V any](entries int, now func() time.Time, weigh func(V) int) *Memory[V] {
	return &Memory[V]{now: now, most: entries, weigh: weigh, asking: make(chan struct{}, maxAsking),
		questions: make(map[Key]*question[V]), good: newTable[V](), bad: newTable[V]()}
}

// Get returns what is known, or has ask find it out. Whoever stops waiting ends nothing that others
// wait for: the context of ask has the values of ctx, and not its end.
func (m *Memory[V]) Get(ctx context.Context, key Key, ask func(context.Context) Known[V]) Known[V] {
	m.mu.RLock()
	q := m.find(key)
	m.mu.RUnlock()
	if q != nil {
		select {
		case <-q.done:
			return q.answer
		default:
		}
	}
	if err := ctx.Err(); err != nil {
		return Known[V]{Err: err}
	}
	q = m.join(key)
	defer m.leave(key, q)
	select {
	case <-q.done:
		return q.answer
	case q.asker <- struct{}{}:
	case <-ctx.Done():
		return Known[V]{Err: ctx.Err()}
	}
	select {
	case m.asking <- struct{}{}:
	case <-ctx.Done():
		<-q.asker
		return Known[V]{Err: ctx.Err()}
	}
	own := m.begin(ctx, key, q, ask)
	select {
	case known := <-own:
		return known
	case <-ctx.Done():
		return Known[V]{Err: ctx.Err()}
	}
}

// find returns the question whose answer is good, or is on its way; nil: there is none.
func (m *Memory[V]) find(key Key) *question[V] {
	if q := m.questions[key]; q != nil {
		return q
	}
	now := m.now()
	for _, t := range [...]*table[V]{&m.good, &m.bad} {
		if q := t.entries[key]; q != nil && now.Before(q.answer.Until) {
			return q
		}
	}
	return nil
}

// join returns the question to wait for. leave is called once.
func (m *Memory[V]) join(key Key) *question[V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.find(key)
	if q == nil {
		q = &question[V]{done: make(chan struct{}), asker: make(chan struct{}, 1)}
		m.questions[key] = q
	}
	q.waiting++
	return q
}

// leave forgets a question that nobody waits for, and that was not answered.
func (m *Memory[V]) leave(key Key, q *question[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if q.waiting--; q.waiting == 0 && m.questions[key] == q {
		delete(m.questions, key)
	}
}

// begin asks, and returns what the asker gets.
func (m *Memory[V]) begin(ctx context.Context, key Key, q *question[V], ask func(context.Context) Known[V]) <-chan Known[V] {
	m.mu.Lock()
	q.waiting++
	m.mu.Unlock()
	own := make(chan Known[V], 1)
	go func() {
		known := Known[V]{Err: errAbandoned}
		defer func() {
			own <- known
			<-m.asking
			if known.Unasked {
				<-q.asker
			} else {
				m.end(key, q, known)
			}
			m.leave(key, q)
		}()
		// After a panic whoever waits gets an error, and the next one asks again.
		if err := verify.Contain(func() error {
			known = ask(context.WithoutCancel(ctx))
			return nil
		}); err != nil {
			known.Err = err
		}
	}()
	return own
}

var errAbandoned = errors.New("the question was abandoned")

// end remembers an answer, and gives it to those who wait.
func (m *Memory[V]) end(key Key, q *question[V], known Known[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q.answer = known
	delete(m.questions, key)
	m.good.forget(key)
	m.bad.forget(key)
	if now := m.now(); now.Before(q.answer.Until) {
		if q.answer.Err != nil {
			q.size = entryWeight + len(q.answer.Err.Error())
			m.bad.insert(key, q, m.most, now)
		} else {
			q.size = entryWeight + m.weigh(q.answer.Value)
			m.good.insert(key, q, m.most, now)
		}
	}
	close(q.done)
}
