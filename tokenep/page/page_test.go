package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/tokenep/caddy-tokenep/tokenep/page"
)

func newPages(t testing.TB, o page.Options) *page.Set {
	t.Helper()
	s, err := page.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// show returns a page in a language.
func show(s *page.Set, lang string, data any, images ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Language", lang)
	s.Show(w, r, http.StatusOK, data, images...)
	return w
}

// parse returns the elements of a page.
func parse(t testing.TB, w *httptest.ResponseRecorder) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

// named returns the elements of a name.
func named(elements []*html.Node, name string) (found []*html.Node) {
	for _, n := range elements {
		if n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// inner returns the text of a style or a script.
func inner(n *html.Node) string {
	if n.FirstChild == nil {
		return ""
	}
	return n.FirstChild.Data
}

// texts returns those of a file.
func texts(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]string{}
	if err := json.Unmarshal(content, &read); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return read
}

// Each language says all that English says, and nothing that no page or endpoint asks for.
func TestLanguagesAreComplete(t *testing.T) {
	english := texts(t, "texts/en.json")
	files, _ := filepath.Glob("texts/*.json")
	if len(files) < 2 {
		t.Fatalf("%d languages", len(files))
	}
	for _, file := range files {
		read := texts(t, file)
		for key := range english {
			if strings.TrimSpace(read[key]) == "" {
				t.Errorf("%s: %s is missing", file, key)
			}
		}
		for key := range read {
			if english[key] == "" {
				t.Errorf("%s: %s is not in English", file, key)
			}
		}
	}
	used := strings.Builder{}
	for _, pattern := range []string{"templates/*.html", "../endpoint/*.go"} {
		sources, _ := filepath.Glob(pattern)
		for _, file := range sources {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			used.Write(content)
		}
	}
	for key := range english {
		if !strings.Contains(used.String(), `"`+key+`"`) {
			t.Errorf("%s is used nowhere", key)
		}
	}
}

// No kind of page is forgotten by these tests.
func TestEveryPageIsTested(t *testing.T) {
	source, err := os.ReadFile("page.go")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, data := range everyPage(t, "x") {
		tested[reflect.TypeOf(data).Name()] = true
	}
	kinds := regexp.MustCompile(`case (\w+):\n\t\treturn "\w+.html"`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 8 {
		t.Fatalf("%d kinds", len(kinds))
	}
	for _, kind := range kinds {
		if !tested[kind[1]] {
			t.Errorf("%s is missing in everyPage", kind[1])
		}
	}
}

// Each page is shown in each language, and says so.
func TestEachPageInEachLanguage(t *testing.T) {
	s := newPages(t, page.Options{})
	for name, data := range everyPage(t, "x") {
		for _, lang := range []string{"en", "de"} {
			w := show(s, lang, data)
			root := named(parse(t, w), "html")[0]
			if got := attribute(root, "lang"); got != lang || w.Header().Get("Content-Language") != lang {
				t.Errorf("%s: lang %q, Content-Language %q, want %s", name, got, w.Header().Get("Content-Language"), lang)
			}
		}
		if english, german := show(s, "en", data).Body.String(), show(s, "de", data).Body.String(); english == german {
			t.Errorf("%s is the same in German", name)
		}
	}
}

// The language is what the client asks for (OpenID Connect Core §3.1.2.1), or the browser, in their
// order, and English at last.
func TestLanguage(t *testing.T) {
	s := newPages(t, page.Options{})
	for _, row := range []struct{ accept, locales, want string }{
		{"", "", "en"}, {"de", "", "de"}, {"de-CH, en;q=0.5", "", "de"}, {"fr, de;q=0.1", "", "de"},
		{"en;q=0.3, de;q=0.7", "", "de"}, {"fr", "", "en"}, {"*", "", "en"}, {";;;", "", "en"}, {"en", "de", "de"},
		{"en", "fr de-AT", "de"}, {"de", "en", "en"}, {"de", "xx-nonsense", "de"}, {"de", "%00", "de"},
		{strings.Repeat("fr,", 1<<16) + "de", "", "en"}, // nobody reads that far
	} {
		r := httptest.NewRequest(http.MethodGet, "/?ui_locales="+strings.ReplaceAll(row.locales, " ", "+"), nil)
		if row.accept != "" {
			r.Header.Set("Accept-Language", row.accept)
		}
		w := httptest.NewRecorder()
		s.Show(w, r, http.StatusOK, page.SignedOut{})
		if got := w.Header().Get("Content-Language"); got != row.want {
			t.Errorf("%.40q and %q: %s, want %s", row.accept, row.locales, got, row.want)
		}
		if !slices.Contains(w.Header().Values("Vary"), "Accept-Language") {
			t.Errorf("Vary: %q", w.Header().Values("Vary"))
		}
	}
}

// The headers of each page let in its own style and script, and nothing from elsewhere.
func TestHeaders(t *testing.T) {
	s := newPages(t, page.Options{Brand: page.Brand{Accent: "#14532d"}})
	for name, data := range everyPage(t, "x") {
		w := show(s, "en", data)
		opener := "unsafe-none" // an application may have opened the window
		switch data.(type) {
		case page.Account, page.NewToken, page.Device:
			opener = "same-origin"
		}
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": opener, "Content-Type": "text/html; charset=utf-8",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s: %q, want %q", name, header, got, want)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		want := "default-src 'none'; style-src '" + hash(inner(named(parse(t, w), "style")[0])) + "'; script-src 'sha256-"
		if !strings.HasPrefix(policy, want) || !strings.HasSuffix(policy, "'; base-uri 'none'; frame-ancestors 'none'") {
			t.Errorf("%s: %s; want %s…", name, policy, want)
		}
		for _, script := range named(parse(t, w), "script") {
			if !strings.Contains(policy, "script-src '"+hash(inner(script))+"'") {
				t.Errorf("%s: %s does not let in %s", name, policy, inner(script))
			}
		}
		for _, n := range parse(t, w) {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || n.Data == "link" || n.Data == "script" && a.Key == "src" {
					t.Errorf("%s: <%s %s=%q> is not let in", name, n.Data, a.Key, a.Val)
				}
			}
		}
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Images come from where the logos are, and from nowhere if there are none.
func TestImageSources(t *testing.T) {
	for _, row := range []struct{ logo, image, want string }{
		{"", "", ""},
		{"/logo.svg", "", "'self'"},
		{"https://static.example:8443/logo.svg", "", "https://static.example:8443"},
		{"data:image/png;base64,AAAA", "", "data:"},
		{"", "https://notes.example/logo.png?x", "https://notes.example"},
		{"/logo.svg", "https://notes.example/logo.png", "'self' https://notes.example"},
		{"", "https://notes.example;script-src *", ""},
		{"", "https://notes.example/a;script-src", "https://notes.example"},
		{"", "https://*/x", ""},
		{"", "javascript:alert(1)", ""},
		{"", "http://notes.example/x", ""},
		{"", "/x", ""},
	} {
		s := newPages(t, page.Options{Brand: page.Brand{Logo: row.logo}})
		policy := show(s, "en", page.SignedOut{}, row.image).Header().Get("Content-Security-Policy")
		_, got, _ := strings.Cut(policy, "; img-src ")
		if got != row.want {
			t.Errorf("logo %q and %q: img-src %q, want %q", row.logo, row.image, got, row.want)
		}
	}
}

// After a failure the name is still there and the password is not, and programs that fill them in
// find both.
func TestFieldsOfSignIn(t *testing.T) {
	w := show(newPages(t, page.Options{}), "en", page.SignIn{Name: "ada", Failed: page.Wrong})
	for _, n := range named(parse(t, w), "input") {
		switch attribute(n, "name") {
		case "password":
			if attribute(n, "type") != "password" || attribute(n, "value") != "" || attribute(n, "autocomplete") != "current-password" {
				t.Errorf("%+v", n.Attr)
			}
		case "username":
			if attribute(n, "value") != "ada" || attribute(n, "autocomplete") != "username" {
				t.Errorf("%+v", n.Attr)
			}
		}
	}
	labels := regexp.MustCompile(`<label for="(\w+)">`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(labels) != 2 || labels[0][1] != "username" || labels[1][1] != "password" {
		t.Errorf("labels %q", labels)
	}
}
