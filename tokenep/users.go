package tokenep

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// UserSource is where people and their passwords are known: a list, a file, a directory, or the
// application behind the proxy. It is safe for concurrent use.
type UserSource struct {
	// Authenticate returns the person whose name and password these are: the subject, and the
	// claims that the source was told to tell. The error Is ErrNoUser where there is no such person,
	// or the password is wrong, and takes as long in both cases. Any other error means that nobody
	// knows at the moment. Required.
	Authenticate func(ctx context.Context, name, password string) (User, error)

	// Find returns what is known of a person now, by the subject that Authenticate returned. The
	// error Is ErrNoUser if that person is gone or barred. nil: the source cannot be asked without
	// a password.
	Find func(ctx context.Context, subject string) (User, error)

	// Recheck is how old what is known of a person may be before Find is asked again; 0: never.
	Recheck time.Duration
}

// ErrNoUser says that there is no person of this name and password, or none any more.
var ErrNoUser = errors.New("there is no such user, or the password is wrong")

// Passwords signs people in by name and password (RFC 6749 §4.3): the sign-in page and the password
// grant share it, and its limits.
type Passwords struct {
	Source *UserSource
	Active func(ctx context.Context, subject string) error // Is ErrNoUser for one who is barred
	Now    func() time.Time
}

// SignIn returns the person whose name and password these are, and that it was now, by a password
// (RFC 8176: pwd). from is the address that failures are counted for. The error is an *Error: the
// same InvalidGrant for every reason that lies with name and password; of status 429 after too many
// failures; and of status 503 where nobody knows at the moment.
func (p *Passwords) SignIn(ctx context.Context, from netip.Addr, name, password string) (User, error) {
	user, err := p.Source.Authenticate(ctx, name, password)
	if err == nil {
		err = p.Active(ctx, user.Subject)
	}
	if errors.Is(err, ErrNoUser) {
		return User{}, InvalidGrant.Describe("the name or the password is wrong").Because(err)
	}
	if err != nil {
		return User{}, AsError(err)
	}
	user.SignIn = SignIn{Time: p.Now(), Methods: []string{"pwd"}}
	return user, nil
}
