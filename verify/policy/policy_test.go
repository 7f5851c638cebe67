package policy_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// github is what a job of GitHub Actions says of itself, in the types in which a token has it.
var github = map[string]any{
	"iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/shop:ref:refs/heads/main",
	"repository": "acme/shop", "repository_id": "123", "ref": "refs/heads/main", "run_attempt": json.Number("2"),
	"ratio": json.Number("0.5"), "large": json.Number("9007199254740993"), "huge": json.Number("90071992547409930000"),
	"exponent": json.Number("1e400"), "nothing": nil, "admin": true,
	"groups":        []any{"dev", "ops"},
	"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "cart"}},
}

// Another type is never equal, and nothing is rounded until it is. What fails does not hold.
func TestConditions(t *testing.T) {
	for text, want := range map[string]bool{
		`claims.repository_id == "123" && claims.ref == "refs/heads/main"`: true,
		`claims.repository_id == 123`:                                      false,
		`claims.run_attempt == 2 && claims.ratio < 1.0`:                    true,
		`claims.large == 9007199254740993`:                                 true,
		`claims.large == 9007199254740992`:                                 false,
		`claims.huge == 9.007199254740993e19`:                              false,
		`has(claims.huge) && claims.huge > 0`:                              false,
		`claims.exponent > 1.0`:                                            false,
		`claims.missing == "x"`:                                            false,
		`claims.missing != "x"`:                                            false,
		`has(claims.missing) || claims.admin`:                              true,
		`!has(claims.missing)`:                                             true,
		`claims.nothing == null`:                                           true,
		`claims.admin`:                                                     true,
		`claims.repository`:                                                false,
		`claims.repository.split("/")[0] == "acme"`:                        true,
		`sets.contains(claims.groups, ["ops"])`:                            true,
		`"ops" in claims.groups`:                                           true,
		`"op" in claims.groups`:                                            false,
		`claims.groups.exists(g, g.startsWith("d"))`:                       true,
		`claims["kubernetes.io"].serviceaccount.name == "cart"`:            true,
		`claims.repository.matches("^acme/[a-z]+$")`:                       true,
		`claims.repository.matches("^(?:acme|evil)/sho$")`:                 false,
		`claims.repository.matches("^[a-z]{4}/[a-z]{1,9}$")`:               true,
		`claims.groups.map(g, g + "!").exists(g, g == "dev!")`:             true,
		`claims.groups.all(a, claims.groups.all(b, a != "" || true))`:      true,
	} {
		c, err := policy.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := c.Holds(github); got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
}

// An expression is compiled when the configuration loads, and what is wrong has its place.
func TestErrorsHaveAPosition(t *testing.T) {
	for text, want := range map[string]string{
		`claims.ref = "x"`:                    "line 1, column 12",
		"claims.ref == 'x' &&\nclaim.x":       "line 2, column 1",
		`claims.ref + 1 == `:                  "line 1, column ",
		`"x"`:                                 "of the type string, and must be a bool",
		`claims.ref.matches("refs/heads")`:    `write '^(?:refs/heads)$'`,
		`claims.ref.matches("^a|b$")`:         `write '^(?:^a|b$)$'`,
		`claims.ref.matches("(?m)^a$")`:       "matches any text that contains it",
		`claims.ref.matches("^(a$")`:          "line 1, column 20: invalid matches argument",
		`claims.ref.matches("^a{999}b{99}$")`: "the pattern is too large: it has 1102 instructions, at most 1024",
		`claims.ref.matches(claims.sub)`:      "must be written here",
		`matches(claims.ref, "^" + "a")`:      "must be written here",
		`now > 1`:                             "undeclared reference to 'now'",
		strings.Repeat("!", 5000) + "true":    "size",
	} {
		if _, err := policy.Compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

// A claim cannot make an expression run for long.
func TestCostIsLimited(t *testing.T) {
	c, err := policy.Compile(`claims.l.all(a, claims.l.all(b, claims.l.all(c, a + b + c != "x")))`)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, 1000)
	for i := range list {
		list[i] = strings.Repeat("y", 10)
	}
	if holds, err := c.Holds(map[string]any{"l": list}); holds || err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("%v, %v", holds, err)
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]any{
		`"github:" + claims.repository`:       "github:acme/shop",
		`claims.sub`:                          "repo:acme/shop:ref:refs/heads/main",
		`claims.run_attempt`:                  int64(2),
		`claims.ratio`:                        0.5,
		`claims.admin`:                        true,
		`claims.groups`:                       []string{"dev", "ops"},
		`claims.groups.filter(g, g != "ops")`: []string{"dev"},
		`["a", claims.ref]`:                   []string{"a", "refs/heads/main"},
		`claims.missing`:                      nil,
		`claims["kubernetes.io"]`:             nil,
		`claims.nothing`:                      nil,
		`[1, 2]`:                              nil,
		`has(claims.email) ? claims.email : "nobody"`: "nobody",
	} {
		v, err := policy.CompileValue(text)
		if err != nil {
			if want != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		got, err := v.Of(github)
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%s: %#v, %v, want %#v", text, got, err, want)
		}
	}
}

// What is known of an expression before there is a token.
func TestBeforeItRuns(t *testing.T) {
	for text, want := range map[string]struct {
		claims   []string
		constant any
	}{
		`"ci"`:                                {nil, "ci"},
		`"ci:" + "job"`:                       {nil, "ci:job"},
		`"ci:" + claims.sub`:                  {[]string{"sub"}, nil},
		`has(claims.a) ? claims["b"] : "c"`:   {[]string{"a", "b"}, nil},
		`claims.a.b + claims["c.d"].e`:        {[]string{"a", "c.d"}, nil},
		`claims.l.map(c, c)[0]`:               {[]string{"l"}, nil},
		`claims.exists(c, c == "a") ? "a":""`: {nil, nil},
	} {
		v, err := policy.CompileText(text)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(v.Claims())
		if slices.Sort(got); !slices.Equal(got, want.claims) || v.Constant() != want.constant {
			t.Errorf("%s: %q, %v", text, got, v.Constant())
		}
	}
	for _, text := range []string{"1", "true", `["a"]`, "0.5"} {
		if _, err := policy.CompileText(text); err == nil {
			t.Errorf("%s passes for a text", text)
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	c, err := policy.Compile(`claims.repository_id == "123" && claims.ref == "refs/heads/main"`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if holds, err := c.Holds(github); !holds || err != nil {
			b.Fatal(holds, err)
		}
	}
}

// What goes through the members of an object has the same answer each time.
func TestObjectsHaveAnOrder(t *testing.T) {
	v, err := policy.CompileValue(`claims.map(k, k)`)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got, err := v.Of(map[string]any{"c": nil, "a": nil, "d": nil, "b": nil}); err != nil || !reflect.DeepEqual(got, []string{"a", "b", "c", "d"}) {
			t.Fatalf("%v (%v)", got, err)
		}
	}
}

// However long a claim is, an expression makes no text from it that is far longer.
func TestTextsAreBounded(t *testing.T) {
	claims := map[string]any{"s": strings.Repeat("x", 8<<10), "l": []any{"a", "b"}, "many": slices.Repeat([]any{"a"}, 10)}
	for _, tc := range []struct{ expression, want string }{
		{`claims.s.replace("x", claims.s)`, "longer than 65536 bytes"},
		{`claims.s.replace("", claims.s, 100)`, "longer than 65536 bytes"},
		{`claims.many.map(x, claims.s).join(",")`, "longer than 65536 bytes"},
		{`claims.many.join(claims.s)`, "longer than 65536 bytes"},
		{`[claims.many.map(x, claims.s.split(""))].size() > 0`, "cost limit"},
	} {
		value, err := policy.CompileValue(tc.expression)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := value.Of(claims); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %.40v, %v; want %q", tc.expression, made, err, tc.want)
		}
	}
	for expression, want := range map[string]string{
		`"refs/heads/main".replace("refs/heads/", "")`: "main", `"aaa".replace("a", "b", 2)`: "bba", `"aa".replace("a", "b", -1)`: "bb",
		`"ä".replace("", "-")`: "-ä-", `"aa".replace("a", "b", 0)`: "aa", `claims.l.join()`: "ab", `claims.l.join(", ")`: "a, b", `[].join(",")`: "",
	} {
		value, err := policy.CompileValue(expression)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := value.Of(claims); err != nil || made != want {
			t.Errorf("%s: %v, %v; want %q", expression, made, err, want)
		}
	}
	if _, err := policy.Compile(`"%s%s".format([claims.s, claims.s]) == ""`); err == nil {
		t.Error("format exists, which has no bound")
	}
}
