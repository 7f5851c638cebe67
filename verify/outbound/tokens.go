package outbound

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

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

// Spacing is how long nothing is asked again after nobody knew.
const Spacing = time.Second

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
// the token, and is for him alone: others who wait for the same answer ask. A nil Turn waits for
// nothing.
type Turn func(ctx context.Context) (release func(), err error)

// Tokens remembers what was said of tokens, by the hash of each. What is asked about is the bytes
// of a token, whoever sends it, so that all who wait for one answer share it, and nobody gets that
// about another token.
type Tokens struct {
	o        Answers
	patience time.Duration // with which a turn is waited for
	ask      Ask
	memory   *Memory[*verify.Token]
}

// NewTokens returns Tokens that are asked about by requests with these options.
func NewTokens(a Answers, connection Options, ask Ask) *Tokens {
	a.complete()
	connection.Complete()
	return &Tokens{o: a, patience: connection.Timeout, ask: ask, memory: NewMemory(a.Entries, a.Now, (*verify.Token).Weight)}
}

var errTokenSize = fmt.Errorf("%w: it has more than %d bytes", verify.ErrBadToken, maxAsked)

// Ask returns what is known of a token, and asks if nothing is. Whoever gives up waiting ends no
// request that others wait for.
func (t *Tokens) Ask(ctx context.Context, token string, turn Turn) (*verify.Token, error) {
	if len(token) > maxAsked {
		return nil, errTokenSize
	}
	until := time.Now().Add(t.patience)
	known := t.memory.Get(ctx, sha256.Sum256([]byte(token)), func(ctx context.Context) Known[*verify.Token] {
		return t.question(ctx, token, turn, until)
	})
	return known.Value, known.Err
}

// question asks when it is the turn of whoever asks, who waits for that until then.
func (t *Tokens) question(ctx context.Context, token string, turn Turn, until time.Time) (answer Known[*verify.Token]) {
	if turn != nil {
		waiting, cancel := context.WithDeadline(ctx, until)
		release, err := turn(waiting)
		cancel()
		if err != nil {
			return Known[*verify.Token]{Err: err, Unasked: true}
		}
		defer release()
	}
	start := t.o.Now()
	said, err := t.ask(ctx, token)
	if err == nil {
		err = timely(said, t.o.Now())
	}
	switch {
	case err == nil:
		answer.Value, answer.Until = said, start.Add(t.o.Good)
		if e := said.Expires; !e.IsZero() && e.Before(answer.Until) {
			answer.Until = e
		}
	case errors.Is(err, verify.ErrBadToken):
		answer.Err, answer.Until = err, start.Add(t.o.Bad)
	default:
		answer.Err, answer.Until = err, t.o.Now().Add(Spacing)
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
