package inlineusers

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
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
		hash, err := oauthserver.ResolvePasswordHash(c.Logger, user.Name, user.Hash)
		if err != nil {
			return err
		}
		people[user.Name] = hashed.Person{Hash: hash, Claims: u.Claims.Read(user.lookUp)}
	}
	list, err := hashed.New(people, hashed.Options{Compare: c.CompareHash, Decoy: c.Decoy})
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
		if err := u.checkUser(user); err != nil {
			return err
		}
		if slices.ContainsFunc(u.Users[:i], func(other User) bool { return other.Name == user.Name }) {
			return fmt.Errorf("user %q is given twice", user.Name)
		}
	}
	return u.Claims.Validate()
}

// checkUser refuses an attribute that nobody is told: it is misspelt.
func (u *Users) checkUser(user User) error {
	if err := tokenep.CheckLoginName(user.Name); err != nil {
		return fmt.Errorf("user %q: %w", user.Name, err)
	}
	if err := tokenep.CheckUser(user.Name); err != nil {
		return fmt.Errorf("user %q: %w", user.Name, err)
	}
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

// UnmarshalCaddyfile reads the people. Syntax:
//
//	users inline {
//	    user <name> <hash> {
//	        <attribute> <values…>
//	    }
//	    claim <name> <attribute> [<scope token>]
//	}
//
// user and claim may be repeated.
func (u *Users) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if d.NextArg() {
		return d.Err("inline takes no argument; the people are in its block")
	}
	block := *d
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "user":
			return u.parseUser(d)
		case "claim":
			return oauthserver.ParseClaim(d, &u.Claims, "an attribute of the users")
		default:
			return adapt.Unknown(d)
		}
	}, "user", "claim")
	if err != nil {
		return err
	}
	return adapt.Located(&block, u.check())
}

// parseUser never puts a hash, which might be a password, into an error.
func (u *Users) parseUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("user takes a name, and a hash from caddy hash-password")
	}
	user := User{Name: args[0]}
	var err error
	if user.Hash, err = oauthserver.CheckPasswordHash(args[1]); err != nil {
		return d.Errf("user %q: %w", user.Name, err)
	}
	err = adapt.Block(d, func(attribute string) error {
		if user.Attributes == nil {
			user.Attributes = make(map[string][]string)
		}
		values := d.RemainingArgs()
		if len(values) == 0 {
			return d.Errf("user %q: the attribute %s has no value", user.Name, attribute)
		}
		user.Attributes[attribute] = values
		return nil
	})
	u.Users = append(u.Users, user)
	return err
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Users)(nil)
	_ oauthserver.Extension = (*Users)(nil)
)
