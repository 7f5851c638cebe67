package state

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const kindSessions = "sessions" // id: the SHA-256 of the subject

// Limits of sessions.
const (
	// DefaultSessionIdle is how long a session lasts from use to use, unless another is set.
	DefaultSessionIdle = 12 * time.Hour

	// DefaultSessionAbsolute is how long it lasts from the sign-in.
	DefaultSessionAbsolute = 7 * 24 * time.Hour

	// maxSessions is how many one person has: then the one that was used least lately ends.
	maxSessions = 50
)

// Session is one browser in which a person has signed in. All times are whole milliseconds, in UTC.
type Session struct {
	ID      string    `json:"id"` // names it; it is no secret
	SignIn  SignIn    `json:"sign_in,omitzero"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"` // to a tenth of the idle time
	Expires time.Time `json:"expires"`
	Agent   string    `json:"agent,omitempty"` // for people
	Address string    `json:"address,omitempty"`
}

// storedSession has the hash of the secret that its browser keeps.
type storedSession struct {
	Session
	Hash []byte `json:"hash"`
}

// storedSessions is the record of a person: all sessions, so that each look is one Load, and to end
// them all is one write, which holds on every node at once.
type storedSessions struct {
	Subject  string          `json:"sub"`
	Sessions []storedSession `json:"sessions"`
}

// Sessions are the browsers in which people have signed in. Store and Now are required.
type Sessions struct {
	Store    store.Store
	Idle     time.Duration // from use to use; 0: DefaultSessionIdle
	Absolute time.Duration // from the sign-in; 0: DefaultSessionAbsolute
	Now      func() time.Time
}

// ends is when a session is over, however often it is used.
func (s Sessions) ends(x *Session) time.Time {
	return x.Created.Add(orDefault(s.Absolute, DefaultSessionAbsolute))
}

// live reports whether a session is good now.
func (s Sessions) live(x *Session, now time.Time) bool {
	return now.Before(x.Expires) && now.Before(s.ends(x))
}

// Start begins a session of a person who has just signed in; it uses SignIn, Agent and Address of
// x. The session with the id that it replaces ends: the id of a browser changes at each sign-in.
// The secret is returned here and nowhere else.
func (s Sessions) Start(ctx context.Context, subject string, x Session, replaces string) (secret string, made Session, err error) {
	now := moment(s.Now)
	secret = GenerateSecret()
	made = Session{ID: randomBase62(idLength), SignIn: x.SignIn, Created: now, Used: now, Agent: x.Agent, Address: x.Address}
	made.Expires = s.idleEnd(&made, now)
	err = s.change(ctx, subject, func(p *storedSessions) bool {
		p.Sessions = slices.DeleteFunc(p.Sessions, func(old storedSession) bool { return old.ID == replaces || !s.live(&old.Session, now) })
		slices.SortStableFunc(p.Sessions, func(a, b storedSession) int { return a.Used.Compare(b.Used) })
		p.Sessions = append(p.Sessions[max(0, len(p.Sessions)+1-maxSessions):], storedSession{made, record.Hash(secret)})
		return true
	})
	return secret, made, err
}

// idleEnd is when a session ends that is used now and not again.
func (s Sessions) idleEnd(x *Session, now time.Time) time.Time {
	end := now.Add(orDefault(s.Idle, DefaultSessionIdle))
	if last := s.ends(x); last.Before(end) {
		return last
	}
	return end
}

// Check returns the session of this id and secret. Its end moves with it, at most once in a tenth
// of the idle time. The error Is ErrRefused if it is not good, or not any more; a store that fails
// to note the use is no error.
func (s Sessions) Check(ctx context.Context, subject, id, secret string) (Session, error) {
	stored, err := record.Load[storedSessions](ctx, s.Store, kindSessions, record.HashID(subject))
	if err != nil {
		return Session{}, unknown(kindSessions, err)
	}
	now := moment(s.Now)
	i := slices.IndexFunc(stored.Value.Sessions, func(x storedSession) bool { return x.ID == id })
	if i < 0 {
		return Session{}, fmt.Errorf("%w session", ErrUnknown)
	}
	x := stored.Value.Sessions[i]
	switch {
	case subtle.ConstantTimeCompare(x.Hash, record.Hash(secret)) != 1:
		return Session{}, fmt.Errorf("%w session", ErrUnknown)
	case !s.live(&x.Session, now):
		return Session{}, fmt.Errorf("%w session", ErrExpired)
	}
	if now.Sub(x.Used) >= orDefault(s.Idle, DefaultSessionIdle)/10 {
		x.Used, x.Expires = now, s.idleEnd(&x.Session, now)
		sessions := slices.Clone(stored.Value.Sessions)
		sessions[i] = x
		next := storedSessions{stored.Value.Subject, sessions}
		// A conflict is another use, or its end.
		_ = record.Swap(ctx, s.Store, stored.Record, next, s.last(&next))
	}
	return x.Session, nil
}

// List returns the sessions of a person that are good, the last used first.
func (s Sessions) List(ctx context.Context, subject string) ([]Session, error) {
	stored, err := record.Load[storedSessions](ctx, s.Store, kindSessions, record.HashID(subject))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := moment(s.Now)
	var all []Session
	for _, x := range stored.Value.Sessions {
		if s.live(&x.Session, now) {
			all = append(all, x.Session)
		}
	}
	slices.SortStableFunc(all, func(a, b Session) int { return b.Used.Compare(a.Used) })
	return all, nil
}

// End ends a session. One that has ended already is no error.
func (s Sessions) End(ctx context.Context, subject, id string) error {
	return s.end(ctx, subject, func(x *storedSession) bool { return x.ID == id })
}

// EndAll ends all sessions of a person, on every node at once.
func (s Sessions) EndAll(ctx context.Context, subject string) error {
	return s.end(ctx, subject, func(*storedSession) bool { return true })
}

func (s Sessions) end(ctx context.Context, subject string, ends func(*storedSession) bool) error {
	return s.change(store.Urgent(ctx), subject, func(p *storedSessions) bool {
		n := len(p.Sessions)
		p.Sessions = slices.DeleteFunc(p.Sessions, func(x storedSession) bool { return ends(&x) })
		return len(p.Sessions) < n
	})
}

func (s Sessions) change(ctx context.Context, subject string, edit func(*storedSessions) (write bool)) error {
	_, err := record.Upsert(ctx, s.Store, kindSessions, record.HashID(subject), func(p *storedSessions, expires *time.Time) (bool, error) {
		p.Subject = subject
		write := edit(p)
		*expires = s.last(p)
		return write, nil
	})
	return err
}

// last is when the last session of a record is over.
func (s Sessions) last(p *storedSessions) time.Time {
	last := moment(s.Now).Add(time.Minute) // an empty record is garbage soon
	for i := range p.Sessions {
		if end := p.Sessions[i].Expires; end.After(last) {
			last = end
		}
	}
	return last.Add(clockJump)
}
