package subject

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/outbound"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Answers says how long the answers of a source that is asked about tokens are remembered, so that
// a busy client costs it little (RFC 7662 §4, on caching). A negative duration: not at all.
type Answers struct {
	Good    time.Duration // of good tokens, never past their exp; default: DefaultGood
	Bad     time.Duration // of others; default: DefaultBad
	Entries int           // of each of the two kinds, at most; default: DefaultEntries

	Now     func() time.Time
	Address func(*http.Request) netip.Addr // that a request comes from
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

// asked remembers answers, by the hash of the token. What is asked about is the bytes of a token,
// whoever sends it, so that all who wait for one answer share it, and nobody gets that about
// another token.
type asked struct {
	Answers
	ask    func(ctx context.Context, token string) (*verify.Token, error)
	flight singleflight.Group

	turns    *tokenep.Turns // of addresses
	patience time.Duration  // with which they wait

	mu        sync.Mutex
	good, bad map[[sha256.Size]byte]remembered
}

// remembered is an answer.
type remembered struct {
	token *verify.Token
	err   error // nil: the token is good
	until time.Time
}

func newAsked(a Answers, connection outbound.Options, ask func(context.Context, string) (*verify.Token, error)) *asked {
	for d, standard := range map[*time.Duration]time.Duration{&a.Good: DefaultGood, &a.Bad: DefaultBad} {
		if *d == 0 {
			*d = standard
		}
	}
	if a.Entries == 0 {
		a.Entries = DefaultEntries
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Address == nil {
		a.Address = tokenep.PeerAddress
	}
	return &asked{
		Answers: a, ask: ask, turns: tokenep.NewQueue(connection.Requests), patience: connection.Timeout,
		good: make(map[[sha256.Size]byte]remembered), bad: make(map[[sha256.Size]byte]remembered),
	}
}

var errTooLong = fmt.Errorf("%w: it has more than %d bytes", ErrBadToken, maxAsked)

// prove is the Prove of a Source. Whoever gives up waiting ends no request that others wait for.
func (a *asked) prove(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error) {
	if len(token) > maxAsked {
		return nil, errTooLong
	}
	key := sha256.Sum256([]byte(token))
	if known, found := a.recall(key); found {
		return known.token, known.err
	}
	network := tokenep.Network(a.Address(r.Request))
	flight := a.flight.DoChan(string(key[:]), func() (any, error) {
		if known, found := a.recall(key); found { // the one before has just ended
			return known, nil
		}
		return a.question(context.WithoutCancel(ctx), network, key, token), nil
	})
	select {
	case result := <-flight:
		answer, ok := result.Val.(remembered)
		if !ok {
			return nil, result.Err
		}
		return answer.token, answer.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// question asks when it is the turn of that address.
func (a *asked) question(ctx context.Context, network netip.Prefix, key [sha256.Size]byte, token string) remembered {
	waiting, cancel := context.WithTimeout(ctx, a.patience)
	release, err := a.turns.Take(waiting, network)
	cancel()
	if err != nil {
		return remembered{err: err} // which says nothing of the token
	}
	defer release()
	start := a.Now()
	var answer remembered
	answer.token, answer.err = a.ask(ctx, token)
	if answer.err == nil {
		answer.err = timely(answer.token, a.Now())
	}
	switch {
	case answer.err == nil:
		answer.until = start.Add(a.Good)
		if e := answer.token.Expires; !e.IsZero() && e.Before(answer.until) {
			answer.until = e
		}
		a.remember(a.good, key, answer)
	case errors.Is(answer.err, ErrBadToken):
		answer.token, answer.until = nil, start.Add(a.Bad)
		a.remember(a.bad, key, answer)
	default:
		answer.token, answer.until = nil, a.Now().Add(spacing)
		a.remember(a.bad, key, answer)
	}
	return answer
}

// timely returns what is wrong with the times of a token (RFC 7662 §2.2).
func timely(t *verify.Token, now time.Time) error {
	switch {
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return fmt.Errorf("%w: exp is past", ErrBadToken)
	case t.NotBefore.After(now.Add(Leeway)):
		return fmt.Errorf("%w: nbf is to come", ErrBadToken)
	case t.IssuedAt.After(now.Add(Leeway)):
		return fmt.Errorf("%w: iat is to come", ErrBadToken)
	}
	return nil
}

func (a *asked) recall(key [sha256.Size]byte) (known remembered, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Now()
	for _, answers := range []map[[sha256.Size]byte]remembered{a.good, a.bad} {
		if known, found = answers[key]; found && now.Before(known.until) {
			return known, true
		}
	}
	return remembered{}, false
}

// remember makes room by forgetting what is over, or else any other one. Junk is in a table of its
// own, and displaces no good token.
func (a *asked) remember(answers map[[sha256.Size]byte]remembered, key [sha256.Size]byte, answer remembered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Now()
	delete(a.good, key)
	delete(a.bad, key)
	if !now.Before(answer.until) {
		return
	}
	if len(answers) >= a.Entries {
		seen := 0
		for other, old := range answers { // in any order
			if seen++; seen == 1 || !now.Before(old.until) {
				delete(answers, other)
			}
			if seen == maxLooked {
				break
			}
		}
	}
	answers[key] = answer
}
