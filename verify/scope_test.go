package verify_test

import (
	"encoding/json"
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

// A scope that parses is the same after it is written and parsed again.
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

// RFC 7591 §2, RFC 7662 §2.2: in JSON a scope is one string.
func TestScopeJSON(t *testing.T) {
	type record struct {
		Always verify.Scope `json:"always"`
		Empty  verify.Scope `json:"empty,omitempty"`
		Zero   verify.Scope `json:"zero,omitzero"`
	}
	for _, test := range []struct {
		name  string
		scope verify.Scope
		want  string
	}{
		{"nil", nil, `{"always":""}`},
		{"empty", verify.Scope{}, `{"always":""}`},
		{"one", verify.Scope{"a"}, `{"always":"a","empty":"a","zero":"a"}`},
		{"two", verify.Scope{"b:x", "a"}, `{"always":"b:x a","empty":"b:x a","zero":"b:x a"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := json.Marshal(record{test.scope, test.scope, test.scope})
			if err != nil || string(text) != test.want {
				t.Errorf("got %s (%v), want %s", text, err, test.want)
			}
			var read record
			if err := json.Unmarshal(text, &read); err != nil || !slices.Equal(read.Always, test.scope) ||
				!slices.Equal(read.Empty, test.scope) || !slices.Equal(read.Zero, test.scope) {
				t.Errorf("%s reads as %+v (%v)", text, read, err)
			}
		})
	}
	for _, text := range []string{`["a"]`, `"a  b"`, `" a"`, `"\""`, `1`} {
		scope := verify.Scope{"before"}
		if err := json.Unmarshal([]byte(text), &scope); err == nil {
			t.Errorf("%s reads as %q", text, scope)
		}
	}
	for _, scope := range []verify.Scope{{"a b"}, {""}, {"a", `"`}, make(verify.Scope, 257)} {
		if text, err := json.Marshal(scope); err == nil {
			t.Errorf("%q is written as %s", scope, text)
		}
	}
}
