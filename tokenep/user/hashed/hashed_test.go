package hashed_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/user/hashed"
)

// costs counts comparisons by the cost of the hash, which is <cost>$<password>.
type costs map[string]int

func (c costs) options() hashed.Options {
	return hashed.Options{
		Compare: func(hash, password []byte) (bool, error) {
			cost, right, _ := strings.Cut(string(hash), "$")
			if cost == "broken" {
				return false, errors.New("broken")
			}
			c[cost]++
			return right == string(password), nil
		},
		Decoy: func(hash []byte) []byte {
			cost, _, _ := strings.Cut(string(hash), "$")
			if cost == "slow" || cost == "broken" {
				return nil
			}
			return []byte(cost + "$no password is this one")
		},
	}
}

// A failure costs the same for everybody, and for nobody, whatever the costs of the hashes are.
func TestFailuresCostTheSame(t *testing.T) {
	paid := make(costs)
	list, err := hashed.New(map[string]hashed.Person{
		"ada": {Hash: "a$wonderland"}, "bert": {Hash: "b$brecht"}, "carl": {Hash: "a$gauss"}, "slow": {Hash: "slow$x"}, "broken": {Hash: "broken$x"},
	}, paid.options())
	if err != nil {
		t.Fatal(err)
	}
	each := costs{"a": 1, "b": 1}
	for _, tc := range []struct {
		name, password string
		want           error
		paid           costs
	}{
		{"ada", "wonderland", nil, costs{"a": 1}},
		{"ada", "brecht", tokenep.ErrNoUser, each},
		{"bert", "wonderland", tokenep.ErrNoUser, each},
		{"carl", "", tokenep.ErrNoUser, each},
		{"nobody", "wonderland", tokenep.ErrNoUser, each},
		{"", "", tokenep.ErrNoUser, each},
		{"Ada", "wonderland", tokenep.ErrNoUser, each},
		{"nobody", "no password is this one", tokenep.ErrNoUser, each},
		{"slow", "y", tokenep.ErrNoUser, costs{"slow": 1}}, // takes longer anyway
	} {
		clear(paid)
		user, err := list.Authenticate(t.Context(), tc.name, tc.password)
		if !errors.Is(err, tc.want) || (err == nil) != (user.Subject == tc.name && tc.name != "") || !maps.Equal(paid, tc.paid) {
			t.Errorf("%q %q: %q, %v for %v; want %v for %v", tc.name, tc.password, user.Subject, err, paid, tc.want, tc.paid)
		}
	}
	if _, err := list.Authenticate(t.Context(), "broken", "x"); err == nil || errors.Is(err, tokenep.ErrNoUser) {
		t.Errorf("a broken hash: %v", err)
	}
}

// Who is in the list is there, and nobody else.
func TestFind(t *testing.T) {
	list, err := hashed.New(map[string]hashed.Person{"ada": {Hash: "a$x", Claims: map[string]any{"email": "ada@example.com"}}}, make(costs).options())
	if err != nil {
		t.Fatal(err)
	}
	if user, err := list.Source().Find(t.Context(), "ada"); err != nil || user.Subject != "ada" || user.Claims["email"] != "ada@example.com" {
		t.Errorf("%+v, %v", user, err)
	}
	if _, err := list.Find(t.Context(), "bert"); !errors.Is(err, tokenep.ErrNoUser) {
		t.Error(err)
	}
}

// A name that nobody can type, or that is for clients, is refused before anybody signs in.
func TestNames(t *testing.T) {
	for _, name := range []string{"", " ada", "a\x00", "a\u0308", "client:ada", strings.Repeat("a", 256), "\xff"} {
		if _, err := hashed.New(map[string]hashed.Person{name: {Hash: "a$x"}}, make(costs).options()); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
	for _, name := range []string{"Ada Lovelace", "ada@example.com", "Bärbel", "a"} {
		if _, err := hashed.New(map[string]hashed.Person{name: {Hash: "a$x"}}, make(costs).options()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
