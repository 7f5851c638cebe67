package policy_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// FuzzPolicy: an expression that compiles gives one answer for the same claims, whatever it was
// asked before, and changes none of them. A value is one that a claim can have.
func FuzzPolicy(f *testing.F) {
	for _, text := range []string{
		`claims.a == "x"`, `has(claims.a) || claims.b > 1`, `claims.l.exists(x, x == "a")`, `claims.a.matches("^(?:x|y)+$")`, `claims.a.matches("^x{2}$")`, `"p:" + claims.a`,
		`claims["k"].n.split("/")[0]`, `claims.l.map(x, claims.l.map(y, x + y))`, `sets.contains(claims.l, ["a"])`, `claims.l + claims.l`, `1/claims.b`,
		`claims.all(k, claims[k] != null)`, `timestamp("2026-01-01T00:00:00Z").getHours() == 0`, `claims.a.format([1])`, `[[1]][0][0]`, `claims.map(k, k)`, `claims.map(k, k)[0] == "a"`, `claims.k.exists_one(k, claims[k] > 0)`, `claims`, `"`, `(((`,
	} {
		f.Add(text, `{"a":"x","b":2,"l":["a","b"],"k":{"n":"a/b"}}`, `{"a":1,"b":0.5,"l":"a"}`)
	}
	f.Add(`claims.a == "x"`, `{}`, `null`)
	f.Fuzz(func(t *testing.T, text, one, other string) {
		first, second := payload(one), payload(other)
		if first == nil || second == nil {
			return
		}
		answers := make(map[string]func(map[string]any) string)
		if c, err := policy.Compile(text); err == nil {
			answers["condition"] = func(claims map[string]any) string { return fmt.Sprint(c.Holds(claims)) }
		}
		if v, err := policy.CompileValue(text); err == nil {
			answers["value"] = func(claims map[string]any) string {
				value, err := v.Of(claims)
				switch value.(type) {
				case nil, string, bool, int64, float64, []string:
				default:
					t.Fatalf("%q makes a %T", text, value)
				}
				return fmt.Sprint(value, err)
			}
		}
		for kind, answer := range answers {
			before := answer(first)
			answer(second)
			if after := answer(first); after != before {
				t.Fatalf("the %s %q is %s, and later %s", kind, text, before, after)
			}
		}
		if !reflect.DeepEqual(first, payload(one)) {
			t.Fatalf("%q has changed the claims", text)
		}
	})
}

// payload reads claims as those of a token are read; nil: they are none.
func payload(text string) (claims map[string]any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&claims) != nil {
		return nil
	}
	return claims
}
