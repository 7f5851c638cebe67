package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Bounds of what is remembered.
const (
	DefaultEntries = 10_000
	MaxEntries     = 1_000_000

	spacing   = time.Second      // for how long nobody is asked again who did not know
	noneFor   = 10 * time.Second // for how long there is none where there was none
	maxLooked = 16               // entries of a full table that are looked at for one that is over
)

// credential is what goes to the upstream, or why nothing does.
type credential struct {
	value string
	err   error
	until time.Time // when another one is made
	by    any       // the key that has signed it; nil: none has
}

// key is the hash of what a credential is for.
type key [sha256.Size]byte

// keyOf returns the hash of texts, in a form from which they could be told apart.
func keyOf(texts ...string) (k key) {
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

// kept remembers credentials. One that is being made is waited for by all who need it.
type kept struct {
	now   func() time.Time
	limit int
	form  Form

	mu      sync.RWMutex
	entries map[key]*entry
	tokens  map[*verify.Token]*entry // the same, of tokens that a verifier remembers
}

// entry is a credential, once done is closed.
type entry struct {
	done chan struct{}
	credential
}

func newKept(limit int, form Form, now func() time.Time) *kept {
	if limit == 0 {
		limit = DefaultEntries
	}
	if now == nil {
		now = time.Now
	}
	return &kept{now: now, limit: limit, form: form, entries: make(map[key]*entry), tokens: make(map[*verify.Token]*entry)}
}

// good reports whether e is what a request with a token needs now: on its way, or made by the
// current key and not over.
func (e *entry) good(now time.Time, by any) bool {
	if e == nil {
		return false
	}
	select {
	case <-e.done:
		return now.Before(e.until) && (e.by == by || e.err != nil)
	default:
		return true
	}
}

// get returns the credential for t, which hash tells apart from others. It has obtain get one
// if it is needed. Whoever stops waiting stops nothing that others wait for.
func (k *kept) get(ctx context.Context, t *verify.Token, by any, hash func() key, obtain func(context.Context) credential) (string, error) {
	now := k.now()
	k.mu.RLock()
	e := k.tokens[t]
	k.mu.RUnlock()
	if !e.good(now, by) {
		e = k.entry(ctx, t, now, by, hash(), obtain)
	}
	select {
	case <-e.done:
		return e.value, e.err
	default:
	}
	select {
	case <-e.done:
		return e.value, e.err
	case <-ctx.Done():
		return "", unavailable(ctx.Err())
	}
}

// entry returns the entry of a hash, and begins a new one if it must.
func (k *kept) entry(ctx context.Context, t *verify.Token, now time.Time, by any, hash key, obtain func(context.Context) credential) *entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entries[hash]
	if !e.good(now, by) {
		e = &entry{done: make(chan struct{})}
		room(k.entries, k.limit, func(old *entry) bool { return !old.good(now, old.by) })
		k.entries[hash] = e
		go func() {
			e.credential = k.written(obtain(context.WithoutCancel(ctx)))
			close(e.done)
		}()
	}
	room(k.tokens, k.limit, func(old *entry) bool { return !old.good(now, old.by) })
	k.tokens[t] = e
	return e
}

// written returns a credential as it is written where it goes.
func (k *kept) written(c credential) credential {
	if c.err != nil {
		return c
	}
	value, err := k.form.write(c.value)
	if err != nil {
		return k.refused(senseless(err))
	}
	c.value = value
	return c
}

// room makes room for one more by forgetting some that are over, or else any other one.
func room[K comparable](entries map[K]*entry, limit int, over func(*entry) bool) {
	if len(entries) < limit {
		return
	}
	seen := 0
	for other, old := range entries { // in any order
		if seen++; seen == 1 || over(old) {
			delete(entries, other)
		}
		if seen == maxLooked {
			return
		}
	}
}

// unavailable is the refusal while nobody knows.
func unavailable(cause error) error {
	return &verify.Error{Status: http.StatusServiceUnavailable, RetryAfter: spacing, Cause: cause}
}

// senseless is the refusal because of an answer that makes no sense.
func senseless(cause error) error {
	return &verify.Error{Status: http.StatusBadGateway, Cause: cause}
}

// none is the refusal where there is no credential.
func none(cause error) error {
	return &verify.Error{Status: http.StatusForbidden, Code: verify.AccessDenied,
		Description: "the application behind this API has no access for this token", Cause: cause}
}

// refused returns an entry that says why there is none.
func (k *kept) refused(err error) credential {
	life := spacing
	if refusal, ok := errors.AsType[*verify.Error](err); ok && refusal.Status == http.StatusForbidden {
		life = noneFor
	}
	return credential{err: err, until: k.now().Add(life)}
}

// capped returns the earlier one of two times; zero is none.
func capped(until, end time.Time) time.Time {
	if !end.IsZero() && end.Before(until) {
		return end
	}
	return until
}
