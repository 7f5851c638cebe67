package verify

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const unfit = "\x00" // no header is set, and the token is refused

// claimOf reads a claim as a verifier does.
func claimOf(t *testing.T, text string) any {
	t.Helper()
	object, err := parseObject(`{"c":` + text + `}`)
	if err != nil {
		t.Fatal(err)
	}
	return object["c"]
}

// sent returns the lines of the header for a claim, joined with commas as on their way (RFC 9110
// §5.3).
func sent(t *testing.T, c HeaderClaim, claim any) string {
	t.Helper()
	h := make(http.Header)
	c.Header, c.Claim = "X-Claim", ClaimPath{"c"}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	err := setClaims(h, []HeaderClaim{c}, &Token{Claims: map[string]any{"c": claim}})
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Status == 401 && len(h) == 0 {
		return unfit
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(h["X-Claim"], ",")
}

// RFC 9110 §5.5: the header of a claim, in each form.
func TestHeaderForms(t *testing.T) {
	list, repeat := HeaderClaim{}, HeaderClaim{Form: RepeatForm}
	semicolon := HeaderClaim{Separator: ";"}
	percent, base, text := HeaderClaim{Form: PercentForm}, HeaderClaim{Form: Base64Form}, HeaderClaim{Form: JSONForm}
	omitted := HeaderClaim{OmitUnfit: true}
	long := strings.Repeat("a", maxHeaderValue)
	for _, c := range []struct {
		name        string
		form        HeaderClaim
		claim, want string
	}{
		{"string", list, `"alice"`, "alice"},
		{"inner space", list, `"a b"`, "a b"},
		{"true", list, `true`, "true"},
		{"false", list, `false`, "false"},
		{"number as spelled", list, `1e3`, "1e3"},
		{"large number", list, `12345678901234567890`, "12345678901234567890"},
		{"null", list, `null`, ""},
		{"empty string", list, `""`, ""},
		{"empty array", list, `[]`, ""},
		{"array", list, `["a","b c",1,true]`, "a,b c,1,true"},
		{"array of one", list, `["a"]`, "a"},
		{"comma in a string", list, `"a,b"`, unfit},
		{"comma in an element", list, `["a,b"]`, unfit},
		{"empty element", list, `["a",""]`, unfit},
		{"null element", list, `[null]`, unfit},
		{"array in an array", list, `[["a"]]`, unfit},
		{"object in an array", list, `[{}]`, unfit},
		{"object", list, `{"a":1}`, unfit},
		{"CR LF", list, `"a\r\nX-Admin: 1"`, unfit},
		{"CR", list, `"a\rb"`, unfit},
		{"LF", list, `"a\nb"`, unfit},
		{"NUL", list, `"a\u0000b"`, unfit},
		{"tab", list, `"a\tb"`, unfit},
		{"DEL", list, `"a\u007fb"`, unfit},
		{"not ASCII", list, `"Zoë"`, unfit},
		{"NEL", list, `"a\u0085b"`, unfit},
		{"leading space", list, `" a"`, unfit},
		{"trailing space", list, `"a "`, unfit},
		{"leading space in an element", list, `["a"," b"]`, unfit},
		{"LF in an element", list, `["a\nb"]`, unfit},
		{"4 KiB", list, `"` + long + `"`, long},
		{"4 KiB and one", list, `"a` + long + `"`, unfit},
		{"4 KiB in elements", list, `["` + long[2:] + `","a"]`, long[2:] + ",a"},
		{"4 KiB and one in elements", list, `["` + long[2:] + `","aa"]`, unfit},

		{"separator", semicolon, `["a,b","c"]`, "a,b;c"},
		{"separator in an element", semicolon, `["a;b"]`, unfit},
		{"separator in a string", semicolon, `"a;b"`, unfit},
		{"separator, CR LF", semicolon, `"a\r\nb"`, unfit},

		{"RFC 9110 §5.3 repeat", repeat, `["a","b c",1]`, "a,b c,1"},
		{"repeat a string", repeat, `"a"`, "a"},
		{"RFC 9110 §5.3 repeat a comma", repeat, `["a,b"]`, unfit},
		{"repeat an empty element", repeat, `["a",""]`, unfit},
		{"repeat LF", repeat, `["a","b\nX-Admin: 1"]`, unfit},
		{"repeat nothing", repeat, `[]`, ""},

		{"RFC 8187 §3.2.2 percent", percent, `"€ rates"`, "%E2%82%AC%20rates"},
		{"RFC 8187 §3.2.1 attr-char", percent, `"aZ09!#$&+-.^_` + "`" + `|~"`, "aZ09!#$&+-.^_`|~"},
		{"percent, the rest", percent, `"%*'(),/:;<=>?@[]{}\""`, "%25%2A%27%28%29%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5D%7B%7D%22"},
		{"percent CR LF NUL", percent, `"a\r\n\u0000"`, "a%0D%0A%00"},
		{"percent an array", percent, `["a,b","c"]`, "a%2Cb,c"},
		{"percent an object", percent, `{}`, unfit},
		{"percent too long", percent, `"` + strings.Repeat("é", 700) + `"`, unfit},

		{"RFC 4648 §10 base64", base, `"foob"`, "Zm9vYg=="},
		{"base64 CR LF", base, `"\r\n"`, "DQo="},
		{"base64 an array", base, `["f","",7]`, "Zg==,,Nw=="},
		{"base64 an object", base, `{}`, unfit},
		{"base64 too long", base, `"` + long + `"`, unfit},

		{"RFC 8259 string", text, `"a\r\n<é𝄞"`, `"a\r\n<\u00e9\ud834\udd1e"`},
		{"RFC 8259 DEL", text, `"\u007f"`, `"\u007f"`},
		{"RFC 8259 object", text, `{"b":[1.0,null],"a":{}}`, `{"a":{},"b":[1.0,null]}`},
		{"RFC 8259 null", text, `null`, "null"},
		{"RFC 8259 empty string", text, `""`, `""`},
		{"RFC 8259 too long", text, `"` + long + `"`, unfit},

		{"left out", omitted, `"Zoë"`, ""},
		{"left out: object", omitted, `{}`, ""},
		{"left out: not CR LF", omitted, `"a\r\nb"`, unfit},
		{"left out: not NUL", omitted, `["é","a\u0000b"]`, unfit},
		{"not left out", omitted, `"a"`, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sent(t, c.form, claimOf(t, c.claim)); got != c.want {
				t.Errorf("got %.200q, want %.200q", got, c.want)
			}
		})
	}
	for _, odd := range []any{1, 1.5, []string{"a"}, map[string]string{}, struct{}{}, []any{1}} {
		if got, err := HeaderValue(odd); err == nil {
			t.Errorf("%#v became %q", odd, got)
		}
	}
}

func TestClaimPath(t *testing.T) {
	token := &Token{Claims: map[string]any{
		"sub":                       "alice",
		"a":                         map[string]any{"b": map[string]any{"c": "deep"}, "b.c": "inner name", "n": nil},
		"a.b":                       "outer name",
		`a\b`:                       "backslash",
		"https://example.com/roles": "under a URL",
		"https://example.com/app":   map[string]any{"roles": "in one under a URL"},
	}}
	for _, c := range []struct {
		text string
		path ClaimPath // nil: the text is no path
		want any
		ok   bool
	}{
		{"sub", ClaimPath{"sub"}, "alice", true},
		{"a.b.c", ClaimPath{"a", "b", "c"}, "deep", true},
		{`a.b\.c`, ClaimPath{"a", "b.c"}, "inner name", true},
		{`a\.b`, ClaimPath{"a.b"}, "outer name", true},
		{`a\\b`, ClaimPath{`a\b`}, "backslash", true},
		{"https://example.com/roles", ClaimPath{"https://example.com/roles"}, "under a URL", true},
		{`https:\//example\.com/app.roles`, ClaimPath{"https://example.com/app", "roles"}, "in one under a URL", true},
		{"a.n", ClaimPath{"a", "n"}, nil, true},
		{"sub.x", ClaimPath{"sub", "x"}, nil, false},
		{"a.b.c.d", ClaimPath{"a", "b", "c", "d"}, nil, false},
		{`a\.b.c`, ClaimPath{"a.b", "c"}, nil, false},
		{text: ""},
		{text: "."},
		{text: "a..b"},
		{text: "a."},
		{text: `a\`},
		{text: `a\b`},
	} {
		path, err := ParseClaimPath(c.text)
		if !slices.Equal(path, c.path) || (err == nil) != (c.path != nil) {
			t.Errorf("%q: read as %q, %v", c.text, path, err)
			continue
		}
		if got, ok := token.Claim(path...); got != c.want || ok != c.ok {
			t.Errorf("%q: got %v, %t", c.text, got, ok)
		}
	}
}

// A path and its text are one to one.
func FuzzClaimPath(f *testing.F) {
	for _, text := range []string{"a.b", `a\.b`, "https://a.b/c", `https:\//a.b`, `\\`, "a..b", `.\`} {
		f.Add(text, "https://x.y/z", text)
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		if path, err := ParseClaimPath(text); err == nil {
			if again, err := ParseClaimPath(path.String()); err != nil || !slices.Equal(again, path) {
				t.Errorf("%q is %q, and %q is %q, %v", text, path, path.String(), again, err)
			}
		}
		for _, path := range []ClaimPath{{a}, {a, b}, {b, a, a}} {
			if path.check() != nil {
				continue
			}
			if again, err := ParseClaimPath(path.String()); err != nil || !slices.Equal(again, path) {
				t.Errorf("%q is written %q, which is %q, %v", path, path.String(), again, err)
			}
		}
	})
}

// FuzzHeaderForms: claims that differ give headers that differ, also where the lines of one are
// joined on the way (RFC 9110 §5.3), and no header has what ends a line.
func FuzzHeaderForms(f *testing.F) {
	for _, pair := range [][2]string{
		{`"a,b"`, `["a","b"]`}, {`["a,b"]`, `["a","b"]`}, {`["a",""]`, `["a"]`}, {`[["a"],"b"]`, `["a","b"]`},
		{`"%2C"`, `","`}, {`["a","b"]`, `["a, b"]`}, {`[null]`, `[""]`}, {`"é"`, `"%C3%A9"`}, {`"\r\n"`, `"\\r\\n"`},
		{`["",""]`, `[]`}, {`{"a":1}`, `"{\"a\":1}"`}, {`1.0`, `1`}, {`"𝄞"`, `"\\ud834\\udd1e"`}, {`" a"`, `"a"`},
	} {
		f.Add(pair[0], pair[1])
	}
	forms := []HeaderClaim{{}, {Separator: " "}, {Separator: ";"}, {Separator: "%"}, {OmitUnfit: true}, {Form: RepeatForm},
		{Form: PercentForm}, {Form: Base64Form}, {Form: JSONForm}}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, errA := parseObject(`{"c":` + a + `}`)
		two, errB := parseObject(`{"c":` + b + `}`)
		if errA != nil || errB != nil {
			return // neither is a claim
		}
		for _, form := range forms {
			x, y := sent(t, form, one["c"]), sent(t, form, two["c"])
			for _, value := range []string{x, y} {
				if value != unfit && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Fatalf("%+v: header %q", form, value)
				}
			}
			if x == unfit || x == "" {
				continue
			}
			if x == y && !same(form, one["c"], two["c"]) {
				t.Errorf("%+v: %s and %s are both %q", form, a, b, x)
			}
			decoded(t, form, x, one["c"])
		}
	})
}

// same reports whether claims are alike to all who read them in a form.
func same(form HeaderClaim, a, b any) bool {
	if form.Form == JSONForm {
		return reflect.DeepEqual(a, b)
	}
	return slices.Equal(texts(a), texts(b))
}

// texts returns the elements of a claim, of which a scalar has one.
func texts(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return []string{claim}
	case json.Number:
		return []string{claim.String()}
	case bool:
		return []string{strconv.FormatBool(claim)}
	case []any:
		var all []string
		for _, element := range claim {
			all = append(all, texts(element)...)
		}
		return all
	}
	return nil
}

// decoded requires that an upstream reads the claim out of the header.
func decoded(t *testing.T, form HeaderClaim, value string, claim any) {
	decode := map[HeaderForm]func(string) (string, error){
		PercentForm: url.PathUnescape,
		Base64Form:  func(s string) (string, error) { b, err := base64.StdEncoding.DecodeString(s); return string(b), err },
	}[form.Form]
	if form.Form == JSONForm {
		if again := claimOf(t, value); !reflect.DeepEqual(again, claim) {
			t.Errorf("%q is read as %v", value, again)
		}
	}
	if decode == nil {
		return
	}
	elements := strings.Split(value, ",")
	for i := range elements {
		var err error
		if elements[i], err = decode(elements[i]); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
	if !slices.Equal(elements, texts(claim)) {
		t.Errorf("%q is read as %q", value, elements)
	}
}
