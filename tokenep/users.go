package tokenep

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// UserSource is where people and their passwords are known: a list, a file, a directory, or the
// application behind the proxy. It is safe for concurrent use.
type UserSource struct {
	// Authenticate returns the person whose name and password these are: the subject, and the
	// claims that the source was told to tell. The error Is ErrNoUser where there is no such
	// person, or the password is wrong, and takes as long in both cases. Any other error means that
	// nobody knows at the moment. Required.
	Authenticate func(ctx context.Context, name, password string) (User, error)

	// Turns bound how many passwords are checked at once, and share that out among the addresses
	// that they come from: ProcessTurns where a slow hash is computed here. nil: nothing does.
	Turns *Turns

	// Find returns what is known of a person now, by the subject that Authenticate returned. The
	// error Is ErrNoUser if that person is gone or barred. nil: the source cannot be asked without
	// a password.
	Find func(ctx context.Context, subject string) (User, error)

	// Recheck is how old what is known of a person may be before Find is asked again; 0: never.
	Recheck time.Duration
}

// RecheckAlways is the Recheck of a source that knows at once and costs nothing.
const RecheckAlways = time.Nanosecond

// DefaultRecheck is the Recheck of a source on another machine, unless another is set.
const DefaultRecheck = 5 * time.Minute

// ErrNoUser says that there is no person of this name and password, or none any more.
var ErrNoUser = errors.New("there is no such user, or the password is wrong")

// retryUsers is the Retry-After of an answer when nobody knows who somebody is.
const retryUsers = 5 * time.Second

// Active refuses a person who is disabled or gone, and what was allowed at a time before the
// person's access was revoked; the zero time is now. The error Is ErrNoUser then, and any other one
// if that is not known.
type Active func(ctx context.Context, subject string, allowed time.Time) error

// Passwords signs people in by name and password (RFC 6749 §4.3): the sign-in page and the password
// grant share it, and its limits.
type Passwords struct {
	Source  *UserSource
	Active  Active
	Limiter *Limiter  // of failures; nil: none
	Limit   RateLimit // that the Limiter keeps
	Now     func() time.Time
}

// SignIn returns the person whose name and password these are, and that it was now, by a password
// (RFC 8176: pwd). from is the address that failures are counted for. The error is an *Error: the
// same InvalidGrant for every reason that lies with name and password; of status 429 after too many
// failures; and of status 503 where nobody knows at the moment, or too many wait to be told.
//
// A failure counts when its turn has come, before the password is looked at, and success takes that
// back: of many guesses that come at once no more are judged than of the same one after the other.
// See Limiter.SignIn for what is counted.
func (p *Passwords) SignIn(ctx context.Context, from netip.Addr, name, password string) (User, error) {
	name, password, readable := ReadLogin(name, password)
	attempt := p.Limiter.SignIn(p.Limit, from, name)
	if err := attempt.Allow(ctx); err != nil {
		return User{}, err
	}
	user, err := User{}, errUnreadable
	if readable {
		user, err = p.ask(ctx, attempt, name, password)
	}
	if err == nil {
		err = p.Active(ctx, user.Subject, time.Time{})
	}
	switch {
	case errors.Is(err, ErrNoUser):
		if err := attempt.Count(); err != nil {
			return User{}, err
		}
		return User{}, InvalidGrant.Describe("the name or the password is wrong").Because(err)
	case err != nil:
		if ctx.Err() == nil { // else the sender could guess, and hang up in time
			attempt.Withdraw()
		}
		return User{}, unknownUser(err)
	}
	if err := attempt.Succeeded(); err != nil {
		return User{}, err
	}
	user.SignIn = SignIn{Time: p.Now(), Methods: []string{"pwd"}}
	return user, nil
}

// ask waits for the turn of the attempt, and asks the source.
func (p *Passwords) ask(ctx context.Context, attempt *Attempt, name, password string) (User, error) {
	if turns := p.Source.Turns; turns != nil {
		release, err := turns.Take(ctx, attempt.Network())
		if err != nil {
			return User{}, err
		}
		defer release()
	}
	if err := attempt.Count(); err != nil {
		return User{}, err
	}
	user, err := p.Source.Authenticate(ctx, name, password)
	if err != nil {
		return User{}, err
	}
	if err := CheckUser(user.Subject); err != nil {
		return User{}, fmt.Errorf("%w: %w", ErrNoUser, err)
	}
	return user, nil
}

// unknownUser is the refusal where nobody knows.
func unknownUser(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := TemporarilyUnavailable.Describe("the server cannot find out at the moment who this is; try again").Because(err)
	e.RetryAfter = retryUsers
	return e
}

// CheckUser returns what is wrong with the name of a person, as tokens have it: see
// state.CheckSubject. The names of clients are none.
func CheckUser(subject string) error {
	switch {
	case subject == "":
		return errors.New("a user must have a name")
	case strings.HasPrefix(subject, ClientSubjectPrefix): // RFC 9068 §5
		return fmt.Errorf("the name of a user must not begin with %s, which is for clients", ClientSubjectPrefix)
	}
	return state.CheckSubject(subject)
}
