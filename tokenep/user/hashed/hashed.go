package hashed

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Person is one person of a List.
type Person struct {
	Hash   string         // of the password
	Claims map[string]any // that clients may be told: see tokenep.User
}

// Options say how passwords are compared with hashes.
type Options struct {
	// Compare reports whether a password has this hash. Required.
	Compare func(hash, password []byte) (bool, error)

	// Decoy returns a hash of no known password with which a comparison takes as long as with the
	// given one. nil: there is none. The function may be nil.
	Decoy func(hash []byte) []byte
}

// List is people by their names, which are their subjects. Upper and lower case are told apart. It
// never changes.
type List struct {
	options Options
	people  map[string]Person
	decoys  []string // one of each cost
}

// New returns a list of these people.
func New(people map[string]Person, o Options) (*List, error) {
	l := &List{options: o, people: people}
	for name, p := range people {
		if err := tokenep.CheckLoginName(name); err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		if err := tokenep.CheckUser(name); err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		if decoy := l.decoy(p.Hash); decoy != "" && !slices.Contains(l.decoys, decoy) {
			l.decoys = append(l.decoys, decoy)
		}
	}
	return l, nil
}

// Len returns how many people there are.
func (l *List) Len() int { return len(l.people) }

func (l *List) decoy(hash string) string {
	if l.options.Decoy == nil {
		return ""
	}
	return string(l.options.Decoy([]byte(hash)))
}

// Authenticate is that of a tokenep.UserSource. A failure takes one comparison of each cost that
// there is, for one name as for any other, and for none.
func (l *List) Authenticate(_ context.Context, name, password string) (tokenep.User, error) {
	p, known := l.people[name]
	paid := ""
	if known {
		right, err := l.options.Compare([]byte(p.Hash), []byte(password))
		switch {
		case err != nil:
			return tokenep.User{}, fmt.Errorf("the hash of user %q: %w", name, err)
		case right:
			return tokenep.User{Subject: name, Claims: p.Claims}, nil
		}
		if paid = l.decoy(p.Hash); paid == "" {
			return tokenep.User{}, tokenep.ErrNoUser
		}
	}
	for _, decoy := range l.decoys {
		if decoy == paid {
			continue
		}
		if _, err := l.options.Compare([]byte(decoy), []byte(password)); err != nil {
			return tokenep.User{}, err
		}
	}
	return tokenep.User{}, tokenep.ErrNoUser
}

// Find is that of a tokenep.UserSource.
func (l *List) Find(_ context.Context, subject string) (tokenep.User, error) {
	p, known := l.people[subject]
	if !known {
		return tokenep.User{}, tokenep.ErrNoUser
	}
	return tokenep.User{Subject: subject, Claims: p.Claims}, nil
}

// Source returns the list as a source of users. Its hashes are computed in turns with all others of
// the process.
func (l *List) Source() *tokenep.UserSource {
	return &tokenep.UserSource{
		Authenticate: l.Authenticate, Find: l.Find, Recheck: tokenep.RecheckAlways, Turns: tokenep.ProcessTurns,
	}
}
