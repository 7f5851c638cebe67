package tokeneptest

import (
	"context"
	"sync"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// SignInPath is that of the page on which people sign in, of a server with People.
const (
	SignInPath  = "/oauth/sign-in"
	SignOutPath = "/oauth/sign-out"
	AccountPath = "/oauth/account"
)

// People is a source of users: a name and its password, which is the name with -password.
type People struct {
	mu    sync.Mutex
	users map[string]tokenep.User
	away  error
}

// NewPeople returns one with these people.
func NewPeople(names ...string) *People {
	p := &People{users: make(map[string]tokenep.User)}
	for _, name := range names {
		p.users[name] = tokenep.User{Subject: name, Claims: map[string]any{"email": name + "@people.example"}}
	}
	return p
}

// SignIn is a Change: these people sign in on the pages of the server. It is for after WithPeople.
func (p *People) SignIn(c *server.Config) {
	c.User = nil
	c.Users = &tokenep.UserSource{Authenticate: p.authenticate, Find: p.find, Recheck: tokenep.DefaultRecheck}
}

// Remove removes a person.
func (p *People) Remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, name)
}

// Away makes nobody known, with this error; nil: as before.
func (p *People) Away(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = err
}

func (p *People) authenticate(ctx context.Context, name, password string) (tokenep.User, error) {
	if password != name+"-password" {
		return tokenep.User{}, tokenep.ErrNoUser
	}
	return p.find(ctx, name)
}

func (p *People) find(_ context.Context, name string) (tokenep.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, known := p.users[name]
	switch {
	case p.away != nil:
		return tokenep.User{}, p.away
	case !known:
		return tokenep.User{}, tokenep.ErrNoUser
	}
	return user, nil
}

// SignIn has a person sign in, on the page that is shown.
func (b *Browser) SignIn(t testing.TB, name string) Answer {
	t.Helper()
	return b.Submit(t, "", "username", name, "password", name+"-password")
}
