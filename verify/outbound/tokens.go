package outbound

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Answers says how long it is remembered what was said of a token, so that a busy client costs
// little (RFC 7662 §4, on caching). A negative duration: not at all.
type Answers struct {
	Good    time.Duration // of good tokens, never past their exp; default: DefaultGood
	Bad     time.Duration // of others; default: DefaultBad
	Entries int           // of each of the two kinds, at most; default: DefaultEntries

	Now func() time.Time
}

// Defaults and bounds of Answers.
const (
	DefaultGood    = 30 * time.Second
	DefaultBad     = 10 * time.Second
	DefaultEntries = 10_000
	MaxGood        = time.Hour
	MaxBad         = 5 * time.Minute
	MaxEntries     = 1_000_000
)

// Leeway is what the clocks of others and of this machine may differ by, for nbf and iat.
const Leeway = 30 * time.Second

// spacing is how long a token is not asked about again after nobody knew.
const spacing = time.Second

// maxLooked is how many entries of a full table are looked at for some that are over.
const maxLooked = 16

// maxAsked bounds the tokens that anybody is asked about, in bytes.
const maxAsked = 16 << 10

// Validate returns what is wrong with the numbers.
func (a Answers) Validate() error {
	switch {
	case a.Good > MaxGood:
		return fmt.Errorf("cache: the time must be %s at most; it is %s", MaxGood, a.Good)
	case a.Bad > MaxBad:
		return fmt.Errorf("cache_refused: the time must be %s at most; it is %s", MaxBad, a.Bad)
	case a.Entries < 0 || a.Entries > MaxEntries:
		return fmt.Errorf("cache_entries: the number must be 1 to %d; it is %d", MaxEntries, a.Entries)
	}
	return nil
}

func (a *Answers) complete() {
	a.Good, a.Bad = cmp.Or(a.Good, DefaultGood), cmp.Or(a.Bad, DefaultBad)
	a.Entries = cmp.Or(a.Entries, DefaultEntries)
	if a.Now == nil {
		a.Now = time.Now
	}
}

// Ask asks about a token. The error is, or wraps, verify.ErrBadToken if the token is not good; any
// other one means that nobody knows.
type Ask func(ctx context.Context, token string) (*verify.Token, error)

// Turn waits until it is the turn of whoever asks. release is called once. An error says nothing of
// the token. A nil Turn waits for nothing.
type Turn func(ctx context.Context) (release func(), err error)

// Tokens remembers what was said of tokens, by the hash of each. What is asked about is the bytes
// of a token, whoever sends it, so that all who wait for one answer share it, and nobody gets that
// about another token.
type Tokens struct {
	o        Answers
	patience time.Duration // with which a turn is waited for
	ask      Ask
	flight   singleflight.Group

	mu        sync.Mutex
	good, bad table
}

// said is what was said of a token.
type said struct {
	token *verify.Token
	err   error // nil: the token is good
	until time.Time
	size  int // in memory, in bytes, roughly
}

// NewTokens returns Tokens that are asked about by requests with these options.
func NewTokens(a Answers, connection Options, ask Ask) *Tokens {
	a.complete()
	connection.Complete()
	return &Tokens{o: a, patience: connection.Timeout, ask: ask, good: newTable(), bad: newTable()}
}

var errTokenSize = fmt.Errorf("%w: it has more than %d bytes", verify.ErrBadToken, maxAsked)

// Ask returns what is known of a token, and asks if nothing is. Whoever gives up waiting ends no
// request that others wait for.
func (t *Tokens) Ask(ctx context.Context, token string, turn Turn) (*verify.Token, error) {
	if len(token) > maxAsked {
		return nil, errTokenSize
	}
	key := sha256.Sum256([]byte(token))
	if known, found := t.recall(key); found {
		return known.token, known.err
	}
	flight := t.flight.DoChan(string(key[:]), func() (any, error) {
		if known, found := t.recall(key); found { // the one before has just ended
			return known, nil
		}
		return t.question(context.WithoutCancel(ctx), key, token, turn), nil
	})
	select {
	case result := <-flight:
		answer, ok := result.Val.(said)
		if !ok {
			return nil, result.Err
		}
		return answer.token, answer.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// question asks when it is the turn of whoever asks.
func (t *Tokens) question(ctx context.Context, key [sha256.Size]byte, token string, turn Turn) said {
	if turn != nil {
		waiting, cancel := context.WithTimeout(ctx, t.patience)
		release, err := turn(waiting)
		cancel()
		if err != nil {
			return said{err: err}
		}
		defer release()
	}
	start := t.o.Now()
	var answer said
	answer.token, answer.err = t.ask(ctx, token)
	if answer.err == nil {
		answer.err = timely(answer.token, t.o.Now())
	}
	switch {
	case answer.err == nil:
		answer.until = start.Add(t.o.Good)
		if e := answer.token.Expires; !e.IsZero() && e.Before(answer.until) {
			answer.until = e
		}
		t.remember(&t.good, key, answer)
	case errors.Is(answer.err, verify.ErrBadToken):
		answer.token, answer.until = nil, start.Add(t.o.Bad)
		t.remember(&t.bad, key, answer)
	default:
		answer.token, answer.until = nil, t.o.Now().Add(spacing)
		t.remember(&t.bad, key, answer)
	}
	return answer
}

// timely returns what is wrong with the times of a token (RFC 7662 §2.2).
func timely(t *verify.Token, now time.Time) error {
	switch {
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return fmt.Errorf("%w: exp is past", verify.ErrBadToken)
	case t.NotBefore.After(now.Add(Leeway)):
		return fmt.Errorf("%w: nbf is to come", verify.ErrBadToken)
	case t.IssuedAt.After(now.Add(Leeway)):
		return fmt.Errorf("%w: iat is to come", verify.ErrBadToken)
	}
	return nil
}

func (t *Tokens) recall(key [sha256.Size]byte) (known said, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Now()
	for _, answers := range []*table{&t.good, &t.bad} {
		if known, found = answers.entries[key]; found && now.Before(known.until) {
			return known, true
		}
	}
	return said{}, false
}

// remember keeps an answer. Junk is in a table of its own, and displaces no good token.
func (t *Tokens) remember(answers *table, key [sha256.Size]byte, answer said) {
	answer.size = answer.weigh()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Now()
	t.good.forget(key)
	t.bad.forget(key)
	if now.Before(answer.until) {
		answers.insert(key, answer, t.o.Entries, now)
	}
}
