package page_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/tokenep/caddy-tokenep/tokenep/page"
)

// everyPage returns a page of each type, and of each kind, with a text in every field.
func everyPage(t testing.TB, text string) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for name, data := range map[string]any{
		"sign in": &page.SignIn{}, "consent": &page.Consent{}, "form post": &page.FormPost{}, "error": &page.Error{},
		"sign out": &page.SignOut{}, "signed out": &page.SignedOut{}, "account": &page.Account{}, "new token": &page.NewToken{},
		"made token": &page.NewToken{}, "device": &page.Device{}, "device code": &page.Device{}, "device done": &page.Device{},
	} {
		v := reflect.ValueOf(data).Elem()
		fill(t, v, text)
		switch p := data.(type) {
		case *page.SignIn:
			p.Failed = page.Wrong
		case *page.Account: // these are names of texts
			p.Done, p.Failed = "account.revoked", "account.failed"
			for i := range p.Tokens {
				p.Tokens[i].Over, p.Tokens[i].Risk = "", "idle"
			}
		case *page.Device:
			p.Failed, p.Done = "device.unknown", ""
			switch name {
			case "device":
				p.UserCode = ""
			case "device done":
				p.Done = "device.allowed"
			}
		case *page.NewToken:
			p.Failed, p.Wrong = "new.bad", map[string]string{"name": "wrong.name", "days": "wrong.days"}
			p.Life = "custom" // one of the choices, and no text
			if name == "new token" {
				p.Made = nil
			}
		}
		all[name] = v.Interface()
	}
	return all
}

// fill writes a text into all that has one, and something into all else.
func fill(t testing.TB, v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Map: // of names of texts
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), text)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), text)
		}
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

// hostile are what somebody may have put into a name, a scope, a state, a User-Agent …
var hostile = []string{
	`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `</style><script>alert(1)</script>`, `</title><b>`,
	`" autofocus onfocus="alert(1)`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `JaVa	ScRiPt:alert(1)`,
	`data:text/html,<script>alert(1)</script>`, `{{.}}`, `&lt;b&gt;`, `<!--`, `]]>`, "\x00\r\n\u2028", `</pre></code></p></form>`,
	"a`b${c}", "+ADw-script+AD4-", "\xff\xfe", `<svg/onload=alert(1)>`, `?a=b&c="d"#<e>`, "7",
}

// skeleton is the elements of a page and the names of their attributes.
func skeleton(elements []*html.Node) (bones []string) {
	for _, n := range elements {
		bone := n.Data
		for _, a := range n.Attr {
			bone += " " + a.Key
		}
		bones = append(bones, bone)
	}
	return bones
}

// No text in any field adds an element or an attribute to any page.
func TestMarkupIsEscaped(t *testing.T) {
	s := newPages(t, page.Options{Brand: page.Brand{Name: `<b>"'&</b>`}})
	for name, plain := range everyPage(t, "x") {
		want := skeleton(parse(t, show(s, "en", plain)))
		for _, text := range hostile {
			elements := parse(t, show(s, "en", everyPage(t, text)[name]))
			if got := skeleton(elements); !slices.Equal(got, want) {
				t.Errorf("%s with %q: elements\n%q, want\n%q", name, text, got, want)
			}
			noScripts(t, name, text, elements)
		}
	}
}

// noScripts finds URIs that are scripts. The one to which the form of a client is sent was checked
// when the client was registered.
func noScripts(t testing.TB, name, text string, elements []*html.Node) {
	t.Helper()
	for _, n := range elements {
		for _, a := range n.Attr {
			if name == "form post" && a.Key == "action" || !slices.Contains([]string{"href", "src", "action"}, a.Key) {
				continue
			}
			scheme, _, _ := strings.Cut(strings.ToLower(strings.Join(strings.Fields(a.Val), "")), ":")
			if scheme == "javascript" || scheme == "data" {
				t.Errorf("%s with %q: <%s %s=%q>", name, text, n.Data, a.Key, a.Val)
			}
		}
	}
}

// What is sent back comes back as it was: hidden fields keep every byte that HTML can have.
func TestHiddenFieldsKeepTheirValues(t *testing.T) {
	const text = `a "b" <c> 'd' &amp; é	+ %20`
	s := newPages(t, page.Options{})
	for name, data := range everyPage(t, text) {
		for _, n := range named(parse(t, show(s, "en", data)), "input") {
			if value := attribute(n, "value"); attribute(n, "type") == "hidden" && value != text {
				t.Errorf("%s: %s is %q, want %q", name, attribute(n, "name"), value, text)
			}
		}
	}
	form := named(parse(t, show(s, "en", page.FormPost{To: "app:/x?a=%2F&b=ü '\""})), "form")[0]
	if got := attribute(form, "action"); got != "app:/x?a=%2F&b=ü '\"" {
		t.Errorf("the form goes to %q", got)
	}
}

// FuzzPages holds every page to the same.
func FuzzPages(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	s := newPages(f, page.Options{})
	want := make(map[string][]string)
	for name, plain := range everyPage(f, "x") {
		want[name] = skeleton(parse(f, show(s, "de", plain)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return // which leaves things out
		}
		for name, data := range everyPage(t, text) {
			elements := parse(t, show(s, "de", data))
			if got := skeleton(elements); !slices.Equal(got, want[name]) {
				t.Errorf("%s: elements\n%q, want\n%q", name, got, want[name])
			}
			noScripts(t, name, text, elements)
		}
	})
}
