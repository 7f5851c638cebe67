package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// completePeople checks what a configuration says of people, and fills in what they are told.
func (c *Config) completePeople() error {
	if err := c.RefreshTokens.Validate(); err != nil {
		return fmt.Errorf("refresh tokens: %w", err)
	}
	if err := c.DeviceCode.Validate(); err != nil {
		return fmt.Errorf("device codes: %w", err)
	}
	if c.signsIn() {
		c.SignIn = []string{"auth_time", "amr"}
	}
	if err := c.Sessions.Validate(); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	return nil
}

// signsIn reports whether this server signs people in on a page of its own.
func (c *Config) signsIn() bool { return c.User == nil && c.Users != nil }

// Sessions are the rules for the sessions of people who have signed in here. The zero value has the
// defaults.
type Sessions struct {
	Idle     time.Duration // from use to use; default: state.DefaultSessionIdle
	Absolute time.Duration // from the sign-in; default: state.DefaultSessionAbsolute
}

// Validate returns what is wrong with the rules.
func (x Sessions) Validate() error {
	idle, absolute := x.Idle, x.Absolute
	if idle == 0 {
		idle = state.DefaultSessionIdle
	}
	if absolute == 0 {
		absolute = state.DefaultSessionAbsolute
	}
	switch {
	case idle < time.Minute || absolute < time.Minute:
		return errors.New("they must last for a minute at least")
	case x.Idle > absolute:
		return fmt.Errorf("they cannot be idle for %s when they end after %s", idle, absolute)
	}
	return nil
}

// knownPeople are the people who may have tokens, as far as this process has found out lately: a
// token for one of them costs no look at the store. They are forgotten when they are revoked, on
// any node, which is how Disable reaches this one.
type knownPeople struct {
	mu   sync.Mutex
	rows map[string]knownPerson
}

type knownPerson struct {
	at      time.Time // the store was read
	found   time.Time // the source was asked, or had them sign in
	revoked time.Time // their last revocation by then
	void    time.Time // what they allowed until then is void
	gone    bool      // the source knows them no more, and all that they had was ended
}

const (
	maxKnownPeople = 100_000
	knownFor       = time.Minute
)

func (k *knownPeople) get(subject string) knownPerson {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rows[subject]
}

func (k *knownPeople) put(subject string, p knownPerson) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rows == nil {
		k.rows = make(map[string]knownPerson)
	}
	k.rows[subject] = p
	if len(k.rows) > maxKnownPeople {
		k.forget(subject)
	}
}

// forget drops the one of a few, but not of this one, of whom was asked the longest ago.
func (k *knownPeople) forget(but string) {
	look, oldest := 8, ""
	for subject, p := range k.rows {
		if subject != but && (oldest == "" || p.at.Before(k.rows[oldest].at)) {
			oldest = subject
		}
		if look--; look == 0 {
			break
		}
	}
	delete(k.rows, oldest)
}

func (k *knownPeople) drop(subject string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.rows, subject)
}

// stale returns those of whom the source was asked, and not since then.
func (k *knownPeople) stale(since time.Time) (subjects []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for subject, p := range k.rows {
		if !p.gone && !p.found.IsZero() && p.found.Before(since) {
			subjects = append(subjects, subject)
		}
	}
	return subjects
}

// noUser says why a user counts as none. The error Is tokenep.ErrNoUser, whose text is for those
// who sign in.
type noUser string

func (e noUser) Error() string { return string(e) }

func (noUser) Is(target error) bool { return target == tokenep.ErrNoUser }

const (
	errDisabled noUser = "the user is disabled"
	errVoid     noUser = "what the user allowed was revoked"
)

// enabled refuses a user who is disabled, and what was allowed before all that the user allowed was
// revoked. The error Is tokenep.ErrNoUser then.
func (s *Server) enabled(ctx context.Context, subject string, allowed time.Time) error {
	p, fresh, err := s.status(ctx, subject, allowed)
	if err == nil && !fresh {
		s.Config.Memory.people.put(subject, p)
	}
	return err
}

// status returns what is known of a user who is enabled. If it is not fresh, it was read now.
func (s *Server) status(ctx context.Context, subject string, allowed time.Time) (p knownPerson, fresh bool, err error) {
	now := s.Config.Now()
	revoked := s.Config.Memory.Revocations.Latest("sub", subject) // before the store is read
	p = s.Config.Memory.people.get(subject)
	fresh = p.revoked.Equal(revoked) && now.Sub(p.at).Abs() < knownFor
	if !fresh {
		status, err := s.users().Status(ctx, subject)
		switch {
		case err != nil:
			return p, false, err
		case !status.Disabled.IsZero():
			return p, false, errDisabled
		}
		p.at, p.revoked, p.void = now, revoked, status.Revoked
	}
	if !allowed.IsZero() && !allowed.After(p.void) {
		return p, fresh, errVoid
	}
	return p, fresh, nil
}

// active is enabled, and refuses also those of whom the source knows nothing any more.
func (s *Server) active(ctx context.Context, subject string, allowed time.Time) error {
	p, fresh, err := s.status(ctx, subject, allowed)
	if err != nil {
		return err
	}
	now := s.Config.Now()
	if s.asks() && now.Sub(p.found).Abs() >= s.Config.Users.Recheck {
		_, err := s.Config.Users.Find(ctx, subject)
		switch {
		case errors.Is(err, tokenep.ErrNoUser):
			if p.gone { // it was ended when that was found out
				return err
			}
			left := s.leave(ctx, subject)
			if left == nil {
				s.Config.Memory.people.put(subject, knownPerson{gone: true})
			}
			return errors.Join(err, left)
		case err != nil:
			return notKnownNow(err)
		}
		p.found, p.gone, fresh = now, false, false
	}
	if !fresh {
		s.Config.Memory.people.put(subject, p)
	}
	return nil
}

// asks reports whether the source can say who is gone.
func (s *Server) asks() bool {
	u := s.Config.Users
	return u != nil && u.Find != nil && u.Recheck > 0
}

// notKnownNow is the refusal where nobody knows: no client throws its credentials away.
func notKnownNow(err error) error {
	e := tokenep.TemporarilyUnavailable.Describe("the user cannot be looked up at the moment; try again").Because(err)
	e.RetryAfter = 5 * time.Second
	return e
}

// leave ends what a user has who is gone: access tokens and sessions. Refresh tokens and API tokens
// are of no use while the user is gone.
func (s *Server) leave(ctx context.Context, subject string) error {
	s.Config.Memory.people.drop(subject)
	// Other nodes may give tokens until they hear of it.
	heard := s.Config.Now().Add(time.Second) // the longest RevocationInterval
	return errors.Join(s.revokeIssuedUntil(ctx, "sub", subject, heard), s.Sessions.EndAll(ctx, subject))
}

// recheck asks the source again about the people who got tokens from this process, until ctx is
// done: those who are gone lose them.
func (s *Server) recheck(ctx context.Context) {
	every := s.Config.Users.Recheck
	tick := time.NewTicker(max(every/4, time.Second))
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, subject := range s.Config.Memory.people.stale(s.Config.Now().Add(-every)) {
			// Those who are gone are revoked by it; of others, it matters to the next token.
			err := verify.Contain(func() error { return s.active(ctx, subject, time.Time{}) })
			gone := errors.Is(err, tokenep.ErrNoUser)
			switch {
			case err == nil, ctx.Err() != nil:
			case gone:
				s.Config.Logger.Info("a user is gone, and what the user had has ended", "sub", subject)
			case !failing:
				s.Config.Logger.Error("users cannot be looked up again", "error", err)
			}
			if failing = err != nil && !gone; failing {
				break // the others would say the same
			}
		}
	}
}

// DisableUser keeps a user from getting tokens and from signing in, and ends the access tokens and
// sessions that there are. Refresh tokens and API tokens are good again after EnableUser, unless
// they have expired until then, or came of the exchange of a token that has ended (RFC 8693).
func (s *Server) DisableUser(ctx context.Context, subject string) error {
	if err := s.users().Disable(ctx, subject); err != nil {
		return err
	}
	return s.leave(ctx, subject)
}

// EnableUser is the inverse of DisableUser.
func (s *Server) EnableUser(ctx context.Context, subject string) error {
	return s.users().Enable(ctx, subject)
}

// RevokeUser ends all that a user has: access tokens, refresh tokens, API tokens, what was allowed
// to clients, and sessions. It bars nobody. A call that failed can be repeated.
func (s *Server) RevokeUser(ctx context.Context, subject string) error {
	if err := s.users().Revoke(ctx, subject); err != nil {
		return err
	}
	if err := s.leave(ctx, subject); err != nil {
		return err
	}
	if err := s.Consents.RevokeAll(ctx, subject); err != nil {
		return err
	}
	if t := s.apiTokens(); t != nil {
		_, err := t.RevokeAll(ctx, subject, "the access of the user was revoked")
		return err
	}
	return nil
}

// ListUsers lists the users of whom something is kept: see state.Users.List.
func (s *Server) ListUsers(ctx context.Context, after string, limit int) (page []state.KnownUser, next string, err error) {
	return s.users().List(ctx, after, limit)
}
