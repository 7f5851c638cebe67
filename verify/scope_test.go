package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), one space between.
func TestParseScope(t *testing.T) {
	tests := []struct {
		in   string
		want string // "refused" for an error
	}{
		{"", "[]"},
		{"a", "[a]"},
		{"orders:read orders:write", "[orders:read orders:write]"},
		{"b a b a", "[b a]"},
		{"a A", "[a A]"},
		{"!#[]~", "[!#[]~]"},
		{" a", "refused"},
		{"a ", "refused"},
		{"a  b", "refused"},
		{" ", "refused"},
		{"a\tb", "refused"},
		{"a\nb", "refused"},
		{`a"b`, "refused"},
		{`a\b`, "refused"},
		{"é", "refused"},
		{"a\x7f", "refused"},
		{"a\x00", "refused"},
		{strings.Repeat("a ", 255) + "a", "[a]"},
		{strings.Repeat("a ", 256) + "a", "refused"},
	}
	for _, test := range tests {
		t.Run(test.in, func(t *testing.T) {
			scope, err := verify.ParseScope(test.in)
			got := fmt.Sprint([]string(scope))
			if err != nil {
				got = "refused"
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestScopeSets(t *testing.T) {
	have := verify.Scope{"a", "b", "c"}
	tests := []struct {
		other    verify.Scope
		includes bool
		both     string
	}{
		{nil, true, ""},
		{verify.Scope{"c", "a"}, true, "a c"},
		{verify.Scope{"a", "x"}, false, "a"},
		{verify.Scope{"A"}, false, ""},
		{verify.Scope{""}, false, ""},
	}
	for _, test := range tests {
		if got := have.Includes(test.other); got != test.includes {
			t.Errorf("includes %v: %v", test.other, got)
		}
		if got := have.Intersect(test.other).String(); got != test.both {
			t.Errorf("intersected with %v: %q, want %q", test.other, got, test.both)
		}
	}
}

// What parses says the same set when it is written and parsed again.
func FuzzScope(f *testing.F) {
	for _, seed := range []string{"", "a", "a b", "b a b", " a", "a  b", `a"b`, "orders:read"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scope, err := verify.ParseScope(s)
		if err != nil {
			return
		}
		again, err := verify.ParseScope(scope.String())
		if err != nil || !slices.Equal(scope, again) {
			t.Fatalf("%q: %v, again %v (%v)", s, scope, again, err)
		}
		for token := range strings.SplitSeq(s, " ") {
			if s != "" && !scope.Has(token) {
				t.Fatalf("%q: lost %q", s, token)
			}
		}
	})
}
