package inlineusers

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/user/hashed"
)

func init() { caddy.RegisterModule(new(Users)) }

// Users are people in the configuration, for a few who seldom change. Whoever is taken out of it is
// gone with the reload.
type Users struct {
	// The people. Required.
	Users []User `json:"users,omitempty"`

	// What clients are told of them: each claim, and which of their attributes it is. Default:
	// nothing.
	Claims tokenep.ClaimSources `json:"claims,omitempty"`
}

// User is one person.
type User struct {
	// The name, which is also the sub of tokens: up to 255 bytes of UTF-8. Upper and lower case are
	// told apart. It must not begin with "client:". Required.
	Name string `json:"name"`

	// The hash of the password, as caddy hash-password makes it: argon2id or bcrypt. It may also be
	// one placeholder for such a hash, {env.NAME} or {file./path}. Required.
	Hash string `json:"hash"`

	// What else is known, by names that claims refer to; several values are a list. Default:
	// nothing.
	Attributes map[string][]string `json:"attributes,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Users) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.users.inline",
		New: func() caddy.Module { return new(Users) },
	}
}

// Extend adds the people to a server.
func (u *Users) Extend(c *server.Config) error {
	if err := u.check(); err != nil {
		return err
	}
	people := make(map[string]hashed.Person, len(u.Users))
	for _, user := range u.Users {
		hash, err := oauthserver.ResolvePasswordHash(user.Name, user.Hash)
		if err != nil {
			return err
		}
		people[user.Name] = hashed.Person{Hash: hash, Claims: u.Claims.Read(user.lookUp)}
	}
	list, err := hashed.New(people, hashed.Options{Compare: c.CompareHash, Decoy: oauthserver.UserDecoy})
	if err != nil {
		return err
	}
	return oauthserver.AddUsers(c, list.Source(), u.Claims)
}

// lookUp returns an attribute: a text, or a list of several.
func (u User) lookUp(attribute string) any {
	switch values := u.Attributes[attribute]; len(values) {
	case 0:
		return nil
	case 1:
		return values[0]
	default:
		return values
	}
}

var errNobody = errors.New("inline: there is no user; write user <name> <hash>, with a hash from caddy hash-password")

// check returns what is wrong, whatever placeholders stand for.
func (u *Users) check() error {
	if len(u.Users) == 0 {
		return errNobody
	}
	for i, user := range u.Users {
		if err := u.checkName(user.Name, u.Users[:i]); err != nil {
			return err
		}
		if err := u.checkAttributes(user); err != nil {
			return err
		}
	}
	return u.Claims.Validate()
}

// checkName returns what is wrong with a name, beside those of others.
func (u *Users) checkName(name string, others []User) error {
	err := cmp.Or(tokenep.CheckLoginName(name), tokenep.CheckUser(name))
	switch {
	case err != nil:
		return fmt.Errorf("user %q: %w", name, err)
	case slices.ContainsFunc(others, func(other User) bool { return other.Name == name }):
		return fmt.Errorf("user %q is given twice", name)
	}
	return nil
}

// checkAttributes refuses an attribute that nobody is told: it is misspelt.
func (u *Users) checkAttributes(user User) error {
	for _, name := range slices.Sorted(maps.Keys(user.Attributes)) {
		told := slices.ContainsFunc(u.Claims, func(c tokenep.ClaimSource) bool { return c.From == name })
		switch values := user.Attributes[name]; {
		case !told:
			return fmt.Errorf("user %q: no claim tells the attribute %s; write claim <name> %s", user.Name, name, name)
		case tokenep.ClaimValue(values) == nil:
			return fmt.Errorf("user %q: the attribute %s must have texts, each of 1 to 1024 bytes of UTF-8, and 8192 in all", user.Name, name)
		}
	}
	return nil
}

// Interface guard
var _ oauthserver.Extension = (*Users)(nil)
